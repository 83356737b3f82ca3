"""The texts people agree to: each document has numbered versions in both languages, kept for ever in `texts/`.

A released text is never edited: a change is a new file with the next number (`terms.2.zh.txt`), and NEWEST is moved.
A test compares them with `texts/SHA256SUMS`, so that what somebody agreed to can be shown years later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from marketplace.foundation.errors import NotFound

TEXTS = Path(__file__).resolve().parent / "texts"
TERMS, PRIVACY, SHARING = "terms", "privacy", "sharing"
NEWEST = {TERMS: 1, PRIVACY: 1, SHARING: 1}
HEADING = "## "


@dataclass(frozen=True, slots=True)
class Agreement:
    """One version of a document in one language; `parts` are (heading, paragraphs), the first without a heading."""

    document: str
    version: int
    language: str
    title: str
    parts: tuple[tuple[str, tuple[str, ...]], ...]


@lru_cache(maxsize=32)
def read(document: str, version: int, language: str) -> Agreement:
    """The text of a version; raises NotFound for one that never was."""
    if document not in NEWEST or not 1 <= version <= NEWEST[document]:
        raise NotFound
    text = (TEXTS / f"{document}.{version}.{language}.txt").read_text(encoding="utf-8")
    title, _, body = text.partition("\n")
    parts: list[tuple[str, tuple[str, ...]]] = []
    for number, part in enumerate(body.strip().split(f"\n{HEADING}")):
        heading, _, words = part.partition("\n") if number else ("", "", part)
        parts.append((heading, tuple(paragraph.strip() for paragraph in words.split("\n") if paragraph.strip())))
    return Agreement(document, version, language, title, tuple(parts))
