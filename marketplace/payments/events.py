"""What Stripe tells us: every event is stored under its id before anything is done, then handled by a job.

Events arrive late, twice and out of order, so none is believed: a job re-reads the thing it speaks of and makes our
books agree. That makes the order of events and their number irrelevant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, locked, transaction
from marketplace.payments import attempts, disputes, refunds, stripe_gateway
from marketplace.payments.models import PaymentAttempt, StripeEvent
from marketplace.payments.stripe_gateway import GatewayError

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger("stripe_events")

SESSIONS = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    }
)
INTENTS = frozenset({"payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.processing"})
DISPUTES = frozenset(
    {
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    }
)
REFUNDS = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})


def store(event: dict[str, Any], *, now: datetime) -> bool:
    """Keep a verified event and enqueue its handling; False if it is known already."""
    with transaction():
        statement = (
            insert(StripeEvent)
            .values(event_id=event["id"], type=event["type"], payload=event, received_at=now, state="new")
            .on_conflict_do_nothing(index_elements=["event_id"])
            .returning(StripeEvent.id)
        )
        row_id = db.session.scalar(statement)
        if row_id is None:
            return False
        jobs.enqueue(handle, row_id=row_id)
        return True


@jobs.task(name="payments.handle_event")
def handle(row_id: int) -> None:
    """Act on one stored event and note what became of it. Safe to repeat; raises when Stripe cannot be reached."""
    event = db.session.get(StripeEvent, row_id)
    if event is None or event.state in {"handled", "ignored", "unknown"}:
        return
    kind, subject, attempt = event.type, _subject(event.payload), _attempt(event.payload)
    db.session.rollback()
    state = _act_on(kind, subject, attempt, now=clock.now())
    with transaction():
        event = locked(StripeEvent, row_id)
        event.state, event.handled_at = state, clock.now()


def _subject(payload: dict[str, Any]) -> str:
    subject = payload.get("data", {}).get("object", {})
    return str(subject.get("id") or "")


def _attempt(payload: dict[str, Any]) -> str:
    """The attempt that we wrote beside a payment: its event comes before that of its session, which tells its id."""
    subject = payload.get("data", {}).get("object", {})
    return str((subject.get("metadata") or {}).get("attempt") or "")


def _act_on(kind: str, subject: str, attempt: str, *, now: datetime) -> str:
    """What became of the event: handled, ignored or unknown."""
    if not subject:
        return "ignored"
    if kind in SESSIONS:
        return "handled" if _settle_session(subject, now=now) else "unknown"
    if kind in INTENTS:
        is_it = (PaymentAttempt.payment_intent_id == subject) | (PaymentAttempt.public_id == attempt)
        session_id = db.session.scalars(select(PaymentAttempt.session_id).where(is_it)).first()
        db.session.rollback()
        return "handled" if session_id and _settle_session(session_id, now=now) else "unknown"
    if kind in REFUNDS:
        return "handled" if refunds.sync(subject, now=now) else "unknown"
    if kind in DISPUTES:
        return "handled" if disputes.sync(subject, now=now) else "unknown"
    return "ignored"


def _settle_session(session_id: str, *, now: datetime) -> bool:
    try:
        session = stripe_gateway.retrieve_session(session_id)
    except GatewayError as error:
        if error.is_permanent:
            # Signed by Stripe but not to be found with our key: another account's, or a test's.
            log.warning("session of an event not found", code=error.code)
            return False
        raise
    return attempts.settle(session, now=now) is not None


def enqueue_waiting() -> int:
    """Enqueue every event that is stored but not handled; for reconciliation. How many."""
    with transaction():
        query = select(StripeEvent.id).where(StripeEvent.state.in_(["new", "failed"])).order_by(StripeEvent.id)
        waiting = db.session.scalars(query.limit(500)).all()
        for row_id in waiting:
            jobs.enqueue(handle, key=f"event:{row_id}", row_id=row_id)
        return len(waiting)
