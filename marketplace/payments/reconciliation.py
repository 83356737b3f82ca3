"""Where our books are held against Stripe's and against themselves: what is certain is repaired, the rest is queued."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import exists, select, true

from marketplace.enrolment.models import Order, RefundDue
from marketplace.enrolment.rules import PENDING_FOR
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, transaction
from marketplace.payments import attempts, debts, discrepancies, events, ledger, postings, refunds
from marketplace.payments.models import AttemptState, Discrepancy, LedgerTransaction, PaymentAttempt, Purpose, Refund

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement

log = structlog.get_logger("reconciliation")

# A webhook normally comes within seconds.
QUIET_FOR = timedelta(minutes=10)
STUCK_AFTER = timedelta(days=1)
# What settled longer ago was looked at then, many times; once a night everything is.
LATELY = timedelta(days=1)


@jobs.periodic(cron="*/10 * * * *", name="payments.reconcile")
def reconcile_often() -> None:
    """Every ten minutes: what waits, and what was paid or confirmed lately."""
    now = clock.now()
    _tell(reconcile(now=now, since=now - LATELY))


@jobs.periodic(cron="17 3 * * *", name="payments.reconcile_all")
def reconcile_nightly() -> None:
    """Every night: the same, and everything that was ever paid or confirmed."""
    _tell(reconcile(now=clock.now()))


def _tell(found: dict[str, int]) -> None:
    if any(found.values()):
        log.info("reconciled", **found)


def reconcile(*, now: datetime, since: datetime | None = None) -> dict[str, int]:
    """Ask Stripe about quiet attempts, push waiting events and refunds, then queue what still does not add up.

    What other rooms left is booked first: after a standstill it would not add up only since nothing had run. Of what is
    settled, only what was paid or confirmed since a moment is looked at, if one is given.
    """
    return {
        "events": events.enqueue_waiting(),
        "sessions": attempts.settle_stale(older_than=now - QUIET_FOR, now=now),
        "refunds": _push_refunds(older_than=now - QUIET_FOR),
        "taken_up": refunds.take_up_refunds(now=now),
        "posted": postings.post_facts(since=since or postings.ALWAYS),
        "discrepancies": _queue_discrepancies(now=now, since=since),
    }


def _push_refunds(*, older_than: datetime) -> int:
    with transaction():
        query = select(Refund.id).where(Refund.state.in_(["requested", "pending"]), Refund.created_at <= older_than)
        waiting = db.session.scalars(query.order_by(Refund.id).limit(100)).all()
        for refund_id in waiting:
            jobs.enqueue(refunds.send, key=f"refund:{refund_id}", refund_id=refund_id)
        return len(waiting)


def _queue_discrepancies(*, now: datetime, since: datetime | None = None) -> int:
    found = [*_paid_not_enrolled(since), *_enrolled_unpaid(since), *_unposted(since)]
    found += [*_stuck(now), *_failed_refunds(), *_debts(now)]
    # Every entry there is: the database refuses what does not balance, so asking once a night is enough.
    if since is None and not ledger.is_balanced():
        found.append(("ledger_unbalanced", "ledger", {}))
    with transaction():
        _settle_failed_refunds(now=now)
        return sum(discrepancies.queue(*one, now=now) for one in found)


Found = list[tuple[str, str, dict[str, Any]]]


def _lately(moment: Any, since: datetime | None) -> ColumnElement[bool]:
    return true() if since is None else moment >= since


def _paid_not_enrolled(since: datetime | None) -> Found:
    """Money is here, the order was never confirmed, and nothing says that it must go back."""
    query = (
        select(PaymentAttempt.public_id, Order.public_id)
        .join(PaymentAttempt.order)
        .where(
            PaymentAttempt.state == AttemptState.PAID,
            PaymentAttempt.purpose == Purpose.ORDER,
            _lately(PaymentAttempt.paid_at, since),
            Order.confirmed_at.is_(None),
            ~exists().where(RefundDue.attempt_public_id == PaymentAttempt.public_id),
        )
    )
    return [("paid_not_enrolled", attempt, {"order": order}) for attempt, order in db.session.execute(query)]


def _enrolled_unpaid(since: datetime | None) -> Found:
    """The order is confirmed and had a price, but no money is here."""
    paid = exists().where(
        PaymentAttempt.order_id == Order.id,
        PaymentAttempt.state == AttemptState.PAID,
        PaymentAttempt.purpose == Purpose.ORDER,
    )
    query = select(Order.public_id).where(Order.state == "confirmed", Order.total_minor > 0, ~paid)
    query = query.where(_lately(Order.confirmed_at, since))
    return [("enrolled_unpaid", order, {}) for order in db.session.scalars(query)]


def _stuck(now: datetime) -> Found:
    """Attempts that Stripe never heard of, or whose delayed payment takes longer than any should."""
    is_unheard = (PaymentAttempt.state == AttemptState.CREATED) & (PaymentAttempt.created_at <= now - STUCK_AFTER)
    too_long = now - PENDING_FOR - STUCK_AFTER
    is_late = (PaymentAttempt.state == AttemptState.PROCESSING) & (PaymentAttempt.created_at <= too_long)
    query = select(PaymentAttempt.public_id, PaymentAttempt.state).where(is_unheard | is_late)
    return [("stuck_attempt", attempt, {"state": state}) for attempt, state in db.session.execute(query)]


def _failed_refunds() -> Found:
    """Refunds that failed while their money is still here."""
    query = _failed(select(Refund.public_id, Refund.failure_code)).where(~refunds.WENT_OTHERWISE)
    return [("refund_failed", refund, {"code": code}) for refund, code in db.session.execute(query)]


def _settle_failed_refunds(*, now: datetime) -> None:
    """Close those whose money went back in another way since: in the dashboard, by a bank, by a later refund."""
    waiting = exists().where(
        Discrepancy.kind == "refund_failed",
        Discrepancy.reference == Refund.public_id,
        Discrepancy.resolved_at.is_(None),
    )
    for refund in db.session.scalars(_failed(select(Refund.public_id)).where(waiting, refunds.WENT_OTHERWISE)).all():
        discrepancies.settle("refund_failed", refund, now=now)


def _failed(query: Any) -> Any:
    return query.join(Refund.attempt).join(Refund.refund_due).where(Refund.state == "failed")


def _unposted(since: datetime | None) -> Found:
    """Paid attempts that the ledger does not know."""
    posted = exists().where(LedgerTransaction.key == "payment:" + PaymentAttempt.public_id)
    query = select(PaymentAttempt.public_id).where(PaymentAttempt.state == AttemptState.PAID, ~posted)
    query = query.where(_lately(PaymentAttempt.paid_at, since))
    return [("payment_not_posted", attempt, {}) for attempt in db.session.scalars(query)]


def _debts(now: datetime) -> Found:
    """What learners owe by the facts is not what the ledger says that they owe."""
    found = debts.list_differing(quiet_since=now - QUIET_FOR)
    return [
        (
            "debt_differs",
            one.order.public_id,
            {"order": one.order.public_id, "left": one.left.minor, "ledger": booked.minor},
        )
        for one, booked in found
    ]
