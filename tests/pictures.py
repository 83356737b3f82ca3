"""Files as people upload them, made here."""

import io
import struct
import zlib

from PIL import Image


def photo(width=1600, height=1000, *, colours=("#14506b", "#c2410c"), suffix="JPEG", **options):
    """A picture of two halves, left and right."""
    picture = Image.new("RGB", (width, height), colours[0])
    picture.paste(colours[1], (width // 2, 0, width, height))
    out = io.BytesIO()
    picture.save(out, suffix, **options)
    return out.getvalue()


def bomb(width=60_000, height=60_000):
    """Some bytes of PNG that claim to be 3,600 million pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 4096))
        + chunk(b"IEND", b"")
    )
