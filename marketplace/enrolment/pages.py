"""What the pages of a run and an order say, in words: obstacles, states, timelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketplace.enrolment import counting, eligibility, places
from marketplace.enrolment.models import Enrolment, Order, OrderState
from marketplace.enrolment.rules import RunFull
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.catalog.models import CourseRun
    from marketplace.enrolment.availability import Standing


@dataclass(frozen=True)
class OrderPage:
    """How an order's page shows it; `state` is the one at this moment, though the sweep may not have run yet."""

    state: str
    may_extend: bool
    # The place that the order grants now; None before it is confirmed and after the place has ended.
    place: Enrolment | None
    timeline: list[tuple[str, datetime, str | None]]


def find_obstacle(run: CourseRun, person_id: int, stands: Standing, *, now: datetime) -> Refused | None:
    """Why the person cannot take a seat in the run now, or None. It is asked again, under lock, when they try."""
    try:
        eligibility.check_may_enrol(run, person_id, now=now)
    except Refused as refusal:
        return refusal
    if counting.find_enrolment(run.id, person_id) is not None:
        return Refused("already_enrolled", lazy("You are already enrolled in this run."))
    if stands.is_pool_open or stands.is_offered:
        return None
    # What comes free while people wait is theirs.
    return None if stands.seats.free and not stands.waiting else RunFull()


def order_page(order: Order, *, now: datetime) -> OrderPage:
    """Everything the page of an order shows beside the order itself."""
    is_over = order.is_open and order.expires_at is not None and order.expires_at <= now
    state = OrderState.EXPIRED if is_over else OrderState(order.state)
    may_extend = state is OrderState.AWAITING_PAYMENT and order.hold is not None and order.hold.extended_at is None
    names = event_names()
    timeline: list[tuple[str, datetime, str | None]] = [
        (names.get(event.kind, event.kind), event.occurred_at, None) for event in order.events
    ]
    place = places.find_of_order(order.id) if state is OrderState.CONFIRMED else None
    return OrderPage(state=state.value, may_extend=may_extend, place=place, timeline=timeline)


def state_names() -> dict[str, tuple[str, str]]:
    """Each state of an order in words, with the kind of its badge."""
    return {
        "awaiting_payment": (_("Waiting for payment"), "warn"),
        "payment_pending": (_("Payment on its way"), "warn"),
        "confirmed": (_("Confirmed"), "good"),
        "cancelled": (_("Cancelled"), ""),
        "expired": (_("Time to pay is over"), ""),
    }


def event_names() -> dict[str, str]:
    """Each event of an order's timeline in words."""
    return {
        "placed": _("Order placed, seat held"),
        "extended": _("Time to pay extended"),
        "payment_started": _("Payment page opened"),
        "payment_pending": _("Payment on its way"),
        "payment_failed": _("The payment did not succeed"),
        "confirmed": _("Paid and confirmed"),
        "cancelled": _("Cancelled"),
        "expired": _("Time to pay is over"),
        "superseded": _("Replaced by an earlier order that was paid late"),
        "refund_due": _("The payment is being given back"),
        "refunded": _("The payment has been given back"),
        "invoice_issued": _("Invoice issued"),
        "invoice_credited": _("Credit note issued"),
        "fapiao_requested": _("Fapiao asked for"),
        "refund_waits_for_fapiao": _("The refund waits until the fapiao is reversed"),
        "withdrawal_waived": _("Right to withdraw waived from the start of the course on"),
        "transfer_offered": _("The place was offered to another person"),
        "dispute_opened": _("The payment is disputed at the bank"),
        "dispute_won": _("The bank decided that the payment stands"),
        "dispute_lost": _("The bank gave the payment back"),
        "dispute_decided": _("Staff decided about the place"),
        "outside_refund_decided": _("Staff decided about the place"),
        "place_suspended": _("The place is suspended"),
        "place_resumed": _("The place is active again"),
        "refunded_outside": _("Money was given back outside this system"),
        "debt_paid": _("What was owed for the subsidy has been paid"),
        "debt_given_up": _("A part of what was owed has been waived"),
        "enrolment_ended": _("The place has been given up"),
    }
