"""What the list of courses is narrowed by and sorted by: keys written with each course, and counted.

A key is "group:value". Keys that depend on runs are those of runs one can still enrol in; they change as time passes
and seats are sold, so jobs write them anew (docs/search.md). Within a group one key of those chosen is enough; all
groups must be met.
"""
# ruff: noqa: S608 - statements are put together from words of our own; values go by their places

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import selectinload

from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.models import LAST, Course, CourseProvider, StaleCourse
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, read_rows, transaction
from marketplace.foundation.keeping import Shelf
from marketplace.foundation.money import DEFAULT_CURRENCY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.catalog.models import CourseRun

GROUPS = ("category", "level", "mode", "month", "price", "seats", "subsidised", "language", "provider", "skill")
# Prices of other currencies come after all of the default one: without a rate of exchange no other order is right.
OTHER_CURRENCY = 10**15
# The job of each minute looks back an hour, that of each day two days: for a worker that was not there.
RECENT, LONG_AGO = timedelta(hours=1), timedelta(days=2)
# Counts without words are kept this long, unless a course is indexed; counts alone: who follows one sees what is true.
KEPT_SECONDS = 60
_counts = Shelf(KEPT_SECONDS)
# Counts of longer lists are kept without asking whether a course was indexed meanwhile, and by one thread at a time.
LARGE = 10_000
_counting = Lock()
# With words at most so many courses are counted, whichever: the page says "more than".
MOST_COUNTED = 500
# The keys a list is narrowed by, while its courses are counted.
View = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """What is written with a course: its facets, and where it stands when sorted by start and by price."""

    facets: list[str]
    sort_start: int = LAST
    sort_price: int = LAST


def keys_of(course: Course, *, now: datetime) -> Keys:
    """The keys of a course with its runs as they are at `now`."""
    keys = {f"level:{course.level}"}
    if course.category is not None:
        keys.add(f"category:{course.category.code}")
    keys |= {f"provider:{part.organisation.kind}" for part in course.providers}
    keys |= {f"skill:{taught.skill_id}" for taught in course.skills if taught.skill_id and taught.state == "reviewed"}
    open_runs = [run for run in course.runs if _is_open(run, now)]
    for run in open_runs:
        keys |= _keys_of_run(run, now)
    return Keys(sorted(keys), _sort_start(open_runs), min(map(_price_key, open_runs), default=LAST))


def _is_open(run: CourseRun, now: datetime) -> bool:
    return run.state == "scheduled" and run.enrol_closes_at is not None and run.enrol_closes_at > now


def _keys_of_run(run: CourseRun, now: datetime) -> set[str]:
    keys = {f"mode:{run.mode}", f"price:{'free' if run.is_free else 'paid'}"}
    keys |= {f"language:{lang}" for lang in (("zh", "en") if run.language == "both" else (run.language,))}
    if run.starts_at is not None:
        keys.add(f"month:{run.starts_at.astimezone(run.tzinfo):%Y-%m}")
    if run.is_subsidised:
        keys.add("subsidised:yes")
    if run.seats_left() and run.enrol_opens_at is not None and run.enrol_opens_at <= now:
        keys.add("seats:left")
    return keys


def _sort_start(runs: list[CourseRun]) -> int:
    """Microseconds to the start that a card shows: the next one with a seat, or else the next."""
    starts = [(run.seats_left() == 0, run.starts_at) for run in runs if run.starts_at is not None]
    return round(min(starts)[1].timestamp() * 1_000_000) if starts else LAST


def _price_key(run: CourseRun) -> int:
    return run.price_minor + (0 if run.currency == DEFAULT_CURRENCY else OTHER_CURRENCY)


@dataclass(frozen=True, slots=True)
class Condition:
    """A part of WHERE over `course_entry AS entry`, with the values of its places."""

    sql: str
    values: dict[str, object]


def chosen_by_group(facets: Sequence[str]) -> dict[str, list[str]]:
    """The chosen keys by their group."""
    groups: dict[str, list[str]] = {}
    for facet in facets:
        groups.setdefault(facet.partition(":")[0], []).append(facet)
    return groups


def conditions(facets: Sequence[str]) -> list[Condition]:
    """That a course has one of the chosen keys of each group; the index on `facets` serves each of them."""
    return [
        Condition(f"entry.facets && CAST(:facets_{group} AS text[])", {f"facets_{group}": keys})
        for group, keys in chosen_by_group(facets).items()
    ]


def count(facets: Sequence[str], others: Sequence[Condition], *, version: object) -> tuple[dict[str, int], int]:
    """How many courses each key would leave, and how many there are now.

    The keys of a group are counted as if none of that group were chosen, since choosing another one widens the list.
    `others` are the conditions of words and provider; without any, counts are kept under `version` (the moment the
    newest course was indexed; None: counted anew).
    """
    groups = list(chosen_by_group(facets))
    views = [tuple(facets)]
    views += [tuple(facet for facet in facets if not facet.startswith(f"{group}:")) for group in groups]
    found = _counted(views, others, version=version)
    counts = dict(found[views[0]])
    total = counts.pop("total", 0)
    for group, view in zip(groups, views[1:], strict=True):
        counts = {key: number for key, number in counts.items() if not key.startswith(f"{group}:")}
        counts |= {key: number for key, number in found[view].items() if key.startswith(f"{group}:")}
    return counts, total


