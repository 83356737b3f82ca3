"""What staff name when they bind a voucher: runs and courses by their address, people by theirs; and the way back.

The funding room keeps numbers alone, since it does not know the catalogue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.accounts.models import Organisation, Person
from marketplace.catalog.models import Course, CourseRun
from marketplace.enrolment.models import Order, OrderLine
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import LazyString, lazy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from marketplace.funding.voucher_models import VoucherBatch

MOST_NAMED = 200
Row = TypeVar("Row", Course, Organisation, Person)
DOMAIN = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)+\Z")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a code is bound to, by key; nothing binds nothing."""

    run_ids: frozenset[int] = frozenset()
    course_ids: frozenset[int] = frozenset()
    provider_ids: frozenset[int] = frozenset()
    person_ids: frozenset[int] = frozenset()
    email_domains: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BoundNames:
    """The same by name, for a page."""

    runs: Sequence[CourseRun]
    courses: Sequence[Course]
    providers: Sequence[Organisation]
    people: Sequence[Person]
    email_domains: Sequence[str]

    @property
    def is_empty(self) -> bool:
        """Whether it is for everyone and everything."""
        return not (self.runs or self.courses or self.providers or self.people or self.email_domains)


def read(*, runs: str, courses: str, provider_id: int | None, people: str, domains: str) -> Bounds:
    """Find what was typed, line by line; raises Invalid beside the field that names something unknown."""
    wrong: dict[str, str | LazyString] = {}
    found_runs = _by_key(CourseRun.id, CourseRun.public_id, _ids(runs))
    found_courses = _by_key(Course.id, Course.public_id, _ids(courses))
    found_people = _by_key(Person.id, Person.email, {line.lower() for line in _lines(people)})
    for name, typed, found in (
        ("runs", _ids(runs), found_runs),
        ("courses", _ids(courses), found_courses),
        ("people", {line.lower() for line in _lines(people)}, found_people),
    ):
        missing = sorted(typed - found.keys())
        if missing:
            wrong[name] = lazy("We do not know %(what)s.", what=", ".join(missing[:5]))
    named_domains = {line.lower().lstrip("@") for line in _lines(domains)}
    odd = sorted(domain for domain in named_domains if not DOMAIN.match(domain))
    if odd:
        wrong["domains"] = lazy("This is no mail domain: %(what)s.", what=", ".join(odd[:5]))
    if wrong:
        raise Invalid("voucher_bounds_not_valid", lazy("Please check what you entered"), wrong)
    return Bounds(
        run_ids=frozenset(found_runs.values()),
        course_ids=frozenset(found_courses.values()),
        provider_ids=frozenset({provider_id} if provider_id else ()),
        person_ids=frozenset(found_people.values()),
        email_domains=frozenset(named_domains),
    )


def _lines(typed: str) -> list[str]:
    return [line.strip() for line in re.split(r"[\n,;，；]", typed) if line.strip()][:MOST_NAMED]


def _ids(typed: str) -> set[str]:
    """Public ids, each alone or as the address of a page that holds it."""
    found = set()
    for line in _lines(typed):
        in_address = re.search(r"/(?:runs|courses)/([0-9a-z]+)", line.lower())
        found.add(in_address[1] if in_address else line.lower())
    return found


def _by_key(column: object, key: object, typed: Iterable[str]) -> dict[str, int]:
    query = select(key, column).where(key.in_(sorted(typed)))  # type: ignore[call-overload,attr-defined]  # any model's
    return {name: number for name, number in db.session.execute(query)}  # noqa: C416 - rows are not pairs to mypy


def names_of(batch: VoucherBatch) -> BoundNames:
    """What a batch is bound to; a query for each kind that binds."""
    runs = select(CourseRun).where(CourseRun.id.in_(batch.run_ids)).options(joinedload(CourseRun.course))
    return BoundNames(
        runs=db.session.scalars(runs).all() if batch.run_ids else [],
        courses=_all(Course, batch.course_ids),
        providers=_all(Organisation, batch.provider_ids),
        people=_all(Person, batch.person_ids),
        email_domains=batch.email_domains,
    )


def _all(model: type[Row], numbers: Sequence[int]) -> Sequence[Row]:
    return db.session.scalars(select(model).where(model.id.in_(numbers))).all() if numbers else []


def orders_of(line_ids: Sequence[int]) -> dict[int, Order]:
    """The orders of these lines, by line."""
    query = select(OrderLine).where(OrderLine.id.in_(line_ids)).options(joinedload(OrderLine.order))
    return {line.id: line.order for line in db.session.scalars(query)} if line_ids else {}
