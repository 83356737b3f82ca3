"""Pure decisions about seats, windows and money that arrives. Time comes in as an argument."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from marketplace.foundation.money import Money

# Long enough to pay on a phone, short enough that a hot run is not blocked by undecided people.
HOLD_FOR = timedelta(minutes=15)
EXTEND_BY = timedelta(minutes=10)
# A delayed method (a bank transfer, say) may take days; the seat is kept meanwhile.
PENDING_FOR = timedelta(days=7)


class Settlement(StrEnum):
    """What to do with money that has arrived for an order."""

    CONFIRM = "confirm"
    REHOLD_AND_CONFIRM = "rehold_and_confirm"
    REFUND_DUE = "refund_due"
    ALREADY_SETTLED = "already_settled"


class RunFull(Refused):
    """No seat is left."""

    def __init__(self) -> None:
        """Say it as the page does."""
        super().__init__("run_full", lazy("This run is sold out."))


def check_may_enrol(
    *,
    state: str,
    course_state: str,
    opens_at: datetime | None,
    closes_at: datetime | None,
    is_provider: bool,
    now: datetime,
) -> None:
    """Raise the Refused that says why a person cannot enrol in a run now. The window is half-open: [opens, closes)."""
    if state == "cancelled":
        raise Refused("run_cancelled", lazy("This run has been cancelled."))
    if state != "scheduled" or course_state != "published" or opens_at is None or closes_at is None:
        raise Refused("run_not_on_sale", lazy("This run cannot be booked yet."))
    if now < opens_at:
        raise Refused("enrolment_not_open", lazy("Enrolment in this run has not opened yet."))
    if now >= closes_at:
        raise Refused("enrolment_closed", lazy("Enrolment in this run has closed."))
    if is_provider:
        raise Refused("own_course", lazy("You teach or manage this course, so you cannot enrol in it yourself."))


def offer_until(*, now: datetime, stands_for: timedelta, closes_at: datetime | None) -> datetime:
    """Until when an offer of a seat stands: offers end with enrolment."""
    return now + stands_for if closes_at is None else min(now + stands_for, closes_at)


def check_seat(*, is_enrolled: bool, is_held: bool, has_seat: bool) -> None:
    """Raise Refused when the person has their place already, RunFull when no seat is left and none is held for them.

    A place may come beside a hold: by a transfer, say, while an order of one's own waits for payment.
    """
    if is_enrolled:
        raise Refused("already_enrolled", lazy("You are already enrolled in this run."))
    if not is_held and not has_seat:
        raise RunFull


def settle(
    *, order_state: str, due: Money, paid: Money, is_held: bool, has_seat: bool, is_enrolled_otherwise: bool
) -> Settlement:
    """Decide about a payment: honour it whenever the seat can be given, else give every fen back.

    `is_held`: the order's hold still counts in the run. `has_seat`: a seat could be taken now. `is_enrolled_otherwise`:
    the person is in the run through another order, so a second seat would be sold to the same person.
    """
    if order_state == "confirmed":
        return Settlement.ALREADY_SETTLED
    if paid != due or is_enrolled_otherwise:
        return Settlement.REFUND_DUE
    if is_held:
        return Settlement.CONFIRM
    if has_seat and order_state in {"awaiting_payment", "payment_pending", "expired"}:
        return Settlement.REHOLD_AND_CONFIRM
    return Settlement.REFUND_DUE
