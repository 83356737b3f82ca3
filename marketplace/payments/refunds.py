"""Where money goes back: facts left by enrolment are picked up, staff ask, Stripe is called by a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import case, func, select

from marketplace.enrolment import orders, places, returns
from marketplace.enrolment.models import Order, RefundDue
from marketplace.enrolment.refund_rules import (
    DEBT_GONE,
    NEVER_SOLD,
    Part,
    Payer,
    Share,
    by_payer,
    left_of,
    of_buyer,
)
from marketplace.foundation import clock, ids, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.payments import (
    acts,
    external_refunds,
    fapiao_gate,
    four_eyes,
    frozen,
    kept,
    ledger,
    letters,
    posting_rules,
    stripe_gateway,
)
from marketplace.payments.models import PaymentAttempt, Purpose, Refund
from marketplace.payments.posting_rules import Account
from marketplace.payments.stripe_gateway import GatewayError, RefundAnswer

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger("refunds")

BATCH = 100
# Of a failed refund, joined with its attempt and its fact: whether its money has gone back in another way. What was
# never sold is owed to the last fen; a refund that somebody wished for is one wish.
_GONE = (
    select(func.coalesce(func.sum(RefundDue.amount_minor), 0))
    .where(RefundDue.attempt_public_id == PaymentAttempt.public_id, RefundDue.voided_at.is_(None))
    .correlate(PaymentAttempt)
    .scalar_subquery()
)
WENT_OTHERWISE = case(
    (RefundDue.reason == DEBT_GONE, kept.OWED_BACK_OF_DEBT <= 0),
    (RefundDue.reason.in_(NEVER_SOLD), PaymentAttempt.amount_minor - _GONE <= 0),
    else_=PaymentAttempt.amount_minor - _GONE < Refund.amount_minor,
)


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
    """Make a Refund row of each waiting fact about a learner's money; how many.

    Locks the facts, skipping those another worker holds. Shares of funders and vouchers are not Stripe's to send.
    """
    with transaction():
        waiting = (RefundDue.picked_up_at.is_(None), RefundDue.payer == Payer.LEARNER, RefundDue.voided_at.is_(None))
        query = select(RefundDue).where(*waiting).order_by(RefundDue.id).limit(BATCH)
        facts = db.session.scalars(query.with_for_update(skip_locked=True)).all()
        for fact in facts:
            _take_up(fact, now=now)
        return len(facts)


def _take_up(fact: RefundDue, *, now: datetime) -> Refund:
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
    return refund


def refundable(attempt: PaymentAttempt) -> Money:
    """What of a paid attempt has not gone back and is not on its way."""
    query = select(func.coalesce(func.sum(RefundDue.amount_minor), 0)).where(
        RefundDue.attempt_public_id == attempt.public_id, RefundDue.voided_at.is_(None)
    )
    return attempt.amount - Money(int(db.session.scalar(query) or 0), attempt.currency)


def left(order_id: int) -> Money:
    """What of an order has not gone back and is not on its way, of the learner and a voucher."""
    order = db.session.get_one(Order, order_id)
    return Money(left_of(of_buyer(returns.parts_of([order_id]))), order.currency)


@dataclass(frozen=True)
class Seen:
    """What a page showed before it was pressed: the shares as `told` has them, what was left in minor units."""

    shares: str | None = None
    left: int | None = None


def request_refund(
    order_id: int,
    amount: Money,
    *,
    reason: str,
    ends_place: bool,
    actor_id: int,
    now: datetime,
    seen: Seen | None = None,
) -> list[Refund]:
    """Give back all or part of what was paid for an order, by hand of finance staff; a job sends it.

    The amount is divided between learner and voucher, and where the place stays as great a share comes off its subsidy;
    the learner's part becomes the refunds returned here. Whether the place ends is a decision of its own, taken and
    recorded now. Locks the orders behind the place, its run if it ends, then the voucher, then the programme. Raises
    Invalid for an amount beyond what is left, Refused for an order nobody paid for, one's own, while a bank decides
    about the payment, or when shares or what is left are not what was `seen`.
    """
    with transaction():
        # The subsidy may be of another order behind the place: all of them, by id.
        order = {one: locked(Order, one) for one in places.orders_beside(order_id)}[order_id]
        four_eyes.check_not_own(order_id, actor_id=actor_id)
        seen = seen or Seen()
        acts.check_unchanged(seen.left, left(order_id).minor)
        shares = divide(order, amount, ends_place=ends_place)
        if seen.shares not in {None, told(shares)}:
            raise Refused("shares_changed", lazy("The shares have changed since you saw them. Please look again."))
        frozen.check(share.part.reference for share in shares if share.part.payer is Payer.LEARNER)
        if ends_place:
            places.lock_run_of(order_id)
        facts = returns.leave(shares, currency=order.currency, reason="staff", key=f"staff:{ids.public_id()}", now=now)
        made = [_take_up(fact, now=now) for fact in facts if fact.payer == Payer.LEARNER]
        for refund in made:
            refund.requested_by_id, refund.reason = actor_id, reason
            decide(refund, ends_place=ends_place, actor_id=actor_id, now=now)
        details = {"amount": amount.minor, "refunds": [refund.public_id for refund in made], "shares": told(shares)}
        orders.record(order, "refund_due", now=now, actor_id=actor_id, details=details)
        if ends_place:
            places.end_of_order(order_id, "refunded", now=now, actor_id=actor_id)
        return made


def divide(order: Order, amount: Money, *, ends_place: bool) -> list[Share]:
    """To whom an amount would go; raises Invalid for one beyond what is left, Refused where nothing was paid."""
    parts = of_buyer(returns.parts_of([order.id]))
    if not parts:
        raise Refused("nothing_paid", lazy("Nothing has been paid for this order."))
    if amount.currency != order.currency or not 0 < amount.minor <= left_of(parts):
        message = lazy("Enter an amount between one cent and what has not been given back yet.")
        raise Invalid("refund_amount", message, {"amount": message})
    return returns.divide(order.id, amount.minor, place_stays=not ends_place)


def told(shares: list[Share]) -> str:
    """The shares as a page keeps them between showing and doing, and as the order's history does."""
    return ", ".join(f"{payer} {minor}" for payer, minor in by_payer(shares).items())


