"""Where bank transfers are entered, approved by a second officer, and settled as any other payment.

A transfer up to the limit of the settings is settled at once; above it two people must have seen it. Locks go
transfer → order → run → hold, as with payment attempts, and the order is confirmed by the same verb.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from marketplace.enrolment.models import Order, OrderState
from marketplace.foundation import bank_days
from marketplace.foundation.database import add, db, locked, one_row, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.payments import acts, attempts, debts, fapiao_gate, four_eyes, offline_rules, refunds
from marketplace.payments.desk_models import OfflinePayment, OfflineState
from marketplace.payments.models import AttemptState, PaymentAttempt, Purpose, Refund
from marketplace.payments.posting_rules import Account
from marketplace.payments.sponsor_models import SponsorPayment
from marketplace.payments.stripe_gateway import RefundAnswer
from marketplace.payments.unmatched_models import BankMoney, UnmatchedAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@dataclass(frozen=True)
class Transfer:
    """A bank transfer as the bank shows it."""

    amount: Money
    bank_reference: str
    received_on: date
    purpose: Purpose = Purpose.ORDER


def enter(order_id: int, transfer: Transfer, *, reason: str, actor_id: int, now: datetime) -> OfflinePayment:
    """Enter a transfer for an order or a debt, which is settled at once unless four eyes are needed.

    Locks order, run and hold; for a debt order and subsidy.

    What comes for an order that is paid is owed back. Raises Invalid for another amount than the one due or a day to
    come, Refused for a transfer that was entered before and for one's own order.
    """
    with transaction():
        # Not locked by itself: an order paid meanwhile gives the transfer back, and rivals are locked together, by id.
        order = db.session.get_one(Order, order_id)
        four_eyes.wait_for_pieces(f"order {order.public_id}")
        four_eyes.check_not_own(order_id, actor_id=actor_id)
        check_amount(order, transfer)
        _check(transfer, now=now)
        before = settled_before(order, transfer.purpose)
        payment = add(
            OfflinePayment(
                order_id=order.id,
                purpose=transfer.purpose,
                amount_minor=transfer.amount.minor,
                currency=transfer.amount.currency,
                bank_reference=offline_rules.normalised(transfer.bank_reference),
                received_on=transfer.received_on,
                reason=reason.strip(),
                proposed_by_id=actor_id,
                proposed_at=now,
            )
        )
        _record("transfer_entered", payment, reason=reason, actor_id=actor_id, now=now)
        if not four_eyes.are_needed(transfer.amount, before=before):
            _settle(payment, now=now)
        return payment


def check_amount(order: Order, transfer: Transfer) -> None:
    """Raise Invalid for what is not due: an order is paid at once, or once more with anything; a debt in parts, too."""
    if transfer.purpose is Purpose.DEBT:
        # Its pieces come one after another: what is left, and what was settled before, stay as they are.
        is_owed = transfer.amount.currency == order.currency and debts.find(order.public_id) is not None
        if not is_owed or not 0 < transfer.amount.minor <= debts.lock(order.id).left.minor:
            message = lazy("Enter an amount between one cent and what is still owed.")
            raise Invalid("wrong_amount", message, {"amount": message})
        return
    if order.state == OrderState.CONFIRMED and transfer.amount.currency == order.currency and transfer.amount.minor > 0:
        # Paid once more, with whatever amount: it is here, and owed back.
        return
    if transfer.amount != order.total:
        message = lazy("Only the whole amount due can be entered for an order.")
        raise Invalid("wrong_amount", message, {"amount": message})


def _check(transfer: Transfer, *, now: datetime) -> None:
    if not offline_rules.normalised(transfer.bank_reference):
        message = lazy("Enter the reference by which the bank shows the transfer.")
        raise Invalid("no_reference", message, {"bank_reference": message})
    bank_days.check_past(transfer.received_on, "received_on", now=now)
    check_known_once(offline_rules.normalised(transfer.bank_reference), SponsorPayment)


def check_known_once(reference: str, *doors: type[OfflinePayment | SponsorPayment]) -> None:
    """Raise Refused for a transfer, by its normalised reference, that was recorded or entered at one of these doors.

    Until the transaction ends nobody else can bring in a transfer of this reference.
    """
    one_row("SELECT pg_advisory_xact_lock(hashtext(%(reference)s))", {"reference": f"bank transfer {reference}"})
    for door in doors:
        entered = select(door.id).where(door.bank_reference == reference, door.state != OfflineState.DECLINED)
        if db.session.scalars(entered.limit(1)).first() is not None:
            message = lazy("This bank transfer has been entered for an order or a sponsor already.")
            raise Refused("entered_already", message)
    known = select(BankMoney.id).filter_by(bank_reference=reference)
    if db.session.scalar(known.where(BankMoney.voided_at.is_(None))) is not None:
        raise Refused("recorded", lazy("This transfer is recorded as money without a fact. Say there what it is."))


def approve(public_id: str, *, reason: str, actor_id: int, now: datetime) -> OfflinePayment:
    """Settle a transfer that another officer entered, once. Locks transfer, order, run and hold."""
    with transaction():
        payment = four_eyes.locked_proposed(OfflinePayment, public_id, actor_id=actor_id)
        payment.decided_by_id, payment.decided_at = actor_id, now
        _record("transfer_approved", payment, reason=reason, actor_id=actor_id, now=now)
        _settle(payment, now=now)
        return payment


def decline(public_id: str, *, reason: str, actor_id: int, now: datetime) -> OfflinePayment:
    """Turn a transfer down that another officer entered: nothing is booked. Locks the transfer."""
    with transaction():
        payment = four_eyes.locked_proposed(OfflinePayment, public_id, actor_id=actor_id)
        payment.decided_by_id, payment.decided_at = actor_id, now
        payment.state = OfflineState.DECLINED
        _record("transfer_declined", payment, reason=reason, actor_id=actor_id, now=now)
        return payment


def _settle(payment: OfflinePayment, *, now: datetime) -> None:
    """Make the attempt and let it settle the order, late or not, exactly as a payment by Stripe would.

    In the books the money came on the bank's day, but not before the order or the debt that it pays for.
    """
    began_at = since(payment.order, Purpose(payment.purpose))
    occurred_at = bank_days.moment_on(payment.received_on, since=began_at, now=now)
    attempt = add(
        PaymentAttempt(
            order_id=payment.order_id,
            method="offline",
            purpose=payment.purpose,
            # Never live: a page of Stripe's may be open for the same order, and is closed once this has settled it.
            state=AttemptState.PAID,
            paid_at=occurred_at,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            expires_at=now,
            created_at=payment.proposed_at,
        )
    )
    payment.state, payment.attempt_id = OfflineState.SETTLED, attempt.id
    attempts.take_in(attempt, payment.amount, into=Account.BANK, occurred_at=occurred_at, now=now)


def since(order: Order, purpose: Purpose) -> datetime:
    """When an order, or what is owed beside it, came about: nothing was paid for it before."""
    began_at = debts.began_at(order.id) if purpose == Purpose.DEBT else None
    return began_at or order.placed_at


def refund_sent(
    public_id: str, *, bank_reference: str, sent_on: date, reason: str, actor_id: int, now: datetime
) -> Refund:
    """Book a refund of a transfer that was sent at the bank on a day. Locks attempt, refund and order; once is enough.

    Raises Invalid without a reference, for a day to come or one before the money came or the refund was asked for;
    Refused for a refund that Stripe sends, that is over, that must wait until the order's fapiao is reversed, or of
    one's own order.
    """
    reference = offline_rules.normalised(bank_reference)
    if not reference:
        message = lazy("Enter the reference by which the bank shows the transfer.")
        raise Invalid("no_reference", message, {"bank_reference": message})
    bank_days.check_past(sent_on, "sent_on", now=now)
    with transaction():
        found = db.session.execute(
            select(Refund.id, PaymentAttempt).join(Refund.attempt).where(Refund.public_id == public_id)
        ).one_or_none()
        if found is None:
            raise NotFound
        four_eyes.check_not_own(found[1].order_id, actor_id=actor_id)
        attempt = locked(PaymentAttempt, found[1].id)
        refund = locked(Refund, found[0])
        if attempt.method != "offline" or refund.state not in {"requested", "pending"}:
            raise Refused("not_waiting", lazy("This does not wait any more."))
        if fapiao_gate.must_wait(attempt.order_id, Purpose(attempt.purpose), now=now):
            raise Refused("waits_for_fapiao", lazy("The fapiao of this order must be reversed before money goes back."))
        paid_at = attempt.paid_at or attempt.created_at
        asked_at = refund.refund_due.recorded_at
        _check_sent_since(sent_on, paid_at, asked_at=asked_at)
        occurred_at = bank_days.moment_on(sent_on, since=max(paid_at, asked_at), now=now)
        details = {"amount": refund.amount_minor, "currency": refund.currency, "reference": reference}
        acts.record(
            "bank_refund_sent",
            f"refund:{public_id}",
            reason=reason,
            actor_id=actor_id,
            now=now,
            order_id=attempt.order_id,
            details=details | {"day": sent_on.isoformat()},
        )
        answer = RefundAnswer(id="", status="succeeded", failure_code=None)
        refunds.book(refund.id, answer, occurred_at=occurred_at, now=now)
        return refund


def _check_sent_since(sent_on: date, paid_at: datetime, *, asked_at: datetime) -> None:
    if sent_on < bank_days.day_of(paid_at):
        message = lazy("On that day the money had not come yet.")
        raise Invalid("before_payment", message, {"sent_on": message})
    if sent_on < bank_days.day_of(asked_at):
        message = lazy("On that day nobody had asked for this refund yet.")
        raise Invalid("before_asked", message, {"sent_on": message})


def _record(kind: str, payment: OfflinePayment, *, reason: str, actor_id: int, now: datetime) -> None:
    acts.record(
        kind,
        f"transfer:{payment.public_id}",
        reason=reason,
        actor_id=actor_id,
        now=now,
        order_id=payment.order_id,
        details={"amount": payment.amount_minor, "currency": payment.currency, "reference": payment.bank_reference},
    )


def settled_before(order: Order, purpose: Purpose) -> Money:
    """What was settled by hand for the same order or debt: transfers, and money that belonged to nothing before."""
    settled = {"order_id": order.id, "purpose": purpose, "state": OfflineState.SETTLED}
    sums = [
        select(func.coalesce(func.sum(model.amount_minor), 0)).filter_by(**settled).scalar_subquery()
        for model in (OfflinePayment, UnmatchedAnswer)
    ]
    return Money(int(db.session.scalar(select(sums[0] + sums[1])) or 0), order.currency)


def list_waiting(*, after: int = 0, limit: int = 100) -> Sequence[OfflinePayment]:
    """Transfers that wait for a second officer, oldest first, from the id `after` on."""
    query = select(OfflinePayment).filter_by(state=OfflineState.PROPOSED).where(OfflinePayment.id > after)
    query = query.options(
        joinedload(OfflinePayment.order).joinedload(Order.person), joinedload(OfflinePayment.proposed_by)
    )
    return db.session.scalars(query.order_by(OfflinePayment.id).limit(limit)).all()


def list_of_order(order_id: int) -> Sequence[OfflinePayment]:
    """The transfers of an order, oldest first."""
    query = select(OfflinePayment).filter_by(order_id=order_id).options(joinedload(OfflinePayment.proposed_by))
    return db.session.scalars(query.order_by(OfflinePayment.id)).all()