def totals_without_each(facets: Sequence[str], others: Sequence[Condition]) -> dict[str, int]:
    """How many courses there would be without each of these keys."""
    views = {key: tuple(other for other in facets if other != key) for key in facets}
    found = _count(list(dict.fromkeys(views.values())), others, limit=MOST_COUNTED) if views else {}
    return {key: found[view].get("total", 0) for key, view in views.items()}


def _counted(views: list[View], others: Sequence[Condition], *, version: object) -> dict[View, dict[str, int]]:
    """The counts of each view, those that are kept and the rest from the database."""
    if others or version is None:
        return _count(list(dict.fromkeys(views)), others, limit=MOST_COUNTED if others else None)
    found = _kept_counts(views, version)
    if all(view in found for view in views):
        return found
    with _counting:
        found = _kept_counts(views, version)
        missing = [view for view in dict.fromkeys(views) if view not in found]
        fresh = _count(missing, others, limit=None) if missing else {}
    for view, counts in fresh.items():
        _counts.put((None if counts.get("total", 0) > LARGE else version, view), counts)
    return found | fresh


def _kept_counts(views: list[View], version: object) -> dict[View, dict[str, int]]:
    found = {view: _counts.find((None, view)) or _counts.find((version, view)) for view in views}
    return {view: counts for view, counts in found.items() if counts is not None}


def _count(views: list[View], others: Sequence[Condition], *, limit: int | None) -> dict[View, dict[str, int]]:
    """One statement for all views: a course has a key once, so counting keys counts courses."""
    statements, values = [], {}
    for number, view in enumerate(views):
        parts = ["true", *(part.sql for part in others)]
        for condition in conditions(view):
            [(place, keys)] = condition.values.items()
            parts.append(condition.sql.replace(f":{place}", f":v{number}_{place}"))
            values[f"v{number}_{place}"] = keys
        courses = f"SELECT facets FROM course_entry AS entry WHERE {' AND '.join(parts)}" + (
            f" LIMIT {limit}" if limit else ""
        )
        statements.append(
            f"(SELECT {number} AS view, key, count(*) FROM ({courses}) AS matched,"
            " unnest(facets || CAST('total' AS text)) AS key GROUP BY key)"
        )
    values |= {place: value for part in others for place, value in part.values.items()}
    found: dict[View, dict[str, int]] = {view: {} for view in views}
    for number, key, courses in read_rows(" UNION ALL ".join(statements), values):
        found[views[number]][key] = courses
    return found


def refresh(*, now: datetime, back: timedelta = RECENT) -> int:
    """Write the keys anew of courses with a run that opened, closed, sold out or has seats again; how many changed."""
    with transaction():
        marked = db.session.scalars(delete(StaleCourse).returning(StaleCourse.course_id)).all()
        turned = text(
            "SELECT course_id FROM course_run WHERE enrol_closes_at BETWEEN :since AND :now"
            " OR enrol_opens_at BETWEEN :since AND :now"
        )
        ids = {*marked, *db.session.scalars(turned, {"since": now - back, "now": now})}
        entries = select(CourseEntry).where(CourseEntry.course_id.in_(ids)).execution_options(populate_existing=True)
        written = {entry.course_id: entry for entry in db.session.scalars(entries)}
        query = select(Course).where(Course.id.in_(written)).order_by(Course.id).options(*what_keys_need())
        courses = db.session.scalars(query.execution_options(populate_existing=True)).all()
        return sum(_write(written[course.id], keys_of(course, now=now)) for course in courses)


def _write(entry: CourseEntry, keys: Keys) -> bool:
    """Write the keys of a course if they are new. Its words stay as they are."""
    if (entry.facets, entry.sort_start, entry.sort_price) == (keys.facets, keys.sort_start, keys.sort_price):
        return False
    values = {"facets": keys.facets, "sort_start": keys.sort_start, "sort_price": keys.sort_price}
    statement = update(CourseEntry).where(CourseEntry.course_id == entry.course_id)
    statement = statement.values(**values, indexed_at=func.clock_timestamp())
    db.session.execute(statement.execution_options(synchronize_session=False))
    return True


def what_keys_need() -> list[Any]:
    """Loader options for courses that `keys_of` reads."""
    return [
        selectinload(Course.providers).joinedload(CourseProvider.organisation),
        selectinload(Course.category),
        selectinload(Course.runs),
        selectinload(Course.skills),
    ]


@jobs.periodic(cron="* * * * *", name="catalog.refresh_facets")
def refresh_recent() -> None:
    """Every minute: seats are sold, runs open and close."""
    refresh(now=clock.now())


@jobs.periodic(cron="23 4 * * *", name="catalog.refresh_facets_of_days")
def refresh_days() -> None:
    """Every night: what a worker that did not run has missed."""
    refresh(now=clock.now(), back=LONG_AGO)