def decide(refund: Refund, *, ends_place: bool, actor_id: int, now: datetime) -> None:
    """Note what staff decided about the place beside this refund. Call inside a transaction."""
    refund.place_decision = "end" if ends_place else "keep"
    refund.decided_at, refund.decided_by_id = now, actor_id
    db.session.flush()


def repeat(refund: Refund, *, actor_id: int, now: datetime) -> Refund:
    """Ask once more for a refund that failed, as a new one; call inside a transaction. Locks attempt and order.

    Raises Refused for one that has not failed, was repeated before, whose money went back otherwise meanwhile or is in
    dispute, or of one's own order.
    """
    attempt = locked(PaymentAttempt, refund.attempt_id)
    order = locked(Order, attempt.order_id)
    before = db.session.get_one(RefundDue, refund.refund_due_id)
    key = f"{kept.AGAIN}{refund.public_id}"
    if refund.state != "failed" or db.session.scalar(select(RefundDue.id).where(RefundDue.key.startswith(key))):
        raise Refused("not_failed", lazy("This refund does not wait to be sent again."))
    four_eyes.check_not_own(order.id, actor_id=actor_id)
    frozen.check([attempt.public_id])
    minor = refund.amount_minor
    if before.reason in NEVER_SOLD:
        minor = min(minor, refundable(attempt).minor)
    if before.reason == DEBT_GONE:
        minor = min(minor, kept.owed_back_of(attempt).minor)
    if not 0 < minor <= refundable(attempt).minor:
        raise Refused("gone_back", lazy("This money has gone back in another way already."))
    share = Share(Part(Payer.LEARNER, attempt.public_id, order.id, attempt.amount_minor), minor)
    [fact] = returns.leave([share], currency=refund.currency, reason=before.reason, key=key, now=now)
    made = _take_up(fact, now=now)
    made.reason, made.requested_by_id = refund.reason, actor_id
    return made


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
    if known is None and fapiao_gate.must_wait(attempt.order_id, Purpose(attempt.purpose), now=clock.now()):
        return
    if attempt.method == "offline":
        # Staff send it at the bank: offline.refund_sent.
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


