"""Refunds that somebody made by hand in Stripe's dashboard: noticed, booked like any other, and put before staff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.enrolment import orders, places, returns
from marketplace.enrolment.models import Order, RefundDue
from marketplace.enrolment.refund_rules import DEBT_RETURNED, Part, Payer, Share
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.payments import acts, fapiao_gate, four_eyes
from marketplace.payments.models import PaymentAttempt, Purpose, Refund

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.payments.stripe_gateway import RefundAnswer

log = structlog.get_logger("refunds")
DASHBOARD = "stripe_dashboard"
MOST_SHOWN = 100


def adopt(answer: RefundAnswer, *, now: datetime) -> int | None:
    """Take a refund we never asked for into our books, matched by its payment; its id, or None if it is not ours.

    All of it is the learner's share: the money went to whoever paid by Stripe. What becomes of the place is left to
    staff. Locks attempt and order; a second event of the same refund finds the row of the first.
    """
    if not answer.payment_intent_id or answer.amount is None:
        return None
    with transaction():
        query = select(PaymentAttempt.id).filter_by(payment_intent_id=answer.payment_intent_id, state="paid")
        attempt_id = db.session.scalar(query)
        if attempt_id is None:
            return None
        attempt = locked(PaymentAttempt, attempt_id)
        order = locked(Order, attempt.order_id)
        known = db.session.scalar(select(Refund.id).filter_by(stripe_refund_id=answer.id))
        return known or _write(answer, attempt, order, now=now).id


def _write(answer: RefundAnswer, attempt: PaymentAttempt, order: Order, *, now: datetime) -> Refund:
    minor = answer.amount.minor if answer.amount else 0
    part = Part(Payer.LEARNER, attempt.public_id, order.id, attempt.amount_minor)
    key = f"stripe:{answer.id}"
    has_bought = returns.has_bought(order.id, attempt.public_id)
    reason = DASHBOARD if has_bought else "never_sold"
    reason = DEBT_RETURNED if attempt.purpose == Purpose.DEBT else reason
    [fact] = returns.leave(
        [Share(part, minor)], currency=attempt.currency, reason=reason, key=key, now=now, source=DASHBOARD
    )
    fact.picked_up_at = now
    fapiao_gate.note_gone(order.id, Purpose(attempt.purpose), now=now)
    orders.record(order, "refunded_outside", now=now, details={"refund": answer.id, "amount": minor})
    log.warning("refund made outside", order=order.public_id)
    return add(
        Refund(
            attempt_id=attempt.id,
            refund_due_id=fact.id,
            amount_minor=minor,
            currency=attempt.currency,
            reason=DASHBOARD,
            stripe_refund_id=answer.id,
            created_at=now,
            # Money that bought no place says nothing about one: it was late, or paid a debt, which is open again.
            place_decision=None if has_bought else "keep",
        )
    )


def decide(public_id: str, *, ends_place: bool, reason: str, actor_id: int, now: datetime) -> Refund:
    """Say once what becomes of the place of a payment refunded from outside, and why. Locks order, refund, run.

    The same again changes nothing. Raises Refused for another word than the first, one's own order, and where a place
    that is over would be kept; Invalid without a reason.
    """
    with transaction():
        query = select(Refund).join(Refund.refund_due).where(Refund.public_id == public_id)
        refund = db.session.scalars(query.where(RefundDue.source == DASHBOARD)).one_or_none()
        if refund is None:
            raise NotFound
        # In the order of `refunds.book`.
        refund = locked(Refund, refund.id)
        order = locked(Order, refund.refund_due.order_id)
        four_eyes.check_not_own(order.id, actor_id=actor_id)
        decision = "end" if ends_place else "keep"
        if refund.place_decision is not None:
            if refund.place_decision != decision:
                raise Refused("decided_already", lazy("Somebody has decided about this already."))
            return refund
        if not ends_place and places.find_of_order(order.id) is None:
            raise places.PlaceEnded
        refund.place_decision, refund.decided_at, refund.decided_by_id = decision, now, actor_id
        _note(refund, order, decision, reason=reason, actor_id=actor_id, now=now)
        if ends_place:
            places.end_of_order(order.id, "refunded", now=now, actor_id=actor_id)
        return refund


def _note(refund: Refund, order: Order, decision: str, *, reason: str, actor_id: int, now: datetime) -> None:
    details = {"refund": refund.public_id, "decision": decision}
    orders.record(order, "outside_refund_decided", now=now, actor_id=actor_id, details=details)
    acts.record(
        "outside_refund_decided",
        f"refund:{refund.public_id}",
        reason=reason,
        actor_id=actor_id,
        now=now,
        order_id=order.id,
        details=details,
    )


def undecided(query: Any) -> Any:
    """Of a query of refunds, those from outside whose place waits for a word of staff."""
    return query.join(Refund.refund_due).where(RefundDue.source == DASHBOARD, Refund.place_decision.is_(None))


def list_undecided(*, order_id: int | None = None, after: int = 0, limit: int = MOST_SHOWN) -> Sequence[Refund]:
    """Refunds from outside whose place waits for staff, oldest first: of one order or all, from the id `after` on."""
    query = undecided(select(Refund)).where(Refund.id > after)
    if order_id is not None:
        query = query.where(RefundDue.order_id == order_id)
    query = query.options(joinedload(Refund.attempt).joinedload(PaymentAttempt.order).joinedload(Order.person))
    found: Sequence[Refund] = db.session.scalars(query.order_by(Refund.id).limit(limit)).all()
    return found
