"""What a person has: their orders, and the runs they are enrolled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from marketplace.catalog import desk
from marketplace.catalog.models import Course, CourseRun, Session
from marketplace.enrolment.models import Enrolment, Order, OrderLine, OrderState
from marketplace.foundation.database import db
from marketplace.foundation.errors import NotFound

if TYPE_CHECKING:
    from datetime import datetime


def get_order(public_id: str, person_id: int) -> Order:
    """A person's own order with its lines and timeline; raises NotFound for anyone else's."""
    query = (
        select(Order)
        .filter_by(public_id=public_id, person_id=person_id)
        .options(
            selectinload(Order.lines).joinedload(OrderLine.run).joinedload(CourseRun.course),
            selectinload(Order.events),
            joinedload(Order.hold),
        )
    )
    order = db.session.scalars(query).one_or_none()
    if order is None:
        raise NotFound
    return order


def list_orders(person_id: int, *, limit: int = 100) -> list[Order]:
    """A person's orders, newest first, with their lines."""
    query = select(Order).filter_by(person_id=person_id).options(selectinload(Order.lines))
    return list(db.session.scalars(query.order_by(Order.placed_at.desc()).limit(limit)))


def list_enrolments(person_id: int) -> list[Enrolment]:
    """A person's active enrolments with run, course and sessions, by start of the run."""
    query = (
        select(Enrolment)
        .join(Enrolment.run)
        .filter(Enrolment.person_id == person_id, Enrolment.ended_at.is_(None))
        .options(
            joinedload(Enrolment.run).joinedload(CourseRun.course).selectinload(Course.providers),
            joinedload(Enrolment.run).selectinload(CourseRun.sessions),
        )
        .order_by(CourseRun.starts_at)
    )
    return list(db.session.scalars(query))


def upcoming_sessions(enrolments: list[Enrolment], *, now: datetime, limit: int = 5) -> list[Session]:
    """The next sessions of the runs a person is enrolled in, soonest first."""
    to_come = [session for enrolment in enrolments for session in enrolment.run.sessions if session.ends_at > now]
    return sorted(to_come, key=lambda session: session.starts_at)[:limit]


def find_open_order(run_id: int, person_id: int, *, now: datetime) -> Order | None:
    """The person's order for the run that can still be paid at `now`, if there is one."""
    query = (
        select(Order)
        .join(OrderLine)
        .where(
            OrderLine.run_id == run_id,
            Order.person_id == person_id,
            Order.state.in_([OrderState.AWAITING_PAYMENT, OrderState.PAYMENT_PENDING]),
            Order.expires_at > now,
        )
    )
    return db.session.scalars(query.order_by(Order.id.desc())).first()


def get_taken_course(public_id: str, person_id: int) -> Course:
    """A course that was published once and that the person took, withdrawn ones too; raises NotFound for others."""
    course = desk.get_course(public_id)
    taken = (
        select(Enrolment.id)
        .join(Enrolment.run)
        .where(Enrolment.person_id == person_id, CourseRun.course_id == course.id)
    )
    if course.published_at is None or db.session.scalar(taken.limit(1)) is None:
        raise NotFound
    return course
