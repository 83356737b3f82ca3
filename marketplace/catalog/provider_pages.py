"""What the page of a provider shows besides its courses: what it teaches next, with whom, in which fields."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.orm import aliased, joinedload

from marketplace.accounts.models import Organisation
from marketplace.catalog import listing
from marketplace.catalog.models import Course, CourseProvider, CourseRun
from marketplace.catalog.search import Wish
from marketplace.foundation.addresses import address_of
from marketplace.foundation.database import db
from marketplace.foundation.i18n import html_lang, pick

if TYPE_CHECKING:
    from datetime import datetime

    from werkzeug.datastructures import MultiDict

    from marketplace.catalog.search import Found

NEXT_RUNS, MOST_PARTNERS = 4, 12
# With so many courses one looks by field.
MANY = 6
KINDS = {"university": "CollegeOrUniversity"}


@dataclass(frozen=True)
class Partner:
    """Another provider and how many courses both provide together."""

    organisation: Organisation
    courses: int


@dataclass(frozen=True)
class Field:
    """A field the provider teaches, with how many courses of it, and the address that shows them alone, or all."""

    name: str
    count: int
    href: str
    is_chosen: bool


def read_wish(organisation_id: int, arguments: MultiDict[str, str]) -> Wish:
    """The courses of one provider, newest first, of the fields in the address."""
    asked = listing.read_wish(arguments)
    chosen = tuple(key for key in asked.facets if key.startswith("category:"))
    return Wish(facets=chosen, after=asked.after, provider_id=organisation_id)


def fields(public_id: str, wish: Wish, found: Found) -> list[Field]:
    """The fields as links, the largest first; none where there are few courses or one field."""
    counts = {key: count for key, count in found.counts.items() if key.startswith("category:")}
    if len(counts) < 2 or (sum(counts.values()) < MANY and not wish.facets):  # noqa: PLR2004 - a choice is one of two
        return []
    names = listing.facet_names(set(counts))
    made = []
    for key in sorted(names, key=lambda key: (-counts[key], names[key])):
        is_chosen = key in wish.facets
        chosen = tuple(other for other in wish.facets if other != key) if is_chosen else (*wish.facets, key)
        address = _address(public_id, replace(wish, facets=chosen, after=None))
        made.append(Field(names[key], counts[key], address, is_chosen))
    return made


def next_page(public_id: str, wish: Wish, found: Found) -> str | None:
    """The address of the next page, if there is one."""
    return _address(public_id, replace(wish, after=found.next_after)) if found.next_after else None


def _address(public_id: str, wish: Wish) -> str:
    path, asked = address_of("catalog.provider", public_id=public_id), listing.question(wish)
    return f"{path}?{asked}" if asked else path


def next_runs(organisation_id: int, *, now: datetime) -> list[CourseRun]:
    """The next runs one can enrol in, with their courses, by their start; those with a seat before full ones."""
    query = (
        select(CourseRun)
        .join(CourseRun.course)
        .join(CourseProvider, CourseProvider.course_id == Course.id)
        .where(
            CourseProvider.organisation_id == organisation_id,
            Course.state == "published",
            CourseRun.state == "scheduled",
            CourseRun.enrol_opens_at <= now,
            CourseRun.enrol_closes_at > now,
        )
        .options(joinedload(CourseRun.course))
        .order_by(CourseRun.seats_taken + CourseRun.seats_kept >= CourseRun.capacity, CourseRun.starts_at, CourseRun.id)
    )
    return sorted(db.session.scalars(query.limit(NEXT_RUNS)), key=lambda run: (run.starts_at, run.id))


def partners(organisation_id: int) -> list[Partner]:
    """The providers it teaches published courses together with, those of the most courses first."""
    mine, theirs = aliased(CourseProvider), aliased(CourseProvider)
    courses = func.count()
    together = (
        select(theirs.organisation_id, courses.label("courses"))
        .join(mine, mine.course_id == theirs.course_id)
        .join(Course, Course.id == mine.course_id)
        .where(
            mine.organisation_id == organisation_id,
            theirs.organisation_id != organisation_id,
            Course.state == "published",
        )
        .group_by(theirs.organisation_id)
        .order_by(courses.desc(), theirs.organisation_id)
        .limit(MOST_PARTNERS)
        .subquery()
    )
    query = select(Organisation, together.c.courses).join(together, together.c.organisation_id == Organisation.id)
    rows = db.session.execute(query.order_by(together.c.courses.desc(), Organisation.id))
    return [Partner(organisation, number) for organisation, number in rows]


def provider_data(organisation: Organisation, *, address: str, logo: str | None) -> dict[str, Any]:
    """The provider as schema.org describes it: https://schema.org/Organization."""
    here, other = ("zh", "en") if html_lang().startswith("zh") else ("en", "zh")
    names = [getattr(organisation, f"name_{lang}") for lang in (here, other)]
    data: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": KINDS.get(organisation.kind, "Organization"),
        "@id": address,
        "url": address,
        "name": str(pick(organisation, "name")),
        "description": str(pick(organisation, "summary")),
        "alternateName": names[1] if names[0] else "",
        "sameAs": organisation.website or "",
        "logo": logo or "",
        "address": {
            "@type": "PostalAddress",
            "addressLocality": str(pick(organisation, "city")),
            "addressCountry": organisation.country,
        },
    }
    return {name: value for name, value in data.items() if value}