def book(refund_id: int, answer: RefundAnswer, *, now: datetime, occurred_at: datetime | None = None) -> None:
    """Make our books agree with a refund as Stripe or the bank has it; it went at `occurred_at`, or now.

    Locks attempt, refund, then the order.
    """
    with transaction():
        attempt_id = db.session.scalar(select(Refund.attempt_id).filter_by(id=refund_id))
        attempt = locked(PaymentAttempt, attempt_id or 0)
        refund = locked(Refund, refund_id)
        refund.stripe_refund_id = answer.id or refund.stripe_refund_id
        if refund.state in {"succeeded", "failed"}:
            return
        locked(Order, attempt.order_id)
        fact = db.session.get_one(RefundDue, refund.refund_due_id)
        if answer.status == "succeeded":
            refund.state, refund.settled_at = "succeeded", occurred_at or now
            _book_succeeded(refund, fact, attempt, occurred_at=refund.settled_at, now=now)
        elif answer.status in {"failed", "canceled"}:
            refund.state, refund.settled_at, refund.failure_code = "failed", now, answer.failure_code
            returns.void(fact, now=now)
        else:
            refund.state = "pending"


def _book_succeeded(
    refund: Refund, fact: RefundDue, attempt: PaymentAttempt, *, occurred_at: datetime, now: datetime
) -> None:
    order = db.session.get_one(Order, attempt.order_id)
    out_of = Account.BANK if attempt.method == "offline" else Account.STRIPE_BALANCE
    entries = posting_rules.given_back(refund.amount, out_of=out_of, whose=_account_of(fact.reason))
    kind = "refund"
    if attempt.purpose == Purpose.DEBT:
        kind = "debt_refund"
        entries = posting_rules.debt_returned(refund.amount, kept.booked_as_owed_back(attempt), out_of=out_of)
    ledger.post(f"refund:{refund.public_id}", kind, entries, order_id=order.id, occurred_at=occurred_at)
    orders.record(order, "refunded", now=now, details={"refund": refund.public_id})
    jobs.enqueue(letters.tell, refund_id=refund.id)


def _account_of(reason: str) -> Account:
    """What stood for the money of an order until now: a place, or that it was owed back."""
    return Account.REFUNDS_PAYABLE if reason in NEVER_SOLD else Account.UNEARNED_REVENUE


def sync(stripe_refund_id: str, *, now: datetime) -> bool:
    """Re-read a refund an event spoke of and book it; False if it is about no payment of ours.

    One that we did not ask for was made by hand in Stripe's dashboard: it is taken into our books.
    """
    refund_id = db.session.scalar(select(Refund.id).filter_by(stripe_refund_id=stripe_refund_id))
    db.session.rollback()
    try:
        answer = stripe_gateway.retrieve_refund(stripe_refund_id)
    except GatewayError as error:
        if error.is_permanent and refund_id is None:
            return False
        raise
    if refund_id is None:
        refund_id = _find_ours(answer) or external_refunds.adopt(answer, now=now)
    if refund_id is None:
        return False
    book(refund_id, answer, now=now)
    return True


def _find_ours(answer: RefundAnswer) -> int | None:
    """The refund whose own call has not come back yet, by the key we gave it."""
    query = select(Refund.id).where(Refund.public_id == (answer.reference or ""), Refund.stripe_refund_id.is_(None))
    found = db.session.scalar(query)
    db.session.rollback()
    return found
