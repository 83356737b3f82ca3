"""Pure decisions about moving a place: to another run of the course, or to another person."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from marketplace.enrolment.refund_rules import days_before
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from marketplace.enrolment.refund_rules import Terms

# How long a person has to take over a place that was offered to them.
OFFER_FOR = timedelta(days=7)


class ChangeState(StrEnum):
    """Where a deferral or transfer stands. Deferrals that cost nothing are done at once."""

    OFFERED = "offered"
    AWAITING_PAYMENT = "awaiting_payment"
    DONE = "done"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


# docs/refunds.md draws these: the first is a transfer's beginning, the second a dearer deferral's.
TRANSITIONS: dict[ChangeState, frozenset[ChangeState]] = {
    ChangeState.OFFERED: frozenset({ChangeState.DONE, ChangeState.REFUSED, ChangeState.WITHDRAWN, ChangeState.EXPIRED}),
    ChangeState.AWAITING_PAYMENT: frozenset({ChangeState.DONE, ChangeState.WITHDRAWN, ChangeState.EXPIRED}),
    ChangeState.DONE: frozenset(),
    ChangeState.REFUSED: frozenset(),
    ChangeState.WITHDRAWN: frozenset(),
    ChangeState.EXPIRED: frozenset(),
}
OPEN = (ChangeState.OFFERED, ChangeState.AWAITING_PAYMENT)


def check_may_defer(terms: Terms, *, starts_at: datetime, zone: str, now: datetime) -> None:
    """Raise the Refused that says why a place cannot be moved to another run now."""
    if now >= min(days_before(starts_at, zone, terms.deferral_days), starts_at):
        raise Refused("deferral_too_late", lazy("It is too late to move this place to another date."))


def check_may_transfer(*, starts_at: datetime, is_paid_by_others: bool, now: datetime) -> None:
    """Raise the Refused that says why a place cannot be passed on to another person now."""
    if now >= starts_at:
        raise Refused("transfer_too_late", lazy("The run has started, so the place cannot be passed on any more."))
    if is_paid_by_others:
        raise Refused(
            "paid_by_others",
            lazy("A funding programme or a voucher pays for you, and not for somebody else. Cancel, and they enrol."),
        )


def difference(kept: int, price: int) -> int:
    """What is due for the other run beyond what was paid and kept; negative: what goes back."""
    return price - kept
