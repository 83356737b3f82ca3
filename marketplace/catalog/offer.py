"""What the catalogue offers: one course, one run, one provider, and the lists of the home page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

from marketplace.accounts.models import PROVIDER_KINDS, Organisation
from marketplace.catalog.course_pages import CourseOnPage, RunFacts
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.models import Category, Course, CourseProvider, CourseRun
from marketplace.foundation import clock
from marketplace.foundation.database import db, one_row
from marketplace.foundation.errors import NotFound
from marketplace.foundation.keeping import Shelf, kept

if TYPE_CHECKING:
    from datetime import datetime

KEPT_SECONDS = 60
# A file of a site map takes 50,000 addresses, and each course has one in each language.
LARGEST_SITEMAP = 25_000


@dataclass(frozen=True)
class RunOnPage:
    """A run as its course's page shows it: where it stands, in words of `status`."""

    run: CourseRun | RunFacts
    status: str

    @property
    def is_bookable(self) -> bool:
        """Whether a seat can be taken now."""
        return self.status == "open"


def runs_on_page(course: Course | CourseOnPage, *, now: datetime) -> list[RunOnPage]:
    """The runs people can still think of, bookable ones first, then by start."""
    shown = [RunOnPage(run, run_status(run, now=now)) for run in course.runs if run.state != "draft"]
    still = [item for item in shown if item.run.ends_at is not None and item.run.ends_at > now]
    return sorted(still, key=lambda item: (not item.is_bookable, item.run.starts_at))


def run_status(run: CourseRun | RunFacts, *, now: datetime) -> str:
    """One of cancelled, not_open, open, sold_out, closed."""
    if run.state == "cancelled":
        return "cancelled"
    if run.enrol_opens_at is None or run.enrol_closes_at is None or now < run.enrol_opens_at:
        return "not_open"
    if now >= run.enrol_closes_at:
        return "closed"
    return "open" if run.seats_left() > 0 else "sold_out"


def get_run(public_id: str) -> CourseRun:
    """A scheduled or cancelled run of a published course, with course and sessions; raises NotFound."""
    query = (
        select(CourseRun)
        .join(CourseRun.course)
        .where(CourseRun.public_id == public_id, CourseRun.state != "draft", Course.state == "published")
        .options(
            joinedload(CourseRun.course).joinedload(Course.category),
            joinedload(CourseRun.course).selectinload(Course.providers).joinedload(CourseProvider.organisation),
            selectinload(CourseRun.sessions),
        )
    )
    run = db.session.scalars(query).one_or_none()
    if run is None:
        raise NotFound
    return run


# A run keeps its ids for ever.
_run_ids = Shelf(600)


def get_run_id(public_id: str) -> int:
    """The id of a run by its public one, whatever its state, for acts that ask about it themselves; raises NotFound."""
    run_id: int | None = _run_ids.find(public_id)
    if run_id is None:
        row = one_row("SELECT id FROM course_run WHERE public_id = %(public_id)s", {"public_id": public_id})
        if row is None:
            raise NotFound
        run_id = int(row[0])
        _run_ids.put(public_id, run_id)
    return run_id


def get_provider(public_id: str) -> Organisation:
    """A university or industry partner; raises NotFound, also for employers."""
    query = select(Organisation).where(Organisation.public_id == public_id, Organisation.kind.in_(PROVIDER_KINDS))
    found = db.session.scalars(query).one_or_none()
    if found is None:
        raise NotFound
    return found


def list_categories() -> list[Category]:
    """All categories in their order, as rows; pages read `shelves.list_shelves`."""
    return list(db.session.scalars(select(Category).order_by(Category.position, Category.id)))


@kept(KEPT_SECONDS)
def count_offer() -> dict[str, int]:
    """How much there is, for the home page: published courses, runs to book, providers; kept a minute."""
    now = clock.now()
    published = select(func.count()).select_from(CourseEntry).scalar_subquery()
    bookable = (
        select(func.count())
        .select_from(CourseRun)
        .where(CourseRun.state == "scheduled", CourseRun.enrol_opens_at <= now, CourseRun.enrol_closes_at > now)
        .scalar_subquery()
    )
    providers = (
        select(func.count()).select_from(Organisation).where(Organisation.kind.in_(PROVIDER_KINDS)).scalar_subquery()
    )
    courses, runs, organisations = db.session.execute(select(published, bookable, providers)).one()
    return {"courses": courses, "runs": runs, "providers": organisations}


def count_for_sitemap() -> int:
    """How many files the site map has: one for each LARGEST_SITEMAP published courses, and one in any case."""
    published = db.session.scalar(select(func.count()).select_from(CourseEntry)) or 0
    return max(1, -(-published // LARGEST_SITEMAP))


def list_for_sitemap(number: int = 1) -> list[tuple[str, datetime]]:
    """Public id and last change of the published courses of one file of the site map, counted from 1."""
    query = select(Course.public_id, Course.updated_at).join(CourseEntry).order_by(Course.id)
    rows = db.session.execute(query.limit(LARGEST_SITEMAP).offset((number - 1) * LARGEST_SITEMAP))
    return [(public_id, changed) for public_id, changed in rows]


def list_providers_for_sitemap() -> list[str]:
    """Public ids of the providers of published courses: hundreds, and all in the first file."""
    provides = (
        select(CourseProvider.course_id)
        .join(CourseProvider.course)
        .where(CourseProvider.organisation_id == Organisation.id, Course.state == "published")
    )
    query = select(Organisation.public_id).where(Organisation.kind.in_(PROVIDER_KINDS), provides.exists())
    return list(db.session.scalars(query.order_by(Organisation.id)))
