"""What a payer paid and the seller keeps, of an order and of what was owed beside it: papers are made over this."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from marketplace.enrolment import returns
from marketplace.enrolment.models import Order, OrderLine, RefundDue
from marketplace.enrolment.refund_rules import Payer, left_of
from marketplace.foundation.database import db
from marketplace.foundation.money import Money
from marketplace.funding.subsidy_models import Subsidy
from marketplace.payments.models import AttemptState, PaymentAttempt, Purpose


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
RETURNED_OF_DEBT = (
    select(total(RefundDue.amount_minor))
    .join(PaymentAttempt, PaymentAttempt.public_id == RefundDue.attempt_public_id)
    .where(PaymentAttempt.order_id == Order.id, PaymentAttempt.purpose == Purpose.DEBT, RefundDue.voided_at.is_(None))
    .correlate(Order)
    .scalar_subquery()
)


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
