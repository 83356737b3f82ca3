"""Whether a published course answers what somebody looked for: exactly, or if a word were spelt otherwise."""
# ruff: noqa: S608 - statements are put together from words of our own; values go by their places

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from marketplace.catalog import facets, spelling
from marketplace.catalog.facets import Condition
from marketplace.catalog.words import LONGEST_QUERY, folded, query_of
from marketplace.foundation.database import db

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.catalog.search import Wish

# Titles among which the right spelling is looked for, and how like the words they must be.
MOST_TITLES, LIKE = 24, 0.25
MOST_SPELLINGS = 3


def find_match(wish: Wish, *, since: datetime | None = None) -> int | None:
    """The newest published course that has the words and facets; of those indexed since a moment, if one is given."""
    query = query_of(wish.words)
    conditions = [Condition("state = 'published'", {}), *facets.conditions(wish.facets)]
    if query is not None:
        conditions.append(Condition(f"search @@ ({query.sql})", dict(query.values)))
    if since is not None:
        conditions.append(Condition("indexed_at >= :since", {"since": since}))
    where = " AND ".join(part.sql for part in conditions)
    values = {place: value for part in conditions for place, value in part.values.items()}
    found: int | None = db.session.scalar(
        text(f"SELECT id FROM course WHERE {where} ORDER BY published_at DESC, id DESC LIMIT 1"), values
    )
    return found


def spellings(wish: Wish) -> list[str]:
    """Other spellings of the words, near ones of titles that there are; each finds a course, without any facet."""
    query = query_of(wish.words)
    if query is None:
        return []
    words = folded(wish.words[:LONGEST_QUERY])
    likeness = f"SELECT set_config('pg_trgm.word_similarity_threshold', '{LIKE}', true)"
    db.session.execute(text(likeness))
    titles = db.session.scalars(
        text(
            "SELECT search_text FROM course WHERE state = 'published' AND :words <% search_text"
            " ORDER BY word_similarity(:words, search_text) DESC, id DESC LIMIT :most"
        ),
        {"words": words, "most": MOST_TITLES},
    ).all()
    return _that_find(spelling.nearest(words, query.terms, titles)[:MOST_SPELLINGS])


def _that_find(spelt: list[str]) -> list[str]:
    """Those of the spellings that find a course, asked in one statement."""
    statements: list[str] = []
    values: dict[str, str] = {}
    for number, words in enumerate(spelt):
        query = query_of(words)
        if query is None:
            continue
        sql = query.sql.replace(":word", f":s{number}word")
        values |= {f"s{number}{place}": value for place, value in query.values.items()}
        statements.append(
            f"SELECT {number} WHERE EXISTS (SELECT FROM course WHERE state = 'published' AND search @@ ({sql}))"
        )
    found = db.session.scalars(text(" UNION ALL ".join(statements)), values).all() if statements else []
    return [spelt[number] for number in sorted(found)]
