"""Pictures that the demo paints itself, as somebody would upload them: mountains, lanterns at night, waves, seals."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from random import Random

SIZE = (1600, 900)
RGB = tuple[int, int, int]


def mountains(chance: Random) -> bytes:
    """Ranges of ink that darken towards the viewer, under a pale sun."""
    picture = _sky((244, 238, 226), (222, 226, 222))
    brush = ImageDraw.Draw(picture)
    x, y = chance.randint(1000, 1350), chance.randint(90, 150)
    brush.ellipse((x, y, x + 130, y + 130), fill=(214, 104, 72))
    picture = picture.filter(ImageFilter.GaussianBlur(2))
    for layer in range(5):
        near = layer / 4
        colour = _between((186, 198, 200), (38, 58, 68), near)
        ridge = _ridge(chance, base=430 + 95 * layer, height=120 - 8 * layer)
        veil = Image.new("L", SIZE, 0)
        ImageDraw.Draw(veil).polygon([(0, SIZE[1]), *ridge, (SIZE[0], SIZE[1])], fill=255)
        # Mist lies at the foot of each range.
        mist = Image.linear_gradient("L").resize(SIZE).point(lambda value: 255 - value // 3)
        picture.paste(Image.new("RGB", SIZE, colour), mask=ImageChops.multiply(veil, mist))
    return _file(picture)


def lanterns(chance: Random) -> bytes:
    """A street of lights out of focus."""
    picture = _sky((16, 22, 34), (52, 34, 40))
    for blur, number, largest in ((26, 26, 130), (9, 34, 80), (3, 16, 44)):
        layer = Image.new("RGB", SIZE)
        brush = ImageDraw.Draw(layer)
        for _ in range(number):
            x, y, radius = chance.randint(0, SIZE[0]), chance.randint(60, 760), chance.randint(14, largest)
            warm = _between((196, 62, 28), (250, 190, 96), chance.random())
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_between((0, 0, 0), warm, 0.55))
        picture = ImageChops.screen(picture, layer.filter(ImageFilter.GaussianBlur(blur)))
    return _file(picture)


def waves(chance: Random) -> bytes:
    """The lines of a sound, one behind the other."""
    picture = _sky((12, 48, 66), (18, 28, 48))
    brush = ImageDraw.Draw(picture)
    for line in range(34):
        middle, swing = 150 + 19 * line, chance.uniform(10, 46)
        turns, shift = chance.uniform(2, 7), chance.uniform(0, math.tau)
        points = [
            (
                x,
                middle
                + swing * math.sin(x / SIZE[0] * math.tau * turns + shift) * math.sin(x / SIZE[0] * math.pi) ** 2,
            )
            for x in range(0, SIZE[0] + 1, 8)
        ]
        brush.line(points, fill=_between((90, 190, 196), (244, 180, 110), line / 33), width=3)
    return _file(picture.filter(ImageFilter.GaussianBlur(0.8)))


def seal(chance: Random, colour: RGB) -> bytes:
    """A logo: a square seal of whole and broken bars."""
    picture = Image.new("RGB", (480, 480), colour)
    brush = ImageDraw.Draw(picture)
    brush.rectangle((36, 36, 443, 443), outline="white", width=16)
    for number, is_broken in enumerate(chance.sample((True, True, False, False), 4)):
        top = 92 + number * 80
        for left, right in ((92, 212), (268, 387)) if is_broken else ((92, 387),):
            brush.rectangle((left, top, right, top + 48), fill="white")
    return _file(picture, "PNG")


def _ridge(chance: Random, *, base: float, height: float) -> list[tuple[float, float]]:
    parts = [(chance.uniform(1, 2.4) * 1.9**octave, chance.uniform(0, math.tau), 0.52**octave) for octave in range(6)]
    return [
        (
            x,
            base
            - height * sum(share * math.sin(x / SIZE[0] * math.tau * turns + shift) for turns, shift, share in parts),
        )
        for x in range(0, SIZE[0] + 1, 4)
    ]


def _sky(above: RGB, below: RGB) -> Image.Image:
    shade = Image.linear_gradient("L").resize(SIZE)
    return Image.composite(Image.new("RGB", SIZE, below), Image.new("RGB", SIZE, above), shade)


def _between(first: RGB, last: RGB, share: float) -> RGB:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, last, strict=True))
    return red, green, blue


def _file(picture: Image.Image, suffix: str = "JPEG") -> bytes:
    out = io.BytesIO()
    picture.save(out, suffix, quality=90)
    return out.getvalue()
