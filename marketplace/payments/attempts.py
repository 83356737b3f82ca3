"""Where a payment is started and settled; no call to Stripe under a lock.

Locks go attempt → movement at Stripe → order → run → hold.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from marketplace.enrolment import orders
from marketplace.enrolment.models import Order, OrderState
from marketplace.enrolment.rules import Settlement
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, speaking
from marketplace.payments import debts, discrepancies, ledger, refunds, stripe_gateway
from marketplace.payments.models import LIVE_ATTEMPT, AttemptState, PaymentAttempt, Purpose
from marketplace.payments.stripe_gateway import LONGEST_SESSION, SHORTEST_SESSION, GatewayError, PageWanted, Session
from marketplace.payments.stripe_models import StripeTransaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from marketplace.foundation.money import Money

log = structlog.get_logger("payments")

SWEEP_BATCH = 100
# For the clocks between us and Stripe.
SKEW = timedelta(minutes=1)
UNREACHABLE = lazy(
    "The payment page cannot be reached right now. Your seat is still held; please try again in a minute."
)


def start_payment(
    order_id: int, *, return_url: str, cancel_url: str, now: datetime, purpose: Purpose = Purpose.ORDER
) -> str:
    """The address of Stripe's payment page for an order, or for what is owed beside it; pressed twice it is the same.

    The attempt is committed before Stripe is called with its id as idempotency key, so a crash in between makes no
    second session. Raises Refused when the order no longer waits for money or Stripe cannot be reached.
    """
    attempt = _attempt_for(order_id, now=now) if purpose is Purpose.ORDER else _attempt_for_debt(order_id, now=now)
    if attempt.url is not None:
        return attempt.url
    page = _page_wanted(attempt, return_url=return_url, cancel_url=cancel_url)
    attempt_id, key = attempt.id, attempt.public_id
    # Nothing stays open in the database while Stripe is spoken to.
    db.session.rollback()
    try:
        session = stripe_gateway.create_session(page)
    except GatewayError as error:
        log.warning("payment page not opened", code=error.code, attempt=key)
        if error.is_permanent:
            _give_up(attempt_id, error.code)
        raise Refused("payments_unreachable", UNREACHABLE) from error
    with transaction():
        attempt = locked(PaymentAttempt, attempt_id)
        if attempt.state == AttemptState.CREATED:
            attempt.state = AttemptState.OPEN
            attempt.session_id = session.id
            attempt.url = session.url
    if attempt.url is None:
        raise Refused("payments_unreachable", UNREACHABLE)
    return attempt.url


def _give_up(attempt_id: int, code: str) -> None:
    """End an attempt that Stripe will never open a page for, so that the next press begins anew."""
    with transaction():
        attempt = locked(PaymentAttempt, attempt_id)
        if attempt.state == AttemptState.CREATED:
            attempt.state, attempt.failure_code = AttemptState.FAILED, code


def _page_wanted(attempt: PaymentAttempt, *, return_url: str, cancel_url: str) -> PageWanted:
    """The same for the same attempt whenever it is asked: Stripe refuses a repeated key with other parameters."""
    order = attempt.order
    return PageWanted(
        key=attempt.public_id,
        order_number=order.public_id,
        amount=attempt.amount,
        title=_title_of(attempt),
        email=order.person.email,
        locale=order.locale,
        expires_at=attempt.expires_at,
        return_url=return_url,
        cancel_url=cancel_url,
    )


def _title_of(attempt: PaymentAttempt) -> str:
    """What the page says is paid for, in the order's language."""
    line, locale = attempt.order.lines[0], attempt.order.locale
    title = (line.title_zh if locale == "zh" else line.title_en) or line.title_en or line.title_zh
    if attempt.purpose == Purpose.ORDER:
        return title
    with speaking(locale):
        return _("Owed for a subsidy: %(course)s", course=title)


def _attempt_for(order_id: int, *, now: datetime) -> PaymentAttempt:
    """The live attempt of the order, or a new one. Locks the order."""
    with transaction():
        order = locked(Order, order_id)
        is_waiting = order.state == OrderState.AWAITING_PAYMENT and order.expires_at is not None
        if not is_waiting or order.hold is None or not order.hold.is_live(now):
            raise Refused("order_not_open", lazy("This order no longer waits for payment."))
        live = _find_live(order.id, Purpose.ORDER, now=now)
        if live is not None:
            return live
        attempt = PaymentAttempt(
            order_id=order.id,
            amount_minor=order.total_minor,
            currency=order.currency,
            created_at=now,
            # A seat on offer may be held for days.
            expires_at=min(max(order.hold.until, now + SHORTEST_SESSION + SKEW), now + LONGEST_SESSION - SKEW),
        )
        orders.record(order, "payment_started", now=now, actor_id=order.person_id)
        return add(attempt)


