"""Which words somebody may have meant: the nearest ones of titles, by letters in Latin, by characters in Chinese."""

from __future__ import annotations

from difflib import SequenceMatcher, get_close_matches
from typing import TYPE_CHECKING

from marketplace.catalog.words import CJK, latin_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Alike in so much: "muzeum" and "museum" 0.83; of a Chinese word one character in four may be another, of two one.
LIKE_LATIN, LIKE_CHINESE = 0.75, 0.5
SHORTEST_LATIN = 4
MOST_OF_EACH = 3


def nearest(words: str, terms: Sequence[str], titles: Iterable[str]) -> list[str]:
    """The words with one term spelt as in a title; the likest first. Titles and words are folded alike."""
    found: list[tuple[float, str]] = []
    known = list(titles)
    for term in terms:
        if any(term in title for title in known):
            continue
        candidates = _chinese(term, known) if CJK.match(term) else _latin(term, known)
        found += [(_likeness(term, other), words.replace(term, other)) for other in candidates]
    return list(dict.fromkeys(other for _likeness_of, other in sorted(found, key=lambda one: -one[0])))


def _latin(term: str, titles: Iterable[str]) -> list[str]:
    if len(term) < SHORTEST_LATIN:
        return []
    words = sorted({word for title in titles for word in latin_words(title)})
    return get_close_matches(term, words, MOST_OF_EACH, LIKE_LATIN)


def _chinese(term: str, titles: Iterable[str]) -> list[str]:
    """Pieces of titles that are as long as the term."""
    size = len(term)
    runs = [run for title in titles for run in CJK.findall(title)]
    pieces = sorted({run[start : start + size] for run in runs for start in range(len(run) - size + 1)})
    likest = sorted(pieces, key=lambda piece: -_likeness(term, piece))[:MOST_OF_EACH]
    return [piece for piece in likest if _likeness(term, piece) >= LIKE_CHINESE] if size > 1 else []


def _likeness(term: str, other: str) -> float:
    """How many characters of a Chinese term stand where they should; how alike Latin words are."""
    if CJK.match(term):
        return sum(mine == theirs for mine, theirs in zip(term, other, strict=True)) / len(term)
    return SequenceMatcher(None, term, other).ratio()
