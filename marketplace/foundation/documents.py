"""PDF documents: a typst template and frozen data in, the same bytes out every time (PDF/A-3b).

A name may hold a character that the font lacks. Such a character is looked for in the fonts of DOCUMENT_FONTS and, if
it is in none of them, printed as its code point, so that nobody's name loses a character without a trace.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import current_app

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "documents"
FONTS = TEMPLATES / "fonts"
KINDS_OF_FONT = {".ttf", ".otf"}
# The characters at which a line may end or that have no shape of their own.
SHAPELESS = frozenset("\n\t\r")


def render(template: str, data: dict[str, Any], *, moment: datetime) -> bytes:
    """`templates/documents/<template>.typ` with `data` (plain JSON, read by the template as `data`) as a PDF.

    `moment` is the document's own time, written into the file: the same arguments give the same bytes.
    """
    import typst  # noqa: PLC0415 - 30 MB of memory that most processes never need

    printed = json.dumps(_printable(data), ensure_ascii=False)
    pdf: bytes = typst.compile(
        str(TEMPLATES / f"{template}.typ"),
        root=str(TEMPLATES),
        font_paths=[str(folder) for folder in _folders()],
        ignore_system_fonts=True,
        sys_inputs={"data": printed, "day": moment.astimezone(UTC).strftime("%Y-%m-%d")},
        pdf_standards=["a-3b"],
        timestamp=int(moment.timestamp()),
    )
    return pdf


def lacking(text: str) -> str:
    """The characters of a text that no font of ours can print, each once, in order."""
    known = _characters(_folders())
    return "".join(dict.fromkeys(one for one in text if ord(one) not in known and one not in SHAPELESS))


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _printable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(inner) for inner in value]
    if isinstance(value, str):
        for character in lacking(value):
            value = value.replace(character, f"〔U+{ord(character):04X}〕")
    return value


def _folders() -> tuple[Path, ...]:
    more = current_app.config["SETTINGS"].document_fonts
    return (FONTS, more) if more is not None else (FONTS,)


@lru_cache(maxsize=4)
def _characters(folders: tuple[Path, ...]) -> frozenset[int]:
    from fontTools.ttLib import TTFont  # noqa: PLC0415 - 10 MB of memory that most processes never need

    found: set[int] = set()
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in KINDS_OF_FONT:
                with TTFont(path, lazy=True) as font:
                    found.update(font.getBestCmap())
    return frozenset(found)
