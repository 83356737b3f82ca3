"""Mails about orders and places, written by jobs from the order's own timeline: one line there, one mail at most."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import select

from marketplace.accounts import letters
from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Order, OrderEvent, RefundDue
from marketplace.foundation import jobs
from marketplace.foundation.database import db, transaction

if TYPE_CHECKING:
    from datetime import datetime

# What of a timeline is told by mail; placing and confirming have their own, and refunds are told by who pays them.
MESSAGES = {
    "payment_pending": "enrolment/payment_pending",
    "payment_failed": "enrolment/payment_failed",
    "expired": "enrolment/order_expired",
    "cancelled": "enrolment/order_cancelled",
    "enrolment_ended": "enrolment/place_ended",
    "place_suspended": "enrolment/place_suspended",
    "place_resumed": "enrolment/place_resumed",
}
# Ends of a place that have mails of their own, which say what comes next.
TOLD_BY_THEMSELVES = frozenset({"cancelled", "deferred", "transferred"})


def follow(event: OrderEvent) -> None:
    """Enqueue the mail of a line of the timeline, if it has one; call inside the transaction that writes the line."""
    if event.kind in MESSAGES and event.details.get("reason") not in TOLD_BY_THEMSELVES:
        jobs.enqueue(tell, event_id=event.id)


@jobs.task(name="enrolment.tell", queue="mail")
def tell(event_id: int) -> None:
    """Write the mail of one line of a timeline."""
    with transaction():
        event = db.session.get_one(OrderEvent, event_id)
        order = db.session.get_one(Order, event.order_id)
        if event.kind == "cancelled" and _is_told_otherwise(order):
            return
        person = db.session.get_one(Person, order.person_id)
        line = order.lines[0]
        letters.write(
            person,
            MESSAGES[event.kind],
            key=f"order:{order.public_id}:{event.kind}:{event.id}",
            order=order,
            line=line,
            run=db.session.get_one(CourseRun, line.run_id),
            until=in_zone_of(person, order.expires_at),
        )


def _is_told_otherwise(order: Order) -> bool:
    """Whether money is involved in the end of the order: then the mail about the refund tells it."""
    has_refund = db.session.scalar(select(RefundDue.id).filter_by(order_id=order.id).limit(1)) is not None
    return has_refund or any(event.kind == "confirmed" for event in order.events)


def in_zone_of(person: Person, moment: datetime | None) -> datetime | None:
    """The moment as the person's own clock shows it."""
    return moment and moment.astimezone(ZoneInfo(person.time_zone))