def _attempt_for_debt(order_id: int, *, now: datetime) -> PaymentAttempt:
    """The live attempt for what is owed beside the order, or a new one. Locks the order and its subsidy."""
    with transaction():
        debt = debts.lock(order_id)
        if not debt.is_open:
            raise Refused("nothing_owed", lazy("Nothing is owed for this order any more."))
        live = _find_live(order_id, Purpose.DEBT, now=now)
        if live is not None and live.amount == debt.left:
            return live
        if live is not None:
            # Its page is closed within a minute: `close_dead_sessions`.
            raise Refused("amount_changed", lazy("What you owe has changed. Please try again in a minute."))
        attempt = PaymentAttempt(
            order_id=order_id,
            purpose=Purpose.DEBT,
            amount_minor=debt.left.minor,
            currency=debt.left.currency,
            created_at=now,
            expires_at=now + SHORTEST_SESSION + SKEW,
        )
        return add(attempt)


def _find_live(order_id: int, purpose: Purpose, *, now: datetime) -> PaymentAttempt | None:
    """The live attempt, but for one whose page was never opened and cannot be any more: that one ends here."""
    query = select(PaymentAttempt).filter_by(order_id=order_id, purpose=purpose).where(LIVE_ATTEMPT)
    live = db.session.scalars(query).one_or_none()
    if live is not None and live.state == AttemptState.CREATED and live.expires_at < now + SHORTEST_SESSION:
        # What was asked for then is too short for Stripe by now.
        live.state = AttemptState.EXPIRED
        db.session.flush()
        return None
    return live


def settle(session: Session, *, now: datetime) -> PaymentAttempt | None:
    """Make our books agree with a session as Stripe has it now; None if it is not ours. Safe to repeat.

    Locks the attempt, then order, run and hold.
    """
    with transaction():
        attempt = _locked_attempt_of(session)
        if attempt is None:
            return None
        attempt.payment_intent_id = session.payment_intent_id or attempt.payment_intent_id
        if session.is_paid:
            _settle_paid(attempt, session, now=now)
        elif attempt.state in {AttemptState.CREATED, AttemptState.OPEN, AttemptState.PROCESSING}:
            _settle_unpaid(attempt, session, now=now)
        return attempt


def _locked_attempt_of(session: Session) -> PaymentAttempt | None:
    query = select(PaymentAttempt.id).filter_by(session_id=session.id)
    attempt_id = db.session.scalar(query)
    if attempt_id is None and session.reference:
        # The event overtook the answer to our own call: the session names the attempt.
        attempt_id = db.session.scalar(select(PaymentAttempt.id).filter_by(public_id=session.reference))
    if attempt_id is None:
        return None
    attempt = locked(PaymentAttempt, attempt_id)
    if attempt.session_id is None:
        attempt.session_id, attempt.url = session.id, session.url
        if attempt.state == AttemptState.CREATED:
            attempt.state = AttemptState.OPEN
    return attempt if attempt.session_id == session.id else None


def _settle_paid(attempt: PaymentAttempt, session: Session, *, now: datetime) -> None:
    """Book the money once, and let the order decide what it buys."""
    if attempt.state == AttemptState.PAID:
        return
    if _is_counted(attempt):
        # Staff have said what this money is before its session was settled: counted again it would go back as well.
        if attempt.state in {AttemptState.CREATED, AttemptState.OPEN, AttemptState.PROCESSING}:
            attempt.state, attempt.failure_code = AttemptState.FAILED, "counted_already"
        details = {"order": attempt.order.public_id, "payment_intent": attempt.payment_intent_id or ""}
        discrepancies.queue("missing_here", f"attempt:{attempt.public_id}", details, now=now)
        return
    take_in(attempt, session.amount or attempt.amount, into=ledger.STRIPE_BALANCE, occurred_at=now, now=now)


def _is_counted(attempt: PaymentAttempt) -> bool:
    """Whether the money of this payment stands in the books already: for another order, or as staff have said.

    Locks its movement at Stripe, where staff who say what it is in this moment are waited for.
    """
    if attempt.payment_intent_id is None:
        return False
    movements = select(StripeTransaction.id).filter_by(payment_intent_id=attempt.payment_intent_id)
    for row_id in db.session.scalars(movements.order_by(StripeTransaction.id)).all():
        locked(StripeTransaction, row_id)
    beside = select(PaymentAttempt.id).where(
        PaymentAttempt.payment_intent_id == attempt.payment_intent_id,
        PaymentAttempt.state == AttemptState.PAID,
        PaymentAttempt.id != attempt.id,
    )
    said = select(StripeTransaction.id).where(
        StripeTransaction.payment_intent_id == attempt.payment_intent_id, StripeTransaction.matched_to.like("answer:%")
    )
    return db.session.scalar(beside.limit(1)) is not None or db.session.scalar(said.limit(1)) is not None


