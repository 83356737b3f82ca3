"""What a payer paid and the seller keeps, of an order and of what was owed beside it: papers are made over this."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, or_, select, union_all

from marketplace.enrolment import returns
from marketplace.enrolment.models import Order, OrderLine, RefundDue
from marketplace.enrolment.refund_rules import DEBT_GONE, DEBT_RETURNED, Payer, left_of
from marketplace.foundation.database import db
from marketplace.foundation.money import Money
from marketplace.funding.subsidy_models import Subsidy
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.models import (
    AttemptState,
    LedgerEntry,
    LedgerTransaction,
    PaymentAttempt,
    Purpose,
    Refund,
)
from marketplace.payments.posting_rules import Account

# How the key begins of a fact that asks once more for a refund that failed.
AGAIN = "again:"


def total(column: Any) -> Any:
    """The sum of a column, nothing where there are no rows."""
    return func.coalesce(func.sum(column), 0)


PAID_FOR_DEBT = (
    select(total(PaymentAttempt.amount_minor))
    .where(PaymentAttempt.order_id == Order.id, PaymentAttempt.purpose == Purpose.DEBT)
    .where(PaymentAttempt.state == AttemptState.PAID)
    .correlate(Order)
    .scalar_subquery()
)
# Of a payment for a debt: what was found to be owed back of it, once, whether or not it has gone; what went back
# outside; and what was sent of what is owed back.
_SURRENDERED = (
    select(RefundDue.recorded_at.label("at"), RefundDue.id.label("fact"), (-RefundDue.amount_minor).label("minor"))
    .where(RefundDue.attempt_public_id == PaymentAttempt.public_id, RefundDue.reason == DEBT_GONE)
    .where(~RefundDue.key.startswith(AGAIN))
    .correlate(PaymentAttempt)
)
_WENT_OUTSIDE = (
    select(RefundDue.recorded_at, RefundDue.id, RefundDue.amount_minor)
    .where(RefundDue.attempt_public_id == PaymentAttempt.public_id, RefundDue.reason == DEBT_RETURNED)
    .where(RefundDue.voided_at.is_(None))
    .correlate(PaymentAttempt)
)
_SENT = (
    select(Refund.settled_at, RefundDue.id, Refund.amount_minor)
    .join(RefundDue, RefundDue.id == Refund.refund_due_id)
    .where(Refund.attempt_id == PaymentAttempt.id, Refund.state == "succeeded", RefundDue.reason == DEBT_GONE)
    .correlate(PaymentAttempt)
)
_MOVES = union_all(_SURRENDERED, _WENT_OUTSIDE, _SENT).subquery()
# After each of them: what had gone by then, less what had been found to be owed back.
_BEYOND = func.sum(_MOVES.c.minor).over(order_by=(_MOVES.c.at, _MOVES.c.fact, _MOVES.c.minor))
_COURSE = select(_MOVES.c.minor, _BEYOND.label("beyond")).subquery()
# Whatever goes back, by whomever it is sent, first pays what is owed back by then. Only what goes beyond it opens the
# debt, and stays so: what is found to be owed back later is owed back beside it.
_OPENED = func.greatest(func.max(_COURSE.c.beyond), 0)
_FOUND_OWED = func.coalesce(-func.sum(_COURSE.c.minor).filter(_COURSE.c.minor < 0), 0)
_UNCREDITED = select(_FOUND_OWED + _OPENED).scalar_subquery()
OWED_BACK_OF_DEBT = select(_OPENED - total(_COURSE.c.minor)).scalar_subquery()
RETURNED_OF_DEBT = (
    select(total(_UNCREDITED))
    .where(PaymentAttempt.order_id == Order.id, PaymentAttempt.purpose == Purpose.DEBT)
    .where(PaymentAttempt.state == AttemptState.PAID)
    .select_from(PaymentAttempt)
    .correlate(Order)
    .scalar_subquery()
)


def booked_as_owed_back(attempt: PaymentAttempt) -> Money:
    """What of a payment for a debt stands in the books as owed back: what is booked next as gone pays that first."""
    refunds = select("refund:" + Refund.public_id).where(Refund.attempt_id == attempt.id)
    disputes = select("dispute_closed:" + Dispute.public_id).where(Dispute.attempt_id == attempt.id)
    query = (
        select(total(-LedgerEntry.amount_minor))
        .join(LedgerEntry.transaction)
        .where(LedgerTransaction.order_id == attempt.order_id, LedgerEntry.account == Account.REFUNDS_PAYABLE)
        .where(
            or_(
                LedgerTransaction.key == f"payment:{attempt.public_id}",
                LedgerTransaction.key.startswith(f"{attempt.public_id}:{DEBT_GONE}"),
                LedgerTransaction.key.in_(refunds.union(disputes)),
            )
        )
    )
    return Money(max(0, int(db.session.scalar(query) or 0)), attempt.currency)


def credited(attempt: PaymentAttempt) -> Money:
    """What of a payment counts for its debt: all that was neither found to be owed back nor went back."""
    query = select(_UNCREDITED).select_from(PaymentAttempt).where(PaymentAttempt.id == attempt.id)
    return attempt.amount - Money(int(db.session.scalar(query) or 0), attempt.currency)


def owed_back_of(attempt: PaymentAttempt) -> Money:
    """What of a payment for a debt is owed back by the facts and has not gone."""
    query = select(OWED_BACK_OF_DEBT).select_from(PaymentAttempt).where(PaymentAttempt.id == attempt.id)
    return Money(int(db.session.scalar(query) or 0), attempt.currency)


def kept_of(order: Order, purpose: Purpose) -> Money:
    """What was paid and has neither gone back nor is on its way back, in the order's currency.

    Of the order it is what its learner paid for the place, whether the place stands or was cancelled and a part is
    kept; of a debt never more than is owed. Lock the order first, and the answer holds until the transaction ends.
    """
    if purpose is Purpose.DEBT:
        owed = select(total(Subsidy.owed_minor)).join(OrderLine, OrderLine.id == Subsidy.order_line_id)
        owed_minor = db.session.scalar(owed.where(OrderLine.order_id == order.id)) or 0
        paid_minor = db.session.scalar(select(PAID_FOR_DEBT - RETURNED_OF_DEBT).where(Order.id == order.id)) or 0
        return Money(int(max(0, min(owed_minor, paid_minor))), order.currency)
    parts = returns.parts_of([order.id])
    return Money(left_of([part for part in parts if part.payer is Payer.LEARNER]), order.currency)
