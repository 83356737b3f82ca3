"""Wishes: people who want to hear when a course has a run to book. Told once, removable, counted as demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import exists, func, select
from sqlalchemy.orm import joinedload

from marketplace.accounts import letters
from marketplace.catalog.models import Course, CourseProvider, CourseRun, CourseState, RunState
from marketplace.enrolment.seat_models import WaitingEntry, WaitingState, Wish
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Subquery

log = structlog.get_logger("wishes")

BATCH = 500
MOST_SHOWN = 200


@dataclass(frozen=True)
class Demand:
    """How many people want a course: by a wish, or by waiting for a seat of one of its runs."""

    course: Course
    wishes: int
    waiting: int


def make_wish(course_public_id: str, person_id: int, *, now: datetime) -> Course:
    """Remember that the person wants to hear of a run of a published course; twice is once. Raises NotFound."""
    with transaction():
        course = locked(Course, get_course(course_public_id).id)
        if find_wish(course.id, person_id) is None:
            add(Wish(course_id=course.id, person_id=person_id, wished_at=now))
        return course


def get_course(public_id: str) -> Course:
    """A published course; raises NotFound."""
    course = db.session.scalars(
        select(Course).filter_by(public_id=public_id, state=CourseState.PUBLISHED)
    ).one_or_none()
    if course is None:
        raise NotFound
    return course


def remove_wish(course_public_id: str, person_id: int, *, now: datetime) -> None:
    """Forget the wish, if there is one that was not answered yet."""
    with transaction():
        course_id = db.session.scalar(select(Course.id).filter_by(public_id=course_public_id))
        wish = None if course_id is None else find_wish(course_id, person_id)
        if wish is not None:
            locked(Wish, wish.id).removed_at = now


def find_wish(course_id: int, person_id: int) -> Wish | None:
    """The person's open wish for a course."""
    query = select(Wish).filter_by(course_id=course_id, person_id=person_id, told_at=None, removed_at=None)
    return db.session.scalars(query).one_or_none()


def list_wishes(person_id: int) -> list[Wish]:
    """What a person wishes for, with the courses, newest first."""
    query = select(Wish).filter_by(person_id=person_id, told_at=None, removed_at=None)
    return list(db.session.scalars(query.options(joinedload(Wish.course)).order_by(Wish.id.desc())))


def tell_all(*, now: datetime) -> int:
    """Write to everyone whose course has a run to book now, each in a transaction of its own; returns how many."""
    query = select(Wish.id).where(
        Wish.told_at.is_(None),
        Wish.removed_at.is_(None),
        exists().where(
            CourseRun.course_id == Wish.course_id,
            CourseRun.state == RunState.SCHEDULED,
            CourseRun.enrol_opens_at <= now,
            CourseRun.enrol_closes_at > now,
            CourseRun.seats_taken + CourseRun.seats_kept < CourseRun.capacity,
            Course.id == CourseRun.course_id,
            Course.state == CourseState.PUBLISHED,
        ),
    )
    told = 0
    for wish_id in db.session.scalars(query.order_by(Wish.id).limit(BATCH)).all():
        with transaction():
            wish = locked(Wish, wish_id)
            if wish.told_at is None and wish.removed_at is None:
                wish.told_at = now
                key = f"wish:{wish.id}"
                letters.write(wish.person, "enrolment/wish_answered", key=key, course=wish.course)
                told += 1
    return told


@jobs.periodic(cron="*/10 * * * *", name="enrolment.tell_wishes", queue="mail")
def tell() -> None:
    """Every ten minutes: tell people that a course they wished for can be booked."""
    told = tell_all(now=clock.now())
    if told:
        log.info("wishes answered", wishes=told)


def list_demand(organisation_ids: Collection[int] | None) -> list[Demand]:
    """The courses that people want, the most wanted first: of some organisations, or of all (None)."""
    wishes = _count(select(Wish.course_id).where(Wish.told_at.is_(None), Wish.removed_at.is_(None)).subquery())
    waiting = _count(
        select(CourseRun.course_id)
        .join(WaitingEntry, WaitingEntry.run_id == CourseRun.id)
        .where(WaitingEntry.state.in_([WaitingState.WAITING, WaitingState.OFFERED]))
        .subquery()
    )
    counted = select(Course, func.coalesce(wishes.c.people, 0), func.coalesce(waiting.c.people, 0))
    counted = counted.outerjoin(wishes, wishes.c.course_id == Course.id)
    counted = counted.outerjoin(waiting, waiting.c.course_id == Course.id)
    counted = counted.where(wishes.c.people.is_not(None) | waiting.c.people.is_not(None))
    if organisation_ids is not None:
        ours = select(CourseProvider.course_id).where(CourseProvider.organisation_id.in_(organisation_ids))
        counted = counted.where(Course.id.in_(ours))
    total = func.coalesce(wishes.c.people, 0) + func.coalesce(waiting.c.people, 0)
    rows = db.session.execute(counted.order_by(total.desc(), Course.id).limit(MOST_SHOWN))
    return [Demand(course, wished, waits) for course, wished, waits in rows]


def _count(courses: Subquery) -> Subquery:
    return select(courses.c.course_id, func.count().label("people")).group_by(courses.c.course_id).subquery()
