"""Pictures read and drawn anew with Pillow: what was hidden in a file (EXIF, places, colour profiles) does not survive.

Nothing here touches files or the database. A picture is refused by its header before its pixels are unpacked, so a
small file that claims a wall of pixels costs nothing.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

READ = ("JPEG", "PNG", "WEBP")
LARGEST_FILE = 10 * 1024 * 1024
# About what a good camera gives; unpacked it takes 150 MB for a moment.
MOST_PIXELS = 50_000_000
SOURCE_EDGE = 2560
QUALITY = {"avif": 58, "webp": 80}
SENTENCES = {
    "picture_too_large": lazy("The file is too large: 10 MB at most."),
    "picture_unreadable": lazy("This is no picture we can read. Send a JPEG, PNG or WebP file."),
    "picture_too_many_pixels": lazy("The picture has too many pixels: 50 million at most."),
    "picture_too_small": lazy("The picture is too small: 640 × 360 pixels at least for a cover, 96 × 96 for a logo."),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What a picture is drawn for: cropped to a ratio, or whole within a box; never larger than it is."""

    widths: tuple[int, ...]
    smallest: tuple[int, int]
    ratio: tuple[int, int] | None


SHAPES = {
    "cover": Shape((320, 640, 960, 1280, 1920), (640, 360), (16, 9)),
    "logo": Shape((96, 192, 384), (96, 96), None),
}


@dataclass(frozen=True, slots=True)
class Rendition:
    """One drawing of a picture."""

    format: str
    width: int
    height: int
    content: bytes


def refuse(code: str) -> Invalid:
    """The refusal of a picture, by its code in SENTENCES."""
    return Invalid(code, SENTENCES[code], {"file": SENTENCES[code]})


def check(content: bytes, shape: str) -> None:
    """Raise Invalid for what cannot become a picture of this shape, by its header alone."""
    if len(content) > LARGEST_FILE:
        raise refuse("picture_too_large")
    with _opened(content) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise refuse("picture_too_many_pixels")
        wide, high = SHAPES[shape].smallest
        # Asking a PNG would unpack it, and cameras write JPEG. EXIF's 5 to 8 lie on their side.
        turned = picture.format == "JPEG" and picture.getexif().get(0x0112, 1) >= 5  # noqa: PLR2004
        size = (picture.height, picture.width) if turned else picture.size
        if size[0] < wide or size[1] < high:
            raise refuse("picture_too_small")


def clean(content: bytes, shape: str) -> bytes:
    """The whole picture upright in plain colours, at most SOURCE_EDGE long, as WebP; raises Invalid."""
    check(content, shape)
    with _opened(content) as picture:
        # A JPEG is unpacked at the size it is needed in, which saves most of its memory.
        picture.draft("RGB", (SOURCE_EDGE, SOURCE_EDGE))
        try:
            upright = ImageOps.exif_transpose(_plain(picture))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise refuse("picture_unreadable") from error
    upright.thumbnail((SOURCE_EDGE, SOURCE_EDGE), Image.Resampling.LANCZOS)
    return _written(upright, "webp", quality=92)


def draw(source: bytes, shape: str, *, focus: tuple[int, int]) -> Iterator[Rendition]:
    """The renditions of a clean picture, narrowest first, each in AVIF and WebP."""
    wanted = SHAPES[shape]
    with Image.open(io.BytesIO(source), formats=["WEBP"]) as opened:
        opened.load()
        whole = opened if wanted.ratio is None else opened.crop(crop_box(opened.size, wanted.ratio, focus))
    widths = [width for width in wanted.widths if width <= whole.width] or [whole.width]
    for width in widths:
        height = max(1, round(whole.height * width / whole.width))
        small = whole.resize((width, height), Image.Resampling.LANCZOS)
        for name, quality in QUALITY.items():
            yield Rendition(name, width, height, _written(small, name, quality=quality))


def crop_box(size: tuple[int, int], ratio: tuple[int, int], focus: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest box of a ratio inside a size, as near to the focus (per cent of each side) as the edges allow."""
    wide, high = size
    box_wide = min(wide, high * ratio[0] // ratio[1])
    box_high = min(high, wide * ratio[1] // ratio[0])
    left = min(max(wide * focus[0] // 100 - box_wide // 2, 0), wide - box_wide)
    top = min(max(high * focus[1] // 100 - box_high // 2, 0), high - box_high)
    return left, top, left + box_wide, top + box_high


def _opened(content: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Its own limit only warns; ours refuses.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(content), formats=READ)
    except Image.DecompressionBombError as error:
        raise refuse("picture_too_many_pixels") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise refuse("picture_unreadable") from error


def _plain(picture: Image.Image) -> Image.Image:
    """The pixels in sRGB, with transparency only where there is some; still with its orientation."""
    picture.load()
    orientation = picture.getexif()
    has_holes = "transparency" in picture.info or "A" in picture.getbands()
    plain = picture.convert("RGBA" if has_holes else "RGB")
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in {"RGB", "RGBA"}:
        plain = _in_srgb(plain, profile)
    plain.info = {"exif": orientation.tobytes()} if orientation else {}
    return plain


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        changed = ImageCms.profileToProfile(picture, given, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):
        # A broken profile costs exact colours, not the picture.
        return picture
    return changed or picture


def _written(picture: Image.Image, name: str, *, quality: int) -> bytes:
    out = io.BytesIO()
    options = {"speed": 7} if name == "avif" else {"method": 4}
    picture.info = {}
    picture.save(out, name.upper(), quality=quality, **options)
    return out.getvalue()
