"""What is no picture, too much of one, or says more than it shows."""

import io

import pytest
from PIL import Image

from marketplace.foundation import images
from marketplace.foundation.errors import Invalid
from tests.pictures import bomb, photo


def gif():
    out = io.BytesIO()
    Image.new("RGB", (800, 600)).save(out, "GIF")
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "picture_unreadable"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "picture_unreadable"),
        (gif(), "picture_unreadable"),
        (b"\xff\xd8\xff\xe0" + b"x" * 200, "picture_unreadable"),
        (bomb(), "picture_too_many_pixels"),
        (bomb(10_000, 5_001), "picture_too_many_pixels"),
        (photo(639, 360), "picture_too_small"),
        (b"x" * (images.LARGEST_FILE + 1), "picture_too_large"),
    ],
)
def test_what_is_no_fit_picture_is_refused_by_its_header(content, code):
    with pytest.raises(Invalid) as refused:
        images.check(content, "cover")

    assert refused.value.code == code


@pytest.mark.parametrize("content", [photo()[:2000], photo(suffix="PNG")[:300], bomb(1600, 1000)])
def test_a_picture_that_breaks_off_is_refused_when_it_is_drawn(content):
    with pytest.raises(Invalid):
        images.clean(content, "cover")


def test_what_a_camera_wrote_into_the_file_is_gone_and_the_picture_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010F] = "A camera with a number"
    exif.get_ifd(0x8825)[1] = "N"
    sent = photo(1000, 1600, exif=exif)

    clean = images.clean(sent, "cover")

    with Image.open(io.BytesIO(clean)) as picture:
        assert picture.size == (1600, 1000)
        assert not picture.getexif()
    made = list(images.draw(clean, "cover", focus=(50, 50)))
    assert b"camera" not in b"".join(rendition.content for rendition in made)
    assert not any(Image.open(io.BytesIO(rendition.content)).getexif() for rendition in made)


def test_every_width_comes_in_both_formats_and_none_is_blown_up():
    made = list(images.draw(images.clean(photo(1300, 900), "cover"), "cover", focus=(50, 50)))

    assert [(r.format, r.width, r.height) for r in made] == [
        (name, width, width * 9 // 16) for width in (320, 640, 960, 1280) for name in ("avif", "webp")
    ]
    for rendition in made:
        with Image.open(io.BytesIO(rendition.content)) as picture:
            assert (picture.format, picture.size) == (rendition.format.upper(), (rendition.width, rendition.height))


@pytest.mark.parametrize(("focus", "left"), [((0, 50), 0), ((50, 50), 600), ((100, 50), 1200), ((40, 50), 320)])
def test_the_focus_stays_in_sight(focus, left):
    assert images.crop_box((2800, 900), (16, 9), focus) == (left, 0, left + 1600, 900)


def test_a_logo_keeps_its_shape_and_its_transparency():
    out = io.BytesIO()
    Image.new("RGBA", (400, 100), (10, 20, 30, 0)).save(out, "PNG")

    [*_narrow, last] = images.draw(images.clean(out.getvalue(), "logo"), "logo", focus=(50, 50))

    with Image.open(io.BytesIO(last.content)) as picture:
        assert (picture.size, picture.mode) == ((384, 96), "RGBA")
