"""Where courses are found: words in both languages, facets with counts, pages by keyset, each in its order."""
# ruff: noqa: S608 - statements are put together from words of our own; values go by their places

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import cast, func, literal, literal_column, select, update
from sqlalchemy.dialects.postgresql import REGCONFIG, insert
from sqlalchemy.orm import selectinload

from marketplace.catalog import facets
from marketplace.catalog.cards import CARDS, Card, card_of
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.facets import Condition
from marketplace.catalog.models import Course, CourseSkill, CourseState
from marketplace.catalog.pricing import RULES
from marketplace.catalog.words import LONGEST_QUERY, TOKENISER_VERSION, Query, folded, latin_words, query_of, tokens
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, read_marked, transaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement

PAGE = 24
# Below this the nearest titles are noise: "交互" and "交友" share half of their trigrams.
NEAREST = 0.3
# Of several words each may be misspelt, but on average they must be nearer.
NEAREST_OF_EACH = 0.45
REINDEX_AT_ONCE = 200

SIMPLE: ColumnElement[Any] = cast(literal("simple"), REGCONFIG)
ENGLISH: ColumnElement[Any] = cast(literal("english"), REGCONFIG)
# How each order is computed and read: exactly the columns of an index, which then gives a page without sorting.
# A keyset is a whole number and the id, so that new courses between two pages shift nothing.
ORDERS = {
    "newest": ("CAST(extract(epoch FROM entry.published_at) * 1000000 AS bigint)", "entry.published_at", "DESC"),
    "start": ("entry.sort_start", "entry.sort_start", "ASC"),
    "price": ("entry.sort_price", "entry.sort_price", "ASC"),
}
# Titles with all of the words come first, whatever else their text says how often. So that a word of half the catalogue
# costs no more than a rare one, the newest of each kind are ranked, and the others only when a page reaches them.
MOST_TITLED, MOST_OTHERS = 300, 300
RELEVANCE = """
    WITH titled AS MATERIALIZED (
        SELECT id, CAST(1000000000 + ts_rank_cd(title_words, {query}, 2) * 1000000 AS bigint) AS key
          FROM (SELECT course_id AS id, title_words FROM course_entry AS entry
                 WHERE {where} AND title_words @@ ({query})
                 ORDER BY published_at DESC, course_id DESC LIMIT {most_titled}) AS newest),
    others AS (
        SELECT id, CAST(ts_rank_cd(words, {query}, 2) * 1000000 AS bigint) AS key
          FROM (SELECT course_id AS id, words FROM course_entry AS entry
                 WHERE {where} AND words @@ ({query}) AND NOT title_words @@ ({query})
                   AND (SELECT count(*) FROM titled WHERE {after}) < {limit}
                 ORDER BY published_at DESC, course_id DESC LIMIT {most_others}) AS newest)
    SELECT id, key FROM (SELECT * FROM titled UNION ALL SELECT * FROM others) AS ranked
     WHERE {after} ORDER BY key DESC, id DESC LIMIT {limit}
"""
# A sold-out run leaves the list at once; the counts follow within a minute (docs/search.md).
HAS_SEATS = """EXISTS (SELECT FROM course_run WHERE course_id = entry.course_id AND state = 'scheduled'
    AND seats_taken + seats_kept < capacity AND enrol_opens_at <= :now AND enrol_closes_at > :now)"""


def index_course(course: Course, *, now: datetime) -> None:
    """Write the entry that a published course is found, narrowed and sorted by; any other course has none.

    Every verb that changes a course or its runs calls it.
    """
    keys = facets.keys_of(course, now=now)
    # Withdrawing takes the entry away by itself.
    db.session.flush()
    if course.state == CourseState.PUBLISHED:
        written = {
            "published_at": course.published_at or course.created_at,
            "words": _vector(course),
            "titles": folded(f"{course.title_zh} {course.title_en}"),
            "facets": keys.facets,
            "sort_start": keys.sort_start,
            "sort_price": keys.sort_price,
            "indexed_at": func.clock_timestamp(),
        }
        entry = insert(CourseEntry).values(course_id=course.id, **written)
        db.session.execute(
            entry.on_conflict_do_update(index_elements=["course_id"], set_=written),
            execution_options={"synchronize_session": False},
        )
    version = update(Course).where(Course.id == course.id, Course.search_version != TOKENISER_VERSION)
    # Being indexed is no change of the course.
    version = version.values(search_version=TOKENISER_VERSION, updated_at=Course.updated_at)
    db.session.execute(version, execution_options={"synchronize_session": False})


