"""What staff read of Stripe's side: movements with the orders they belong to, and payouts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from marketplace.enrolment.models import Order
from marketplace.foundation.database import db
from marketplace.foundation.money import EXPONENTS
from marketplace.payments.models import PaymentAttempt
from marketplace.payments.stripe_models import StripePayout, StripeTransaction

PAGE = 50
LATEST_PAYOUTS = 10


def list_movements(*, before: int | None) -> tuple[list[StripeTransaction], int | None]:
    """Movements in the order they were read, newest first, a page at a time; the second value continues the list."""
    query = select(StripeTransaction).where(StripeTransaction.currency.in_(EXPONENTS))
    if before is not None:
        query = query.where(StripeTransaction.id < before)
    rows = list(db.session.scalars(query.order_by(StripeTransaction.id.desc()).limit(PAGE + 1)))
    return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None


def list_payouts() -> list[StripePayout]:
    """The latest payouts, newest first."""
    query = select(StripePayout).where(StripePayout.currency.in_(EXPONENTS)).order_by(StripePayout.created_at.desc())
    return list(db.session.scalars(query.limit(LATEST_PAYOUTS)))


def order_numbers(movements: Sequence[StripeTransaction]) -> dict[str, str]:
    """The number of the order behind each payment intent."""
    intents = {one.payment_intent_id for one in movements if one.payment_intent_id}
    query = (
        select(PaymentAttempt.payment_intent_id, Order.public_id)
        .join(PaymentAttempt.order)
        .where(PaymentAttempt.payment_intent_id.in_(intents))
    )
    return {str(intent): number for intent, number in db.session.execute(query)}
