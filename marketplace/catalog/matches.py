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
    conditions = facets.conditions(wish.facets)
    if query is not None:
        conditions.append(Condition(f"entry.words @@ ({query.sql})", dict(query.values)))
    if since is not None:
        conditions.append(Condition("entry.indexed_at >= :since", {"since": since}))
    where = " AND ".join(part.sql for part in conditions) or "true"
    values = {place: value for part in conditions for place, value in part.values.items()}
    found: int | None = db.session.scalar(
        text(
            f"SELECT course_id FROM course_entry AS entry WHERE {where}"
            " ORDER BY published_at DESC, course_id DESC LIMIT 1"
        ),
        values,
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
            "SELECT titles FROM course_entry WHERE :words <% titles"
            " ORDER BY word_similarity(:words, titles) DESC, course_id DESC LIMIT :most"
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
        statements.append(f"SELECT {number} WHERE EXISTS (SELECT FROM course_entry WHERE words @@ ({sql}))")
    found = db.session.scalars(text(" UNION ALL ".join(statements)), values).all() if statements else []
    return [spelt[number] for number in sorted(found)]
