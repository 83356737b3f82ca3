"""Where money goes back: facts left by enrolment are picked up, staff ask, Stripe is called by a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy import func, select

from marketplace.enrolment import orders
from marketplace.enrolment.models import Order, RefundDue
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.payments import fapiao_gate, ledger, letters, stripe_gateway
from marketplace.payments.models import AttemptState, PaymentAttempt, Refund
from marketplace.payments.stripe_gateway import GatewayError, RefundAnswer

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger("refunds")

BATCH = 100


def take_up_soon() -> None:
    """Enqueue the job that turns RefundDue facts into refunds; call inside the transaction that leaves one."""
    jobs.enqueue(take_up, key="payments.take_up")


@jobs.task(name="payments.take_up")
def take_up() -> None:
    """Turn every waiting RefundDue into a refund, once, and enqueue its sending."""
    take_up_refunds(now=clock.now())


@jobs.periodic(cron="* * * * *", name="payments.take_up_all")
def take_up_all() -> None:
    """Every minute the same, for facts whose job was lost."""
    take_up_refunds(now=clock.now())


def take_up_refunds(*, now: datetime) -> int:
    """Make a Refund row of each waiting fact. Locks the facts, skipping those another worker holds; how many."""
    with transaction():
        query = select(RefundDue).where(RefundDue.picked_up_at.is_(None)).order_by(RefundDue.id).limit(BATCH)
        facts = db.session.scalars(query.with_for_update(skip_locked=True)).all()
        for fact in facts:
            attempt = db.session.scalars(select(PaymentAttempt).filter_by(public_id=fact.attempt_public_id)).one()
            fact.picked_up_at = now
            refund = add(
                Refund(
                    attempt_id=attempt.id,
                    refund_due_id=fact.id,
                    amount_minor=fact.amount_minor,
                    currency=fact.currency,
                    reason=fact.reason,
                    created_at=now,
                )
            )
            jobs.enqueue(letters.tell, refund_id=refund.id)
            jobs.enqueue(send, refund_id=refund.id)
        return len(facts)


def refundable(attempt: PaymentAttempt) -> Money:
    """What of a paid attempt has not gone back and is not on its way."""
    query = select(func.coalesce(func.sum(Refund.amount_minor), 0)).where(
        Refund.attempt_id == attempt.id, Refund.state != "failed"
    )
    return attempt.amount - Money(int(db.session.scalar(query) or 0), attempt.currency)


def request_refund(order_id: int, amount: Money, *, reason: str, actor_id: int, now: datetime) -> Refund:
    """Give back all or part of what was paid for an order, by hand of finance staff; the job sends it.

    Locks the attempt. Giving back all that was paid ends the enrolment when Stripe has confirmed it. Raises Invalid for
    an amount beyond what is left, Refused for an order without a payment.
    """
    with transaction():
        attempt_id = db.session.scalar(select(PaymentAttempt.id).filter_by(order_id=order_id, state="paid"))
        if attempt_id is None:
            raise Refused("nothing_paid", lazy("Nothing has been paid for this order."))
        attempt = locked(PaymentAttempt, attempt_id)
        left = refundable(attempt)
        if amount.currency != left.currency or amount.minor <= 0 or left < amount:
            message = lazy("Enter an amount between one cent and what has not been given back yet.")
            raise Invalid("refund_amount", message, {"amount": message})
        refund = add(
            Refund(
                attempt_id=attempt.id,
                amount_minor=amount.minor,
                currency=amount.currency,
                reason=reason,
                requested_by_id=actor_id,
                created_at=now,
            )
        )
        order = db.session.get_one(Order, order_id)
        orders.record(order, "refund_due", now=now, actor_id=actor_id, details={"refund": refund.public_id})
        jobs.enqueue(letters.tell, refund_id=refund.id)
        jobs.enqueue(send, refund_id=refund.id)
        return refund


@jobs.task(name="payments.send_refund")
def send(refund_id: int) -> None:
    """Ask Stripe for one refund, with its public id as idempotency key, and book the answer. Safe to repeat.

    One whose fapiao must be reversed first is left as it is; fapiao.reverse sends it.
    """
    refund = db.session.get(Refund, refund_id)
    if refund is None or refund.state in {"succeeded", "failed"}:
        return
    attempt = db.session.get_one(PaymentAttempt, refund.attempt_id)
    key, amount, intent, known = refund.public_id, refund.amount, attempt.payment_intent_id, refund.stripe_refund_id
    reason = refund.reason if refund.refund_due_id is not None else ""
    if known is None and fapiao_gate.must_wait(attempt.order_id, reason, now=clock.now()):
        return
    db.session.rollback()
    try:
        if known:
            answer = stripe_gateway.retrieve_refund(known)
        else:
            answer = stripe_gateway.create_refund(key=key, payment_intent_id=intent or "", amount=amount)
    except GatewayError as error:
        if not error.is_permanent:
            raise
        log.warning("refund refused", code=error.code, refund=key)
        answer = RefundAnswer(id=known or "", status="failed", failure_code=error.code)
    book(refund_id, answer, now=clock.now())


def send_waiting(order_id: int) -> None:
    """Enqueue the order's refunds that Stripe was not asked for yet; call inside a transaction."""
    query = (
        select(Refund.id).join(Refund.attempt).where(PaymentAttempt.order_id == order_id, Refund.state == "requested")
    )
    for refund_id in db.session.scalars(query).all():
        jobs.enqueue(send, refund_id=refund_id)


def book(refund_id: int, answer: RefundAnswer, *, now: datetime) -> None:
    """Make our books agree with a refund as Stripe has it. Locks attempt, refund, then order and run."""
    with transaction():
        attempt_id = db.session.scalar(select(Refund.attempt_id).filter_by(id=refund_id))
        attempt = locked(PaymentAttempt, attempt_id or 0)
        refund = locked(Refund, refund_id)
        refund.stripe_refund_id = answer.id or refund.stripe_refund_id
        if refund.state in {"succeeded", "failed"}:
            return
        if answer.status == "succeeded":
            refund.state, refund.settled_at = "succeeded", now
            _book_succeeded(refund, attempt, now=now)
        elif answer.status in {"failed", "canceled"}:
            refund.state, refund.settled_at, refund.failure_code = "failed", now, answer.failure_code
        else:
            refund.state = "pending"


def _book_succeeded(refund: Refund, attempt: PaymentAttempt, *, now: datetime) -> None:
    owed_from = ledger.REFUNDS_PAYABLE if refund.refund_due_id is not None else ledger.UNEARNED_REVENUE
    ledger.post(
        f"refund:{refund.public_id}",
        "refund",
        {owed_from: refund.amount, ledger.STRIPE_BALANCE: -refund.amount},
        order_id=attempt.order_id,
        occurred_at=now,
    )
    order = locked(Order, attempt.order_id)
    orders.record(order, "refunded", now=now, details={"refund": refund.public_id})
    jobs.enqueue(letters.tell, refund_id=refund.id)
    is_whole = attempt.state == AttemptState.PAID and refundable(attempt).is_zero
    if refund.refund_due_id is None and is_whole:
        orders.end_enrolment_of(order.id, now=now, reason="refunded")


def sync(stripe_refund_id: str, *, now: datetime) -> bool:
    """Re-read a refund an event spoke of and book it; False if it is not ours."""
    refund_id = db.session.scalar(select(Refund.id).filter_by(stripe_refund_id=stripe_refund_id))
    db.session.rollback()
    if refund_id is None:
        return False
    book(refund_id, stripe_gateway.retrieve_refund(stripe_refund_id), now=now)
    return True
