"""Where courses are found: words in both languages, facets with counts, pages by keyset.

Words are made here rather than in PostgreSQL, which cannot cut Chinese: rjieba's words for search plus every pair of
neighbouring characters, so that a two-character word inside a longer one is found. Latin words are folded (é → e) and
stored as written (prefixes match) and as English stems. docs/search.md tells the measurements behind it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import rjieba
from sqlalchemy import BigInteger, Text, cast, func, literal, literal_column, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, REGCONFIG, distinct_on
from sqlalchemy.orm import defer, selectinload

from marketplace.catalog.models import Course, CourseProvider, CourseRun, CourseSkill
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, transaction

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement

# Raised when the tokens change; `flask catalog reindex` rewrites courses of an older version.
TOKENISER_VERSION = 2
PAGE = 24
# The job runs each hour; a day covers one that could not.
STALE_AFTER = timedelta(days=1)
LONGEST_QUERY = 120
# Below this the nearest titles are noise: "交互" and "交友" share half of their trigrams.
NEAREST = 0.3

CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+")
LATIN = re.compile(r"[a-z0-9][a-z0-9+#.]*[a-z0-9+#]|[a-z0-9]")
SIMPLE: ColumnElement[Any] = cast(literal("simple"), REGCONFIG)
ENGLISH: ColumnElement[Any] = cast(literal("english"), REGCONFIG)


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
    return found + LATIN.findall(plain)


def _pairs(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]


def index_course(course: Course, *, now: datetime) -> None:
    """Write what a course is found by; every verb that changes a course or its runs calls it."""
    providers = [part for p in course.providers for part in (p.organisation.name_zh, p.organisation.name_en)]
    labels = [text or "" for s in course.skills for text in _skill_texts(s)]
    parts = {
        "A": [course.title_zh, course.title_en],
        "B": [course.summary_zh, course.summary_en, *providers, *labels],
        "C": [*course.outcomes_zh, *course.outcomes_en, course.description_zh, course.description_en],
    }
    vector: ColumnElement[Any] = func.to_tsvector(SIMPLE, "")
    for weight, texts in parts.items():
        text = " \n".join(texts)
        simple = func.to_tsvector(SIMPLE, " ".join(tokens(text)))
        english = func.to_tsvector(ENGLISH, " ".join(LATIN.findall(folded(text))))
        vector = vector.op("||")(func.setweight(simple.op("||")(english), literal_column(f"'{weight}'")))
    db.session.flush()
    db.session.execute(
        update(Course)
        .where(Course.id == course.id)
        .values(
            search=vector,
            search_text=folded(f"{course.title_zh} {course.title_en}"),
            search_version=TOKENISER_VERSION,
            facets=facet_keys(course, now=now),
        )
        .execution_options(synchronize_session=False)
    )


def _skill_texts(taught: CourseSkill) -> tuple[str | None, ...]:
    return (taught.skill.label_zh, taught.skill.label_en) if taught.skill else (taught.free_text,)


def facet_keys(course: Course, *, now: datetime) -> list[str]:
    """What the list can be narrowed by, from the course and its runs still open at `now`."""
    keys = {f"level:{course.level}"}
    if course.category is not None:
        keys.add(f"category:{course.category.code}")
    for run in course.runs:
        if run.state == "scheduled" and run.enrol_closes_at is not None and run.enrol_closes_at > now:
            keys |= {f"mode:{run.mode}", f"price:{'free' if run.is_free else 'paid'}"}
            keys |= {f"language:{lang}" for lang in (("zh", "en") if run.language == "both" else (run.language,))}
    return sorted(keys)


@dataclass(frozen=True)
class Wish:
    """What someone looks for: words, facets, an order ("relevance", "newest") and where the last page ended."""

    words: str = ""
    facets: tuple[str, ...] = ()
    order: str = "newest"
    after: tuple[int, int] | None = None
    provider_id: int | None = None


@dataclass
class Found:
    """One page of courses; `next_after` continues it; `is_nearest` when only titles like the words were found."""

    courses: list[Course]
    next_after: tuple[int, int] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    total: int = 0
    is_nearest: bool = False


def query_of(words: str) -> ColumnElement[Any] | None:
    """The tsquery of what someone typed, each word of which must match; None when there is no word in it."""
    found: ColumnElement[Any] | None = None
    plain = folded(words[:LONGEST_QUERY])
    for term in [*CJK.findall(plain), *LATIN.findall(plain)]:
        part = _query_of_term(term)
        found = part if found is None else found.op("&&")(part)
    return found


def _query_of_term(term: str) -> ColumnElement[Any]:
    if not CJK.match(term):
        prefix = func.to_tsquery(SIMPLE, f"{_quoted(term)}:*")
        return prefix.op("||")(func.plainto_tsquery(ENGLISH, term))
    if len(term) == 1:
        return func.to_tsquery(SIMPLE, f"{_quoted(term)}:*")
    by_words = " & ".join(_quoted(word) for word in rjieba.cut(term) if len(word) > 1)
    by_pairs = " & ".join(_quoted(pair) for pair in _pairs(term))
    return func.to_tsquery(SIMPLE, f"({by_words}) | ({by_pairs})" if by_words else by_pairs)


def _quoted(lexeme: str) -> str:
    return "'" + lexeme.replace("'", "''").replace("\\", "\\\\") + "'"


def find_courses(wish: Wish, *, with_counts: bool = True) -> Found:
    """One page of published courses for a wish: at most six queries, whatever it asks for."""
    query = query_of(wish.words)
    conditions = _conditions(wish)
    found = _page(wish, [*conditions, Course.search.op("@@")(query)] if query is not None else conditions, query)
    if with_counts:
        matched = [*conditions, Course.search.op("@@")(query)] if query is not None else conditions
        found.counts, found.total = count_facets(matched)
    if not found.courses and query is not None and wish.after is None:
        found.courses = _nearest(wish, conditions)
        found.is_nearest = bool(found.courses)
    return found


def _conditions(wish: Wish) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [Course.state == "published"]
    if wish.facets:
        conditions.append(Course.facets.op("@>")(cast(list(wish.facets), ARRAY(Text))))
    if wish.provider_id is not None:
        mine = select(CourseProvider.course_id).where(CourseProvider.organisation_id == wish.provider_id)
        conditions.append(Course.id.in_(mine))
    return conditions


def _page(wish: Wish, conditions: list[ColumnElement[bool]], query: ColumnElement[Any] | None) -> Found:
    """Order by a whole number and the id, both descending: a keyset that survives new courses between two pages."""
    if query is not None and wish.order == "relevance":
        key = cast(func.ts_rank_cd(Course.search, query, 2) * 1_000_000, BigInteger)
    else:
        key = cast(func.extract("epoch", Course.published_at) * 1_000_000, BigInteger)
    statement = select(Course, key).where(*conditions)
    if wish.after is not None:
        statement = statement.where(tuple_(key, Course.id) < wish.after)
    statement = statement.order_by(*_order(wish, query, key)).limit(PAGE + 1).options(*_what_a_card_shows())
    rows = db.session.execute(statement).all()
    last = (rows[PAGE - 1][1], rows[PAGE - 1][0].id) if len(rows) > PAGE else None
    return Found(courses=[course for course, _key in rows[:PAGE]], next_after=last)


def _order(wish: Wish, query: ColumnElement[Any] | None, key: ColumnElement[Any]) -> list[Any]:
    if query is not None and wish.order == "relevance":
        return [key.desc(), Course.id.desc()]
    # Exactly the index ix_course_published, which then gives the page without sorting.
    return [Course.published_at.desc(), Course.id.desc()]


def _nearest(wish: Wish, conditions: list[ColumnElement[bool]]) -> list[Course]:
    """Titles like the words, for a slip of the finger; the trigram index gives them nearest first."""
    plain = folded(wish.words[:LONGEST_QUERY])
    likeness = func.word_similarity(plain, Course.search_text)
    statement = select(Course).where(*conditions, likeness >= NEAREST, literal(plain).op("<%")(Course.search_text))
    statement = statement.order_by(likeness.desc(), Course.id.desc()).limit(PAGE).options(*_what_a_card_shows())
    db.session.execute(select(func.set_config("pg_trgm.word_similarity_threshold", str(NEAREST), True)))
    return list(db.session.scalars(statement))


def count_facets(conditions: list[ColumnElement[bool]]) -> tuple[dict[str, int], int]:
    """How many of the matching courses have each facet, and how many match at all."""
    matched = select(Course.id, Course.facets).where(*conditions).subquery()
    total = select(literal("total").label("key"), func.count().label("courses")).select_from(matched)
    key = func.unnest(matched.c.facets).label("key")
    each = select(key, func.count().label("courses")).group_by(key)
    counts = {key: count for key, count in db.session.execute(total.union_all(each))}  # noqa: C416 - rows, not pairs
    return counts, counts.pop("total")


def _what_a_card_shows() -> list[Any]:
    return [
        # The long texts are for the course's own page.
        *(defer(column) for column in (Course.description_zh, Course.description_en)),
        *(defer(column) for column in (Course.outcomes_zh, Course.outcomes_en)),
        *(defer(column) for column in (Course.syllabus_zh, Course.syllabus_en)),
        selectinload(Course.providers).joinedload(CourseProvider.organisation),
        selectinload(Course.category),
    ]


def _what_words_need() -> list[Any]:
    return [
        selectinload(Course.providers).joinedload(CourseProvider.organisation),
        selectinload(Course.category),
        selectinload(Course.runs),
        selectinload(Course.skills).joinedload(CourseSkill.skill),
    ]


def next_runs(course_ids: Iterable[int], *, now: datetime) -> dict[int, CourseRun]:
    """The earliest run of each course that can still be booked, in one query."""
    query = (
        select(CourseRun)
        .where(
            CourseRun.course_id.in_(list(course_ids)),
            CourseRun.state == "scheduled",
            CourseRun.enrol_closes_at > now,
        )
        .ext(distinct_on(CourseRun.course_id))
        .order_by(CourseRun.course_id, CourseRun.starts_at)
    )
    return {run.course_id: run for run in db.session.scalars(query)}


def reindex(*, now: datetime, batch: int = 200, everything: bool = False) -> int:
    """Rewrite the words of courses indexed by an older tokeniser (or of all); the caller's transaction. How many."""
    query = select(Course).order_by(Course.id).options(*_what_words_need())
    if not everything:
        query = query.where(Course.search_version < TOKENISER_VERSION)
    done = 0
    for course in db.session.scalars(query.execution_options(yield_per=batch)):
        index_course(course, now=now)
        done += 1
    return done


def refresh_facets(*, now: datetime) -> int:
    """Index anew the courses with a run that stopped being bookable since STALE_AFTER before `now`; how many."""
    ended = select(CourseRun.course_id).where(CourseRun.enrol_closes_at.between(now - STALE_AFTER, now))
    query = select(Course).where(Course.id.in_(ended)).options(*_what_words_need())
    with transaction():
        courses = db.session.scalars(query).all()
        for course in courses:
            index_course(course, now=now)
    return len(courses)


@jobs.periodic(cron="11 * * * *", name="catalog.refresh_facets")
def refresh() -> None:
    """Every hour: facets tell of runs that can be booked, and runs close as time passes."""
    refresh_facets(now=clock.now())
