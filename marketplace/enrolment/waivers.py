"""Where the right to withdraw is waived: a course that starts inside its term is sold only with an explicit waiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import policies
from marketplace.enrolment.refund_rules import may_need_waiver, needs_waiver
from marketplace.enrolment.timeline import record
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.enrolment.models import Order
    from marketplace.foundation.money import Money


def is_needed(run: CourseRun, price: Money, *, now: datetime) -> bool:
    """Whether whoever buys this seat now must waive the rest of the right to withdraw; a free seat needs no waiver."""
    if price.is_zero or run.starts_at is None or not may_need_waiver(starts_at=run.starts_at, now=now):
        return False
    return needs_waiver(policies.terms_for_sale(run), starts_at=run.starts_at, zone=run.zone, now=now)


def check(run_id: int, starts_at: datetime | None, price: Money, *, waives: bool, now: datetime) -> bool:
    """Whether a waiver was given that was needed; raises Refused when it was needed and not given.

    No query for a run that starts at `starts_at` later than any term.
    """
    may_be = may_need_waiver(starts_at=starts_at, now=now)
    is_asked = may_be and is_needed(db.session.get_one(CourseRun, run_id), price, now=now)
    if is_asked and not waives:
        raise Refused(
            "waiver_needed",
            lazy("This run starts before your right to withdraw ends. Tick that you agree, or choose a later run."),
        )
    return is_asked


def keep(order: Order, *, now: datetime) -> None:
    """Keep the waiver in the order's timeline. Call inside the transaction that places the order."""
    record(order, "withdrawal_waived", now=now, actor_id=order.person_id)
