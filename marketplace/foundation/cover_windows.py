"""The openings of garden walls (漏窗) and the view behind them, as parts of a cover of 320 × 180 units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

SUNS = ("#d5532f", "#e2b04a")
Point = tuple[float, float]


def opening(chance: random.Random, x: float, y: float, radius: float) -> str:
    """The outline of one window around a point, as the data of an SVG path."""
    shape = chance.choice(SHAPES)
    return shape(x, y, radius)


def view(chance: random.Random, ground: str, middle: float, *, right: float, bottom: float) -> str:
    """Hills in three distances below a sun near `middle`: what one sees through the window, in tints of its wall."""
    x, y, size = middle + chance.uniform(-26, 26), bottom * chance.uniform(0.3, 0.42), chance.choice((10, 13, 16))
    parts = [f'<path fill="{tint(ground, 0.9)}" d="M0 0H{right}V{bottom}H0z"/>']
    parts.append(f'<circle fill="{chance.choice(SUNS)}" cx="{x:.0f}" cy="{y:.0f}" r="{size}"/>')
    for distance, lightness in enumerate((0.68, 0.44, 0.18)):
        level = bottom * (0.5 + 0.14 * distance)
        parts.append(f'<path fill="{tint(ground, lightness)}" d="{_hills(chance, level, right, bottom)}"/>')
    return "".join(parts)


def _hills(chance: random.Random, level: float, right: float, bottom: float) -> str:
    step = right / chance.choice((4, 5, 6))
    height = chance.uniform(10, 24)
    data, x = f"M0 {bottom}V{level:.0f}", 0.0
    while x < right:
        rise = height * chance.uniform(0.5, 1.3)
        data += f"q{step / 4:.0f} {-rise:.0f} {step / 2:.0f} {-rise:.0f}t{step / 2:.0f} {rise:.0f}"
        x += step
    return f"{data}V{bottom}z"


def tint(colour: str, white: float) -> str:
    """The colour mixed with so much white (0 to 1)."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * white):02x}" for part in parts)


def _polygon(points: list[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "z"


def _around(x: float, y: float, radius: float, corners: int, turn: float) -> list[Point]:
    angles = (turn + 2 * math.pi * corner / corners for corner in range(corners))
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def _moon(x: float, y: float, radius: float) -> str:
    """月洞: a full circle."""
    return f"M{x - radius:.0f} {y:.0f}a{radius} {radius} 0 1 1 {2 * radius} 0a{radius} {radius} 0 1 1 {-2 * radius} 0z"


def _octagon(x: float, y: float, radius: float) -> str:
    """八角窗."""
    return _polygon(_around(x, y, radius * 1.06, 8, math.pi / 8))


def _hexagon(x: float, y: float, radius: float) -> str:
    """六角窗."""
    return _polygon(_around(x, y, radius * 1.1, 6, 0))


def _blossom(x: float, y: float, radius: float) -> str:
    """梅花窗: five petals."""
    return _petals(_around(x, y, radius * 0.8, 5, -math.pi / 2 + math.pi / 5), radius * 0.5)


def _begonia(x: float, y: float, radius: float) -> str:
    """海棠窗: four petals."""
    return _petals(_around(x, y, radius * 0.76, 4, math.pi / 4), radius * 0.57)


def _petals(joints: list[Point], bulge: float) -> str:
    (x, y), *others = [*joints, joints[0]]
    return f"M{x:.1f} {y:.1f}" + "".join(f"A{bulge:.1f} {bulge:.1f} 0 1 1 {a:.1f} {b:.1f}" for a, b in others) + "z"


def _fan(x: float, y: float, radius: float) -> str:
    """扇面窗: the leaf of a folding fan."""
    outer, inner, spread = radius * 2.05, radius * 0.72, math.radians(50)
    y += radius * 1.18
    sine, cosine = math.sin(spread), math.cos(spread)
    return (
        f"M{x - outer * sine:.1f} {y - outer * cosine:.1f}"
        f"A{outer:.1f} {outer:.1f} 0 0 1 {x + outer * sine:.1f} {y - outer * cosine:.1f}"
        f"L{x + inner * sine:.1f} {y - inner * cosine:.1f}"
        f"A{inner:.1f} {inner:.1f} 0 0 0 {x - inner * sine:.1f} {y - inner * cosine:.1f}z"
    )


def _linked_squares(x: float, y: float, radius: float) -> str:
    """方胜: two squares on their corners, one laid over the other."""
    size, shift = radius * 0.95, radius * 0.5
    left, right = x - shift, x + shift
    dip = size - shift
    return _polygon(
        [
            (left - size, y),
            (left, y - size),
            (x, y - dip),
            (right, y - size),
            (right + size, y),
            (right, y + size),
            (x, y + dip),
            (left, y + size),
        ]
    )


SHAPES = (_moon, _octagon, _hexagon, _blossom, _begonia, _fan, _linked_squares)
