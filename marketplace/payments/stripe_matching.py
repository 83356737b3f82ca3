"""Where each movement at Stripe is held against a fact of ours: fees and payouts are posted, differences are queued.

A movement that finds no fact is looked at again every time; when its fact turns up, its discrepancy closes by itself.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import exists, or_, select

from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, locked, transaction
from marketplace.foundation.money import EXPONENTS
from marketplace.payments import discrepancies, disputes, ledger, matching_rules, posting_rules, refunds, stripe_feeds
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.dispute_rules import DisputeState
from marketplace.payments.matching_rules import OurFact, Verdict
from marketplace.payments.models import LedgerTransaction, PaymentAttempt, Refund
from marketplace.payments.stripe_gateway import GatewayError
from marketplace.payments.stripe_models import UNMATCHED_STATES, StripePayout, StripeTransaction

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.payments.posting_rules import Entries

log = structlog.get_logger("stripe_matching")

BATCH = 5000
# The discrepancy of each verdict.
KINDS = {
    Verdict.DIFFERS: "amount_differs",
    Verdict.MISSING_HERE: "missing_here",
    Verdict.UNKNOWN: "unknown_movement",
}
# How long Stripe may take to list what it told us.
LISTED_WITHIN = timedelta(days=1)


@jobs.periodic(cron="23 20 * * *", name="payments.reconcile_daily")
def reconcile_daily() -> None:
    """Every day before dawn in Shanghai: read what moved at Stripe and hold it against the books."""
    log.info("reconciled with Stripe", **reconcile(now=clock.now()))


@jobs.task(name="payments.reconcile_stripe")
def reconcile_now() -> None:
    """The same when staff ask for it."""
    reconcile(now=clock.now())


def reconcile_soon() -> None:
    """Enqueue a reconciliation, unless one waits already."""
    with transaction():
        jobs.enqueue(reconcile_now, key="payments.reconcile_stripe")


def reconcile(*, now: datetime) -> dict[str, int]:
    """Fetch, match, and queue what Stripe lacks; how many of each. Raises GatewayError; safe to repeat."""
    return {
        "fetched": stripe_feeds.fetch(now=now),
        "noticed": notice_missed(now=now),
        "matched": match_all(now=now),
        "arrived": post_payouts(now=now),
        "missing_at_stripe": queue_missing(now=now),
    }


def notice_missed(*, now: datetime) -> int:
    """Follow refunds and disputes of which no event told us; how many are ours. No transaction is open meanwhile."""
    kinds = matching_rules.REFUNDS | matching_rules.ADJUSTMENTS
    query = select(StripeTransaction.type, StripeTransaction.source_id).where(
        UNMATCHED_STATES, StripeTransaction.type.in_(kinds), StripeTransaction.source_id.is_not(None)
    )
    rows = db.session.execute(query.order_by(StripeTransaction.id).limit(BATCH)).all()
    db.session.rollback()
    return sum(notice(kind, str(source), now=now) for kind, source in rows)


def notice(kind: str, source_id: str, *, now: datetime) -> bool:
    """Re-read what a movement names and make our rows agree; False if it is not ours or Stripe cannot be reached."""
    try:
        if kind in matching_rules.ADJUSTMENTS:
            return disputes.sync(source_id, now=now)
        return refunds.sync(source_id, now=now)
    except GatewayError as error:
        log.warning("movement not followed", code=error.code, source=source_id)
        return False


def match_all(*, now: datetime) -> int:
    """Match every movement that has no fact yet, each in a transaction of its own; how many found theirs."""
    query = select(StripeTransaction.id).where(UNMATCHED_STATES).order_by(StripeTransaction.id).limit(BATCH)
    return sum(match(row_id, now=now) for row_id in db.session.scalars(query).all())


def match(row_id: int, *, now: datetime) -> bool:
    """Match one movement and post what only Stripe knows: its fee, a payout. Locks the movement."""
    with transaction():
        row = locked(StripeTransaction, row_id)
        if row.state == Verdict.MATCHED:
            return True
        if row.currency not in EXPONENTS:
            return _conclude(row, Verdict.UNKNOWN, None, now=now)
        _post(f"stripe_fee:{row.transaction_id}", "processor_fee", posting_rules.processor_fee(row.fee), row)
        ours = _fact_of(row)
        verdict = matching_rules.judge(row.amount, row.exchange_rate, ours)
        if verdict is Verdict.UNKNOWN:
            # Our balance at Stripe is what Stripe says, whatever it is for.
            _post(f"unmatched:{row.transaction_id}", "unmatched", posting_rules.unmatched(row.amount), row)
        elif verdict is not Verdict.MISSING_HERE:
            _take_back_unmatched(row)
        if verdict is Verdict.MATCHED and ours is not None:
            _post_matched(row, ours)
        return _conclude(row, verdict, ours, now=now)


def _conclude(row: StripeTransaction, verdict: Verdict, ours: OurFact | None, *, now: datetime) -> bool:
    row.state, row.matched_to = verdict.value, ours.key if ours else None
    if verdict is Verdict.MATCHED:
        for kind in KINDS.values():
            discrepancies.settle(kind, row.transaction_id, now=now)
        return True
    if verdict is Verdict.DIFFERS:
        # What stood for it in suspense is taken back: nothing is left to say about that.
        discrepancies.settle(KINDS[Verdict.UNKNOWN], row.transaction_id, now=now, note=discrepancies.TURNED_UP)
    details: dict[str, Any] = {"theirs": row.amount_minor, "currency": row.currency, "type": row.type}
    details |= {"source": row.source_id, "intent": row.payment_intent_id}
    details |= {"ours": ours.amount.minor, "our_currency": ours.amount.currency, "fact": ours.key} if ours else {}
    discrepancies.queue(KINDS[verdict], row.transaction_id, details, now=now)
    return False


def _fact_of(row: StripeTransaction) -> OurFact | None:
    """The fact of ours that a movement is about, by the ids both sides know; locks nothing."""
    if row.type in matching_rules.PAYMENTS:
        return _payment_of(row)
    if row.type in matching_rules.REFUNDS | matching_rules.REFUND_FAILURES:
        return _refund_of(row)
    if row.type in matching_rules.PAYOUTS | matching_rules.PAYOUT_FAILURES:
        return _payout_of(row)
    if row.type in matching_rules.ADJUSTMENTS:
        return _dispute_of(row)
    if row.type in matching_rules.FEES:
        # A fee of the account itself stands for nothing but itself.
        return OurFact(f"stripe_fee:{row.transaction_id}", row.amount, is_booked=True)
    return None


def _payment_of(row: StripeTransaction) -> OurFact | None:
    query = select(PaymentAttempt).filter_by(payment_intent_id=row.payment_intent_id)
    attempt = db.session.scalars(query).first() if row.payment_intent_id else None
    if attempt is None:
        return None
    return OurFact(f"payment:{attempt.public_id}", attempt.amount, is_booked=attempt.state == "paid")


def _refund_of(row: StripeTransaction) -> OurFact | None:
    refund = db.session.scalars(select(Refund).filter_by(stripe_refund_id=row.source_id)).first()
    if refund is None:
        return None
    is_failure = row.type in matching_rules.REFUND_FAILURES
    amount = refund.amount if is_failure else -refund.amount
    # Stripe moves the money when it takes a refund up, and back when it fails.
    return OurFact(f"refund:{refund.public_id}", amount, is_booked=not is_failure or refund.state == "failed")


def _payout_of(row: StripeTransaction) -> OurFact | None:
    payout = db.session.scalars(select(StripePayout).filter_by(payout_id=row.source_id)).first()
    if payout is None:
        return None
    sign = 1 if row.type in matching_rules.PAYOUT_FAILURES else -1
    return OurFact(f"payout:{payout.payout_id}", posting_rules.signed(payout.amount, sign), is_booked=True)


def _dispute_of(row: StripeTransaction) -> OurFact | None:
    dispute = db.session.scalars(select(Dispute).filter_by(stripe_dispute_id=row.source_id)).first()
    if dispute is None:
        return None
    # Stripe takes the money when a dispute opens, and gives it back when we win.
    is_back = row.amount_minor > 0
    amount = posting_rules.signed(dispute.amount, 1 if is_back else -1)
    return OurFact(f"dispute:{dispute.public_id}", amount, is_booked=not is_back or dispute.state == DisputeState.WON)


def _take_back_unmatched(row: StripeTransaction) -> None:
    """The fact of a movement is in our books: what stood for it while it was unknown would count it twice."""
    key = f"unmatched:{row.transaction_id}"
    if db.session.scalar(select(LedgerTransaction.id).filter_by(key=key)) is not None:
        _post(f"known:{row.transaction_id}", "unmatched", posting_rules.unmatched(-row.amount), row)


def _post_matched(row: StripeTransaction, ours: OurFact) -> None:
    if row.type in matching_rules.PAYOUTS | matching_rules.PAYOUT_FAILURES:
        _post(f"stripe:{row.transaction_id}", "payout", posting_rules.payout_left(-row.amount), row)
    elif row.type in matching_rules.FEES:
        _post(f"stripe:{row.transaction_id}", "processor_fee", posting_rules.processor_fee(-row.amount), row)
    elif row.currency != ours.amount.currency:
        _post(f"stripe:{row.transaction_id}", "exchange", posting_rules.exchanged(ours.amount, row.amount), row)


def _post(key: str, kind: str, entries: Entries, row: StripeTransaction) -> None:
    """Post what a movement stands for, on its order if it has one; nothing for a zero amount."""
    if not entries:
        return
    order_id = None
    if row.payment_intent_id is not None:
        query = select(PaymentAttempt.order_id).filter_by(payment_intent_id=row.payment_intent_id)
        order_id = db.session.scalars(query).first()
    details = {"stripe": row.transaction_id}
    ledger.post(key, kind, entries, order_id=order_id, occurred_at=row.happened_at, details=details)


def post_payouts(*, now: datetime) -> int:
    """Post the payouts that have reached the bank, and those that came back after all; how many."""
    arrived = exists().where(LedgerTransaction.key == "payout_arrived:" + StripePayout.payout_id)
    returned = exists().where(LedgerTransaction.key == "payout_returned:" + StripePayout.payout_id)
    is_due = or_(
        (StripePayout.status == "paid") & ~arrived,
        StripePayout.status.in_(["failed", "canceled"]) & arrived & ~returned,
    )
    query = select(StripePayout).where(is_due, StripePayout.arrives_at <= now).order_by(StripePayout.id)
    payouts = db.session.scalars(query.limit(BATCH)).all()
    for payout in payouts:
        has_arrived = payout.status == "paid"
        name = "payout_arrived" if has_arrived else "payout_returned"
        entries = posting_rules.payout_arrived(posting_rules.signed(payout.amount, 1 if has_arrived else -1))
        moment = payout.arrives_at if has_arrived else now
        with transaction():
            ledger.post(f"{name}:{payout.payout_id}", name, entries, order_id=None, occurred_at=moment)
    return len(payouts)


def queue_missing(*, now: datetime) -> int:
    """Queue payments and refunds of ours that Stripe lacks though it lists later ones; how many are new."""
    until = stripe_feeds.complete_until()
    if until is None:
        return 0
    found = [*_payments_not_listed(until - LISTED_WITHIN), *_refunds_not_listed(until - LISTED_WITHIN)]
    with transaction():
        return sum(discrepancies.queue("missing_at_stripe", key, details, now=now) for key, details in found)


def _payments_not_listed(until: datetime) -> list[tuple[str, dict[str, Any]]]:
    listed = exists().where(
        StripeTransaction.payment_intent_id == PaymentAttempt.payment_intent_id,
        StripeTransaction.type.in_(matching_rules.PAYMENTS),
    )
    query = select(PaymentAttempt).where(
        PaymentAttempt.state == "paid",
        PaymentAttempt.payment_intent_id.is_not(None),
        PaymentAttempt.paid_at <= until,
        ~listed,
    )
    return [
        (f"payment:{one.public_id}", {"ours": one.amount_minor, "our_currency": one.currency})
        for one in db.session.scalars(query.limit(BATCH))
    ]


def _refunds_not_listed(until: datetime) -> list[tuple[str, dict[str, Any]]]:
    listed = exists().where(
        StripeTransaction.source_id == Refund.stripe_refund_id, StripeTransaction.type.in_(matching_rules.REFUNDS)
    )
    query = select(Refund).where(
        Refund.state == "succeeded", Refund.stripe_refund_id.is_not(None), Refund.settled_at <= until, ~listed
    )
    return [
        (f"refund:{one.public_id}", {"ours": -one.amount_minor, "our_currency": one.currency})
        for one in db.session.scalars(query.limit(BATCH))
    ]