def _vector(course: Course) -> ColumnElement[Any]:
    providers = [part for p in course.providers for part in (p.organisation.name_zh, p.organisation.name_en)]
    labels = [text or "" for s in course.skills for text in _skill_texts(s)]
    parts = {
        "A": [course.title_zh, course.title_en],
        "B": [course.summary_zh, course.summary_en, *providers, *labels],
        "C": [*course.outcomes_zh, *course.outcomes_en, course.description_zh, course.description_en],
    }
    vector: ColumnElement[Any] = func.to_tsvector(SIMPLE, "")
    for weight, texts in parts.items():
        vector = vector.op("||")(func.setweight(_words(" \n".join(texts)), literal_column(f"'{weight}'")))
    return vector


def _words(written: str) -> ColumnElement[Any]:
    simple = func.to_tsvector(SIMPLE, " ".join(tokens(written)))
    return simple.op("||")(func.to_tsvector(ENGLISH, " ".join(latin_words(written))))


def _skill_texts(taught: CourseSkill) -> tuple[str | None, ...]:
    if taught.skill is None:
        return (taught.free_text,) if taught.state != "rejected" else ()
    # A course is found by a skill once somebody has said that it teaches it.
    return (taught.skill.label_zh, taught.skill.label_en, taught.mapped_from) if taught.state == "reviewed" else ()