def take_in(attempt: PaymentAttempt, paid: Money, *, into: str, occurred_at: datetime, now: datetime) -> None:
    """Book money that is here, on the account it lies on, and let the order or the debt decide what it is for.

    `occurred_at` is when it came, for the books and for whoever reads when they paid; what it buys is decided now.
    Call inside a transaction, with the attempt locked or new. Locks order, run and hold.
    """
    attempt.state, attempt.paid_at = AttemptState.PAID, occurred_at
    db.session.flush()
    if attempt.purpose == Purpose.DEBT:
        debts.take_in(attempt, paid, into=into, occurred_at=occurred_at, now=now)
        return
    verdict = orders.confirm_payment(attempt.order_id, attempt_public_id=attempt.public_id, amount=paid, now=now)
    is_kept = verdict in {Settlement.CONFIRM, Settlement.REHOLD_AND_CONFIRM}
    owed_to = ledger.UNEARNED_REVENUE if is_kept else ledger.REFUNDS_PAYABLE
    ledger.post(
        f"payment:{attempt.public_id}",
        "payment",
        {into: paid, owed_to: -paid},
        order_id=attempt.order_id,
        occurred_at=occurred_at,
    )
    if not is_kept:
        refunds.take_up_soon()


def _settle_unpaid(attempt: PaymentAttempt, session: Session, *, now: datetime) -> None:
    if session.status == "expired":
        attempt.state = AttemptState.EXPIRED
    elif session.has_failed:
        attempt.state, attempt.failure_code = AttemptState.FAILED, session.failure_code
        if attempt.purpose == Purpose.ORDER:
            orders.payment_failed(attempt.order_id, now=now)
    elif session.is_processing and attempt.state != AttemptState.PROCESSING:
        attempt.state = AttemptState.PROCESSING
        if attempt.purpose == Purpose.ORDER:
            orders.payment_pending(attempt.order_id, now=now)


def settle_returned(order_id: int, *, now: datetime) -> None:
    """Ask Stripe about the order's live attempt, so that the returning person need not wait for the webhook.

    Stripe out of reach is no trouble here: the webhook and reconciliation settle it.
    """
    query = select(PaymentAttempt.session_id).filter_by(order_id=order_id).where(LIVE_ATTEMPT)
    _each(query_ids(query), stripe_gateway.retrieve_session, now=now)


def close_dead_sessions(*, now: datetime) -> int:
    """Expire the payment pages of orders and debts that no longer wait, so that nobody pays for nothing; how many."""
    of_orders = (
        select(PaymentAttempt.session_id)
        .join(PaymentAttempt.order)
        .where(PaymentAttempt.state == AttemptState.OPEN, PaymentAttempt.purpose == Purpose.ORDER)
        .where(Order.state.in_(["cancelled", "expired", "confirmed"]))
        .limit(SWEEP_BATCH)
    )
    dead = query_ids(of_orders) + query_ids(debts.dead_pages().limit(SWEEP_BATCH))
    return _each(dead, stripe_gateway.expire_session, now=now)


def settle_stale(*, older_than: datetime, now: datetime) -> int:
    """Ask Stripe about attempts that nobody told us about since `older_than`; how many were asked for."""
    query = (
        select(PaymentAttempt.session_id)
        .where(PaymentAttempt.state.in_(["open", "processing"]), PaymentAttempt.created_at <= older_than)
        .order_by(PaymentAttempt.created_at)
        .limit(SWEEP_BATCH)
    )
    return _each(query_ids(query), stripe_gateway.retrieve_session, now=now)


def query_ids(query: object) -> list[str]:
    """The session ids of a query, read in a transaction of their own that is over before Stripe is called."""
    ids = [row for row in db.session.scalars(query).all() if row]  # type: ignore[call-overload]
    db.session.rollback()
    return ids


def _each(session_ids: list[str], ask: Callable[[str], Session], *, now: datetime) -> int:
    for session_id in session_ids:
        try:
            session = ask(session_id)
        except GatewayError as error:
            log.warning("session not reached", code=error.code, session=session_id)
            continue
        settle(session, now=now)
    return len(session_ids)


@jobs.periodic(cron="* * * * *", name="payments.close_dead_sessions")
def close_dead() -> None:
    """Every minute: close the payment pages that no longer wait; give back what was paid for debts that are gone."""
    close_dead_sessions(now=clock.now())
    debts.return_overpaid(now=clock.now())
