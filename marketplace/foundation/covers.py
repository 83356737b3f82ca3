"""Covers drawn from an id: lattice (窗棂) and windows of Jiangnan gardens, the same every time, different for each."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from marketplace.foundation import cover_windows

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, HEIGHT = 320, 180
# One for each of the first eight categories, then from the start again; white lines on each are seen by everybody.
COLOURS = ("#14506b", "#7a3b2e", "#2f5d43", "#5a3d73", "#7b5a17", "#264a8a", "#86304f", "#3d4b55")
# Part of every address, since browsers keep a cover for a year: raise it when the drawing changes.
EDITION = 2

Line = tuple[tuple[float, float], ...]


def cover_address(seed: str, position: int) -> str:
    """Where the cover of a course is: its public id and the position of its category decide the drawing."""
    return f"/covers/{EDITION}/{seed}-{position % len(COLOURS)}.svg"


def cover_svg(seed: str, colour: int) -> str:
    """A picture of 320 × 180 units, the same for the same seed; its colours are attributes, as our policy wants.

    A wall of lattice in the category's colour, with a window in it through which hills are seen.
    """
    chance = random.Random(seed)  # noqa: S311 - it draws pictures
    ground = COLOURS[colour % len(COLOURS)]
    lattice = "".join("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in line) for line in chance.choice(PATTERNS)(chance))
    x, y, radius = chance.choice((116, 138, 160, 182, 204)), HEIGHT / 2, chance.choice((58, 64, 70))
    window = cover_windows.opening(chance, x, y, radius)
    behind = cover_windows.view(chance, ground, x, right=WIDTH, bottom=HEIGHT)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="640" height="360">'
        f'<clipPath id="w"><path d="{window}"/></clipPath>'
        f'<path fill="{ground}" d="M0 0H{WIDTH}V{HEIGHT}H0z"/>'
        f'<path fill="none" stroke="#fff" stroke-opacity=".34" stroke-width="1.5" d="{lattice}"/>'
        f'<path fill="none" stroke="{ground}" stroke-width="16" d="{window}"/>'
        f'<g clip-path="url(#w)">{behind}</g>'
        f'<path fill="none" stroke="#fff" stroke-width="2.5" d="{window}"/></svg>'
    )


def _rectangle(left: float, top: float, right: float, bottom: float) -> Line:
    return ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))


def _step_by_step(chance: random.Random) -> list[Line]:
    """步步锦: rectangles within rectangles, joined by short bars."""
    gap = chance.choice((12, 15, 18))
    lines: list[Line] = []
    for depth in range(1, int(HEIGHT / 2 / gap)):
        inset = depth * gap
        lines.append(_rectangle(inset, inset, WIDTH - inset, HEIGHT - inset))
        for place in range(1, 5):
            x = WIDTH * place / 5 + (gap / 2 if depth % 2 else -gap / 2)
            lines += [((x, inset), (x, inset + gap)), ((x, HEIGHT - inset), (x, HEIGHT - inset - gap))]
    return [line for line in lines if all(0 <= x <= WIDTH for x, _ in line)]


def _tortoise(chance: random.Random) -> list[Line]:
    """龟背锦: a field of hexagons."""
    side = chance.choice((18.0, 22.0, 27.0))
    rise = side * 0.866
    lines: list[Line] = []
    for column in range(int(WIDTH / (1.5 * side)) + 2):
        for row in range(int(HEIGHT / (2 * rise)) + 2):
            x, y = column * 1.5 * side, row * 2 * rise + (rise if column % 2 else 0)
            half = side / 2
            corners = ((x - side, y), (x - half, y - rise), (x + half, y - rise), (x + side, y))
            lines.append(corners)
            if chance.random() < 0.25:  # noqa: PLR2004 - a quarter of them are filled with a smaller one
                small = tuple(
                    (x + dx * 0.5, y + dy * 0.5)
                    for dx, dy in (
                        (-side, 0.0),
                        (-half, -rise),
                        (half, -rise),
                        (side, 0.0),
                        (half, rise),
                        (-half, rise),
                        (-side, 0.0),
                    )
                )
                lines.append(small)
    return lines


def _cracked_ice(chance: random.Random) -> list[Line]:
    """冰裂纹: a sheet of ice split again and again, each piece across its longer side."""
    lines: list[Line] = []

    def split(piece: list[tuple[float, float]], depth: int) -> None:
        if depth == 0:
            return
        lengths = [
            (piece[i][0] - piece[i - 1][0]) ** 2 + (piece[i][1] - piece[i - 1][1]) ** 2 for i in range(len(piece))
        ]
        first = max(range(len(piece)), key=lengths.__getitem__)
        second = (first + len(piece) // 2) % len(piece)
        start, end = _between(piece, first, chance), _between(piece, second, chance)
        lines.append((start, end))
        low, high = sorted((first, second))
        a, b = (start, end) if first < second else (end, start)
        split([a, *piece[low:high], b], depth - 1)
        split([b, *piece[high:], *piece[:low], a], depth - 1)

    split([(0.0, 0.0), (WIDTH, 0.0), (WIDTH, HEIGHT), (0.0, HEIGHT)], 6)
    return lines


def _between(piece: list[tuple[float, float]], index: int, chance: random.Random) -> tuple[float, float]:
    (x1, y1), (x2, y2) = piece[index - 1], piece[index]
    part = chance.uniform(0.35, 0.65)
    return x1 + (x2 - x1) * part, y1 + (y2 - y1) * part


def _interlocked_squares(chance: random.Random) -> list[Line]:
    """套方: two grids of squares, one set into the other."""
    size = chance.choice((40, 52, 60))
    lines: list[Line] = []
    for shift in (0.0, size / 2):
        for column in range(-1, int(WIDTH / size) + 2):
            for row in range(-1, int(HEIGHT / size) + 2):
                x, y = column * size + shift, row * size + shift
                lines.append(_rectangle(x + 4, y + 4, x + size - 4, y + size - 4))
    return lines


def _lanterns(chance: random.Random) -> list[Line]:
    """灯笼锦: lanterns hung in rows, tied by short bars."""
    wide, high = chance.choice(((44, 56), (52, 60), (64, 46)))
    cut = wide / 4
    lines: list[Line] = []
    for column in range(int(WIDTH / (wide + 12)) + 2):
        for row in range(int(HEIGHT / (high + 12)) + 2):
            x = column * (wide + 12) - (wide / 2 if row % 2 else 0)
            y = row * (high + 12)
            right, bottom = x + wide, y + high
            lines.append(
                (
                    (x + cut, y),
                    (right - cut, y),
                    (right, y + cut),
                    (right, bottom - cut),
                    (right - cut, bottom),
                    (x + cut, bottom),
                    (x, bottom - cut),
                    (x, y + cut),
                    (x + cut, y),
                )
            )
            middle, centre = x + wide / 2, y + high / 2
            lines += [((middle, bottom), (middle, bottom + 12)), ((right, centre), (right + 12, centre))]
            lines.append(_rectangle(middle - cut / 2, centre - cut / 2, middle + cut / 2, centre + cut / 2))
    return lines


PATTERNS: tuple[Callable[[random.Random], list[Line]], ...] = (
    _step_by_step,
    _tortoise,
    _cracked_ice,
    _interlocked_squares,
    _lanterns,
)