@dataclass(frozen=True)
class Wish:
    """What someone looks for: words, facets, an order (ORDERS or "relevance") and where the last page ended."""

    words: str = ""
    facets: tuple[str, ...] = ()
    order: str = "newest"
    after: tuple[int, int] | None = None
    provider_id: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What courses a list showed: a mark of all it tells of them, and the moment the newest course was indexed."""

    mark: int
    version: object


@dataclass
class Found:
    """One page of courses; `next_after` continues it; `is_nearest` when only titles like the words were found."""

    # Rows of CARDS: all that the page tells of its courses.
    rows: Sequence[Any]
    # Of these rows; None where none match exactly.
    seen: Seen | None = None
    # The rows are those the caller has seen, and were not read again.
    is_unchanged: bool = False
    next_after: tuple[int, int] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    total: int = 0
    # More match than were counted: each count is a least number.
    is_capped: bool = False
    is_nearest: bool = False

    @cached_property
    def courses(self) -> list[Card]:
        """The rows as cards, in the language spoken where they are asked for first."""
        return [card_of(row) for row in self.rows]

    @property
    def tally(self) -> tuple[object, ...]:
        """What the page tells of how many there are."""
        return self.counts, self.total, self.is_capped


def find_courses(
    wish: Wish,
    *,
    now: datetime | None = None,
    with_counts: bool = True,
    limit: int = PAGE,
    seen: Seen | None = None,
) -> Found:
    """One page of published courses for a wish at `now`: two queries, and at most three more for the nearest titles.

    Who has `seen` the page is told when nothing of its courses has changed, without its rows.
    """
    now = now or clock.now()
    query = query_of(wish.words)
    found = _page(wish, query, _provided(wish), now=now, limit=limit, seen=seen)
    if with_counts:
        version = found.seen and found.seen.version
        found.counts, found.total = facets.count(wish.facets, _others(wish, query), version=version)
        found.is_capped = query is not None and found.total >= facets.MOST_COUNTED
    if found.seen is None and query is not None and wish.after is None:
        found.rows = _nearest(wish, query, now=now)
        found.is_nearest = bool(found.rows)
    return found


def count_without_each(wish: Wish) -> dict[str, int]:
    """How many courses there would be without each of the facets, in one query."""
    return facets.totals_without_each(wish.facets, _others(wish, query_of(wish.words)))


def _others(wish: Wish, query: Query | None) -> list[Condition]:
    """What is asked besides facets."""
    words = [] if query is None else [Condition(f"entry.words @@ ({query.sql})", dict(query.values))]
    return [*words, *_provided(wish)]


def _provided(wish: Wish) -> list[Condition]:
    if wish.provider_id is None:
        return []
    sql = "entry.course_id IN (SELECT course_id FROM course_provider WHERE organisation_id = :provider_id)"
    return [Condition(sql, {"provider_id": wish.provider_id})]


def _page(
    wish: Wish, query: Query | None, others: Sequence[Condition], *, now: datetime, limit: int, seen: Seen | None
) -> Found:
    conditions = [*others, *facets.conditions(wish.facets)]
    if "seats:left" in wish.facets:
        conditions.append(Condition(HAS_SEATS, {}))
    # How many is a word of the statement: PostgreSQL plans one with a place for it anew each time.
    values: dict[str, object] = {}
    if wish.after is not None:
        values = {"after_key": wish.after[0], "after_id": wish.after[1]}
    for part in conditions:
        values |= part.values
    where = " AND ".join(part.sql for part in conditions) or "true"
    if query is not None:
        values |= query.values
        # PostgreSQL thinks that @@ costs nothing, and would unpack the long words of every course.
        db.session.execute(select(func.set_config("enable_seqscan", "off", True)))
    if wish.order == "relevance" and query is not None:
        direction, chosen = "DESC", _by_relevance(query, where, has_after=wish.after is not None, limit=limit + 1)
    else:
        direction, chosen = _by_column(wish, query, where, limit=limit + 1)
    mark, rows = _cards(chosen, values, direction, now=now, known=seen.mark if seen else None)
    if seen is not None and mark == seen.mark:
        return Found([], seen, is_unchanged=True)
    last = (rows[limit - 1].key, rows[limit - 1].id) if len(rows) > limit else None
    return Found(rows[:limit], Seen(mark, rows[0].version) if mark is not None else None, next_after=last)


def _by_relevance(query: Query, where: str, *, has_after: bool, limit: int) -> str:
    after = "(key, id) < (CAST(:after_key AS bigint), CAST(:after_id AS bigint))" if has_after else "true"
    most = {"most_titled": MOST_TITLED, "most_others": MOST_OTHERS, "limit": limit}
    return RELEVANCE.format(query=query.sql, where=where, after=after, **most)


def _by_column(wish: Wish, query: Query | None, where: str, *, limit: int) -> tuple[str, str]:
    key, column, direction = ORDERS.get(wish.order, ORDERS["newest"])
    if query is not None:
        where += f" AND entry.words @@ ({query.sql})"
    if wish.after is not None:
        where += f" AND ({key}, entry.course_id) {'<' if direction == 'DESC' else '>'} (:after_key, :after_id)"
    order = f"{column} {direction}, entry.course_id {direction}"
    return (
        direction,
        f"SELECT course_id AS id, {key} AS key FROM course_entry AS entry WHERE {where} ORDER BY {order} LIMIT {limit}",
    )


def _cards(
    chosen: str, values: dict[str, object], direction: str, *, now: datetime, known: int | None = None
) -> tuple[int | None, list[Any]]:
    """The mark and the rows of cards for a statement that chooses (id, key), as `read_marked` gives them."""
    statement = CARDS.format(chosen=chosen, direction=direction, rules=RULES)
    return read_marked(statement, values | {"now": now}, known=known)


def _nearest(wish: Wish, query: Query, *, now: datetime) -> Sequence[Any]:
    """Titles like the words, for a slip of the finger: like each of them, or else like all of them in a row."""
    db.session.execute(select(func.set_config("pg_trgm.word_similarity_threshold", str(NEAREST), True)))
    whole = (folded(wish.words[:LONGEST_QUERY]),)
    rows: Sequence[Any] = ()
    if len(query.terms) > 1:
        rows = _like(query.terms, NEAREST_OF_EACH, wish.facets, now=now)
    return rows or _like(whole, NEAREST, wish.facets, now=now)


def _like(terms: tuple[str, ...], least: float, narrowed: Sequence[str], *, now: datetime) -> Sequence[Any]:
    """Courses whose titles are like each of the terms, by `least` on average, the likest first."""
    values: dict[str, object] = {f"term{number}": term for number, term in enumerate(terms)}
    likeness = " + ".join(f"word_similarity(:{place}, entry.titles)" for place in values)
    # The trigram index serves each <%.
    parts = [f":{place} <% entry.titles" for place in values]
    parts.append(f"{likeness} >= :least")
    for condition in facets.conditions(narrowed):
        parts.append(condition.sql)
        values |= condition.values
    chosen = f"SELECT course_id AS id, {likeness} AS key FROM course_entry AS entry WHERE {' AND '.join(parts)}"
    values["least"] = least * len(terms)
    return _cards(f"{chosen} ORDER BY key DESC, id DESC LIMIT {PAGE}", values, "DESC", now=now)[1]


def _what_words_need() -> list[Any]:
    return [*facets.what_keys_need(), selectinload(Course.skills).joinedload(CourseSkill.skill)]


def reindex(*, now: datetime, everything: bool = False, at_most: int | None = None) -> int:
    """Index courses of an older tokeniser (or all) anew; the caller's transaction. How many."""
    query = select(Course).order_by(Course.id).limit(at_most).options(*_what_words_need())
    if not everything:
        query = query.where(Course.search_version < TOKENISER_VERSION)
    done = 0
    for course in db.session.scalars(query.execution_options(yield_per=REINDEX_AT_ONCE)):
        index_course(course, now=now)
        done += 1
    return done


@jobs.periodic(cron="* * * * *", name="catalog.reindex")
def reindex_some() -> None:
    """Every minute, while there are any: some courses whose words an older version of this program wrote."""
    with transaction():
        reindex(now=clock.now(), at_most=REINDEX_AT_ONCE)
