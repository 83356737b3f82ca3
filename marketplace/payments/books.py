"""What finance staff read: payments, the money of one order, balances; and their words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Order, OrderLine
from marketplace.foundation.database import db
from marketplace.foundation.errors import NotFound
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.money import Money
from marketplace.payments import frozen, ledger, refunds
from marketplace.payments.chart import CHART
from marketplace.payments.models import AttemptState, LedgerTransaction, PaymentAttempt, Refund

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.payments.dispute_models import Dispute

PAGE = 50


@dataclass(frozen=True)
class OrderMoney:
    """Everything about the money of one order; `left` is what can still be given back."""

    attempts: Sequence[PaymentAttempt]
    refunds: Sequence[Refund]
    transactions: Sequence[LedgerTransaction]
    disputes: Sequence[Dispute]
    left: Money | None


def list_payments(*, before: int | None) -> tuple[list[PaymentAttempt], int | None]:
    """Attempts, newest first, a page at a time; the second value continues the list."""
    query = select(PaymentAttempt).options(joinedload(PaymentAttempt.order).joinedload(Order.person))
    if before is not None:
        query = query.where(PaymentAttempt.id < before)
    rows = list(db.session.scalars(query.order_by(PaymentAttempt.id.desc()).limit(PAGE + 1)))
    return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None


def list_balances() -> list[tuple[str, Money]]:
    """Each account with its balance, by currency."""
    return [(account, Money(minor, currency)) for (account, currency), minor in sorted(ledger.balances().items())]


def get_order(public_id: str) -> Order:
    """Any order with its lines and timeline, for staff; raises NotFound."""
    query = (
        select(Order)
        .filter_by(public_id=public_id)
        .options(
            selectinload(Order.lines).joinedload(OrderLine.run).joinedload(CourseRun.course),
            selectinload(Order.events),
            joinedload(Order.person),
            joinedload(Order.hold),
        )
    )
    order = db.session.scalars(query).one_or_none()
    if order is None:
        raise NotFound
    return order


def money_of(order: Order) -> OrderMoney:
    """Payments, refunds, ledger and disputes of an order, oldest first."""
    attempts = db.session.scalars(select(PaymentAttempt).filter_by(order_id=order.id).order_by(PaymentAttempt.id)).all()
    given_back = db.session.scalars(
        select(Refund).where(Refund.attempt_id.in_([attempt.id for attempt in attempts])).order_by(Refund.id)
    ).all()
    posted = select(LedgerTransaction).filter_by(order_id=order.id).options(selectinload(LedgerTransaction.entries))
    paid = [attempt for attempt in attempts if attempt.state == AttemptState.PAID]
    left = refunds.left(order.id) if paid and order.confirmed_at is not None else None
    transactions = db.session.scalars(posted.order_by(LedgerTransaction.id)).all()
    return OrderMoney(attempts, given_back, transactions, frozen.list_of_order(order.id), left)


def account_names() -> dict[str, str]:
    """The accounts of the ledger in words."""
    return {str(line.code): str(line.name) for line in CHART}


def posting_names() -> dict[str, str]:
    """The kinds of posting in words."""
    return {
        "payment": _("Payment"),
        "refund": _("Refund"),
        "debt_payment": _("Payment of a debt"),
        "debt_refund": _("Refund of a debt that was paid"),
        "debt_gone": _("A debt that was paid is owed no more"),
        "write_off": _("Write-off"),
        "earned": _("Run over: shares"),
        "processor_fee": _("Payment fee"),
        "payout": _("Payout"),
        "payout_arrived": _("Payout at the bank"),
        "payout_returned": _("Payout that came back"),
        "dispute": _("Dispute opened"),
        "dispute_won": _("Dispute won"),
        "dispute_lost": _("Dispute lost"),
        "voucher": _("Voucher"),
        "subsidy": _("Subsidy"),
        "exchange": _("Currency exchange"),
        "unmatched": _("Money without a fact"),
        "sponsor_paid": _("Payment of a sponsor"),
        "unmatched_returned": _("Money without a fact, sent back"),
        "unmatched_ours": _("Money without a fact, the marketplace's own"),
        "unmatched_mistake": _("Money that never came, taken out"),
    }


def attempt_names() -> dict[str, tuple[str, str]]:
    """The states of an attempt in words, with the kind of their badge."""
    return {
        "created": (_("Being opened"), ""),
        "open": (_("Page open"), "warn"),
        "processing": (_("On its way"), "warn"),
        "paid": (_("Received"), "good"),
        "failed": (_("Failed"), "bad"),
        "expired": (_("Page closed"), ""),
    }


def refund_names() -> dict[str, tuple[str, str]]:
    """The states of a refund in words, with the kind of their badge."""
    return {
        "requested": (_("Being sent"), "warn"),
        "pending": (_("On its way"), "warn"),
        "succeeded": (_("Given back"), "good"),
        "failed": (_("Failed"), "bad"),
    }


def discrepancy_names() -> dict[str, str]:
    """The kinds of discrepancy in words."""
    return {
        "paid_not_enrolled": _("Paid, but neither enrolled nor refunded"),
        "enrolled_unpaid": _("Enrolled without a payment"),
        "stuck_attempt": _("A payment page that was never opened"),
        "refund_failed": _("A refund that Stripe refused"),
        "payment_not_posted": _("A payment missing in the ledger"),
        "debt_differs": _("What a learner owes is another amount in the ledger"),
        "ledger_unbalanced": _("The ledger does not sum to zero"),
        "amount_differs": _("Stripe's amount differs from ours"),
        "missing_here": _("Stripe has a movement that our books lack"),
        "missing_at_stripe": _("Our books have a movement that Stripe lacks"),
        "unknown_transfer": _("A bank transfer that fits no order"),
        "unknown_movement": _("A movement at Stripe that belongs to nothing we know"),
    }
