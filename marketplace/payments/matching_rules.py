"""Pure rules of reconciliation: whether a movement at Stripe agrees with a fact of ours."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from marketplace.foundation.money import Money

PAYMENTS = frozenset({"charge", "payment"})
REFUNDS = frozenset({"refund", "payment_refund"})
REFUND_FAILURES = frozenset({"refund_failure", "payment_failure_refund"})
PAYOUTS = frozenset({"payout"})
PAYOUT_FAILURES = frozenset({"payout_failure", "payout_cancel"})
FEES = frozenset({"stripe_fee", "stripe_fx_fee", "tax_fee"})
ADJUSTMENTS = frozenset({"adjustment"})
# Two roundings of the same conversion may differ by one unit.
TOLERANCE = 1


class Verdict(StrEnum):
    """What a comparison found."""

    MATCHED = "matched"
    DIFFERS = "differs"
    MISSING_HERE = "missing_here"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class OurFact:
    """A fact of ours: its key, what it must have moved at Stripe, and whether our books have it."""

    key: str
    amount: Money
    is_booked: bool


def judge(theirs: Money, rate: Decimal | None, ours: OurFact | None) -> Verdict:
    """Compare a movement with the fact it names; `rate` is Stripe's, when it changed the currency."""
    if ours is None:
        return Verdict.UNKNOWN
    if not ours.is_booked:
        return Verdict.MISSING_HERE
    if theirs.currency == ours.amount.currency:
        return Verdict.MATCHED if theirs == ours.amount else Verdict.DIFFERS
    if rate is None:
        return Verdict.DIFFERS
    converted = int((ours.amount.minor * rate).quantize(Decimal(1), ROUND_HALF_UP))
    return Verdict.MATCHED if abs(converted - theirs.minor) <= TOLERANCE else Verdict.DIFFERS
