"""The words that courses are found by, cut from texts in both languages, and the query made of what someone typed.

Words are made here rather than in PostgreSQL, which cannot cut Chinese: rjieba's words for search plus every pair of
neighbouring characters, so that a two-character word inside a longer one is found. Latin words are folded (é → e) and
stored as written (prefixes match) and as English stems. docs/search.md tells the measurements behind it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import rjieba

# Raised when the tokens change; courses of an older version are indexed anew by a job, or by `flask catalog reindex`.
TOKENISER_VERSION = 3
LONGEST_QUERY = 120

CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+")
LATIN = re.compile(r"[a-z0-9][a-z0-9+#.]*[a-z0-9+#]|[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Query:
    """What someone typed, as SQL: a `tsquery` that must match, with the values of its places.

    `terms` are the words by themselves, for the nearest titles when nothing matches.
    """

    sql: str
    values: dict[str, str]
    terms: tuple[str, ...]


def folded(text: str) -> str:
    """Lower case without accents, full-width forms made plain."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def tokens(text: str) -> list[str]:
    """The words a text is found by, with repetitions: Chinese words, pairs of characters, Latin words."""
    plain = folded(text)
    found: list[str] = []
    for run in CJK.findall(plain):
        found += [word for word in rjieba.cut_for_search(run) if len(word) > 1]
        found += _pairs(run)
        # A character typed alone matches the beginning of a pair; the last one begins none.
        found.append(run[-1])
    return found + latin_words(text)


def latin_words(text: str) -> list[str]:
    """The Latin words of a text, folded."""
    return LATIN.findall(folded(text))


def query_of(words: str) -> Query | None:
    """The query of what someone typed, each word of which must match; None when there is no word in it."""
    plain = folded(words[:LONGEST_QUERY])
    terms = [*CJK.findall(plain), *LATIN.findall(plain)]
    if not terms:
        return None
    parts, values = [], {}
    for number, term in enumerate(terms):
        place = f"word{number}"
        values[place] = _lexemes(term)
        if CJK.match(term):
            parts.append(f"to_tsquery('simple', :{place})")
        else:
            values[f"{place}e"] = term
            parts.append(f"(to_tsquery('simple', :{place}) || plainto_tsquery('english', :{place}e))")
    return Query(" && ".join(parts), values, tuple(terms))


def _lexemes(term: str) -> str:
    """The text of a tsquery: a beginning for Latin words and single characters; words or all pairs for Chinese ones."""
    if len(term) == 1 or not CJK.match(term):
        return f"{_quoted(term)}:*"
    by_words = " & ".join(_quoted(word) for word in rjieba.cut(term) if len(word) > 1)
    by_pairs = " & ".join(_quoted(pair) for pair in _pairs(term))
    return f"({by_words}) | ({by_pairs})" if by_words else by_pairs


def _pairs(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]


def _quoted(lexeme: str) -> str:
    return "'" + lexeme.replace("'", "''").replace("\\", "\\\\") + "'"
