"""Where money that belongs to nothing we know is recorded, and where staff say what it is, so that it leaves suspense.

What came at the bank is recorded here; what moved at Stripe is found by `stripe_matching`. Both wait as discrepancies
and stand on unmatched_money until an answer posts them away; above the limit of transfers a second officer decides.
Locks: answer → movement at Stripe → discrepancies by id → attempt → order and what follows it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from marketplace.enrolment.models import Order
from marketplace.foundation import bank_days
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.payments import (
    acts,
    attempts,
    discrepancies,
    four_eyes,
    ledger,
    matching_rules,
    offline,
    offline_rules,
    posting_rules,
    stripe_matching,
)
from marketplace.payments.desk_models import OfflinePayment, OfflineState
from marketplace.payments.models import (
    AttemptState,
    Discrepancy,
    LedgerEntry,
    LedgerTransaction,
    PaymentAttempt,
    Purpose,
)
from marketplace.payments.posting_rules import Account
from marketplace.payments.sponsor_models import SponsorPayment
from marketplace.payments.stripe_models import MatchState, StripeTransaction
from marketplace.payments.unmatched_models import AnswerKind, BankMoney, Parked, Said, UnmatchedAnswer
from marketplace.payments.unmatched_models import Received as Received

if TYPE_CHECKING:
    from collections.abc import Collection

# Answers of one officer within these days count as pieces of one, as payments of a sponsor do.
PIECES_WITHIN = timedelta(days=30)
MOVEMENT, TRANSFER = "unknown_movement", "unknown_transfer"
# The kinds of discrepancy behind which money may stand, and the keys of the postings that put it there.
POSTED_AS = {MOVEMENT: "unmatched", TRANSFER: "bank_money"}


def record(received: Received, *, reason: str, actor_id: int, now: datetime) -> BankMoney:
    """Record a transfer that fits no order: it is at the bank and belongs to nothing yet, and waits for staff.

    Raises Invalid for an amount of nothing, no reference, no payer or a day to come, and Refused for a transfer that is
    known already, here or as one of an order.
    """
    reference = offline_rules.normalised(received.bank_reference)
    _check(received, reference, now=now)
    with transaction():
        offline.check_known_once(reference, OfflinePayment, SponsorPayment)
        money = add(
            BankMoney(
                amount_minor=received.amount.minor,
                currency=received.amount.currency,
                bank_reference=reference,
                received_on=received.received_on,
                payer_name=received.payer_name.strip(),
                reason=reason.strip(),
                recorded_by_id=actor_id,
                recorded_at=now,
            )
        )
        details = {"theirs": money.amount_minor, "currency": money.currency, "bank_reference": reference}
        details |= {"payer": money.payer_name, "day": money.received_on.isoformat()}
        acts.record(
            "bank_money_recorded",
            f"bank_money:{money.public_id}",
            reason=reason,
            actor_id=actor_id,
            now=now,
            details=details,
        )
        moment = bank_days.moment_on(received.received_on, since=None, now=now)
        entries = posting_rules.unmatched(money.amount, at=Account.BANK)
        ledger.post(f"{POSTED_AS[TRANSFER]}:{money.public_id}", "unmatched", entries, order_id=None, occurred_at=moment)
        discrepancies.queue(TRANSFER, money.public_id, details, now=now)
        return money


def _check(received: Received, reference: str, *, now: datetime) -> None:
    if received.amount.minor <= 0:
        message = lazy("Enter an amount, like 1280.00.")
        raise Invalid("wrong_amount", message, {"amount": message})
    if not reference:
        message = lazy("Enter the reference by which the bank shows the transfer.")
        raise Invalid("no_reference", message, {"bank_reference": message})
    if not received.payer_name.strip():
        message = lazy("Enter the name of the payer as the bank shows it.")
        raise Invalid("no_payer", message, {"payer_name": message})
    bank_days.check_past(received.received_on, "received_on", now=now)


def get(public_id: str) -> Discrepancy:
    """A discrepancy behind which money stands or stood; raises NotFound."""
    query = select(Discrepancy).filter_by(public_id=public_id).where(Discrepancy.kind.in_(POSTED_AS))
    found = db.session.scalars(query).one_or_none()
    if found is None or parked(found) is None:
        raise NotFound
    return found


def parked(found: Discrepancy) -> Parked | None:
    """What was put on unmatched_money for a discrepancy; None for none, as of a currency we do not keep."""
    if found.kind not in POSTED_AS:
        return None
    query = (
        select(LedgerEntry, LedgerTransaction.occurred_at)
        .join(LedgerEntry.transaction)
        .where(LedgerTransaction.key == f"{POSTED_AS[found.kind]}:{found.reference}")
        .where(LedgerEntry.account == Account.UNMATCHED_MONEY)
    )
    row = db.session.execute(query).one_or_none()
    return None if row is None else Parked(-row[0].amount, row[1])


def holds_money(public_id: str) -> bool:
    """Whether money stands on unmatched_money for a discrepancy that is open."""
    found = db.session.scalars(select(Discrepancy).filter_by(public_id=public_id, resolved_at=None)).one_or_none()
    return found is not None and parked(found) is not None


def find_bank_money(found: Discrepancy) -> BankMoney | None:
    """The transfer behind a discrepancy; None for a movement at Stripe."""
    query = select(BankMoney).filter_by(public_id=found.reference).options(joinedload(BankMoney.recorded_by))
    return db.session.scalars(query).one_or_none() if found.kind == TRANSFER else None


def standing(discrepancy_ids: Collection[int]) -> dict[int, UnmatchedAnswer]:
    """The answers that wait or hold, by the id of what they are about. One statement."""
    query = (
        select(UnmatchedAnswer)
        .where(UnmatchedAnswer.discrepancy_id.in_(discrepancy_ids), UnmatchedAnswer.state != OfflineState.DECLINED)
        .options(joinedload(UnmatchedAnswer.proposed_by), joinedload(UnmatchedAnswer.order))
    )
    return {one.discrepancy_id: one for one in db.session.scalars(query)}


def kinds_for(found: Discrepancy) -> list[AnswerKind]:
    """What the money can be: what left can be no payment, and what Stripe lists did move."""
    money = parked(found)
    came = money is not None and money.amount.minor > 0
    back = [AnswerKind.ORDER, AnswerKind.RETURNED] if came else []
    return [*back, AnswerKind.OURS, *([AnswerKind.MISTAKE] if found.kind == TRANSFER else [])]


def answer(public_id: str, said: Said, *, reason: str, actor_id: int, now: datetime) -> UnmatchedAnswer:
    """Say what money without a fact is: it is posted away at once, or when a second officer has agreed.

    Money is sent back at the bank, on a day, or by another movement at Stripe that waits too: both are closed then.
    Raises Invalid for an order whose due it does not meet, and for money sent back without reference or day; Refused
    when it does not wait any more, and for one's own order.
    """
    if said.kind == AnswerKind.ORDER:
        _settle_late(said.order_number, now=now)
    with transaction():
        found = get(public_id)
        _look_again(found, now=now)
        money = parked(found)
        if money is None or said.kind not in kinds_for(found):
            raise NotFound
        _lock_waiting(found)
        order = _order_for(said, money, actor_id=actor_id) if said.kind == AnswerKind.ORDER else None
        opposite = _opposite(found, said.bank_reference.strip(), money)
        if said.kind == AnswerKind.RETURNED and opposite is None:
            _check_returned(said, money, now=now)
        row = add(
            UnmatchedAnswer(
                discrepancy_id=found.id,
                kind=said.kind,
                order_id=order.id if order else None,
                purpose=said.purpose,
                amount_minor=money.amount.minor,
                currency=money.amount.currency,
                **_sent_back(said, opposite),
                reason=reason.strip(),
                proposed_by_id=actor_id,
                proposed_at=now,
            )
        )
        _record("unmatched_answered", row, reason=reason, actor_id=actor_id, now=now)
        before = offline.settled_before(order, said.purpose) if order else _answered_alone(row, now=now)
        if not four_eyes.are_needed(posting_rules.signed(money.amount, money.amount.minor), before=before):
            _settle(row, actor_id=actor_id, now=now)
        return row


def _answered_alone(row: UnmatchedAnswer, *, now: datetime) -> Money:
    """What this officer has answered alone within the days in which pieces count as one, orders aside."""
    query = select(func.coalesce(func.sum(func.abs(UnmatchedAnswer.amount_minor)), 0)).where(
        UnmatchedAnswer.proposed_by_id == row.proposed_by_id,
        UnmatchedAnswer.currency == row.currency,
        UnmatchedAnswer.state == OfflineState.SETTLED,
        UnmatchedAnswer.decided_by_id.is_(None),
        UnmatchedAnswer.order_id.is_(None),
        UnmatchedAnswer.proposed_at > now - PIECES_WITHIN,
    )
    return Money(int(db.session.scalar(query) or 0), row.currency)


def _order_for(said: Said, money: Parked, *, actor_id: int) -> Order:
    order = db.session.scalars(select(Order).filter_by(public_id=said.order_number.strip())).one_or_none()
    if order is None:
        message = lazy("There is no order of this number.")
        raise Invalid("no_order", message, {"order_number": message})
    four_eyes.check_not_own(order.id, actor_id=actor_id)
    day = bank_days.day_of(money.moment)
    try:
        offline.check_amount(order, offline.Transfer(money.amount, "", day, said.purpose))
    except Invalid as wrong:
        message = lazy("This order is not due this amount. Choose another one, or send the money back.")
        raise Invalid(wrong.code, message, {"order_number": message}) from wrong
    return order


def _sent_back(said: Said, opposite: Discrepancy | None) -> dict[str, object]:
    if said.kind != AnswerKind.RETURNED:
        return {}
    if opposite is not None:
        return {"bank_reference": opposite.reference}
    return {"bank_reference": offline_rules.normalised(said.bank_reference), "sent_on": said.sent_on}


def _opposite(found: Discrepancy, reference: str, money: Parked) -> Discrepancy | None:
    """Another movement at Stripe that waits and took back just what this one brought, by its id; locked."""
    if found.kind != MOVEMENT or not reference:
        return None
    query = select(Discrepancy).filter_by(kind=MOVEMENT, reference=reference, resolved_at=None)
    waiting = db.session.scalars(query).one_or_none()
    if waiting is None or (movement := _movement(waiting)) is None:
        return None
    locked(StripeTransaction, movement.id)
    other = locked(Discrepancy, waiting.id)
    if other.resolved_at is not None or standing([other.id]):
        return None
    back = parked(other)
    return other if back is not None and back.amount == -money.amount else None


def _check_returned(said: Said, money: Parked, *, now: datetime) -> None:
    if not offline_rules.normalised(said.bank_reference):
        message = lazy("Enter the reference by which the bank shows the transfer.")
        raise Invalid("no_reference", message, {"bank_reference": message})
    if said.sent_on is None:
        message = lazy("Enter the day on which the bank shows the transfer.")
        raise Invalid("no_day", message, {"sent_on": message})
    bank_days.check_past(said.sent_on, "sent_on", now=now)
    if said.sent_on < bank_days.day_of(money.moment):
        message = lazy("On that day the money had not come yet.")
        raise Invalid("before_payment", message, {"sent_on": message})


def approve(public_id: str, *, reason: str, actor_id: int, now: datetime) -> UnmatchedAnswer:
    """Agree with what another officer said, once; Refused when the money's fact has turned up meanwhile."""
    with transaction():
        row = four_eyes.locked_proposed(UnmatchedAnswer, public_id, actor_id=actor_id)
        _look_again(row.discrepancy, now=now)
        _lock_waiting(row.discrepancy)
        row.decided_by_id, row.decided_at = actor_id, now
        _record("unmatched_approved", row, reason=reason, actor_id=actor_id, now=now)
        _settle(row, actor_id=actor_id, now=now)
        return row


def decline(public_id: str, *, reason: str, actor_id: int, now: datetime) -> UnmatchedAnswer:
    """Turn down what another officer said: the money waits on. Locks the answer."""
    with transaction():
        row = four_eyes.locked_proposed(UnmatchedAnswer, public_id, actor_id=actor_id)
        row.decided_by_id, row.decided_at, row.state = actor_id, now, OfflineState.DECLINED
        _record("unmatched_declined", row, reason=reason, actor_id=actor_id, now=now)
        return row


def _settle_late(order_number: str, *, now: datetime) -> None:
    """Ask Stripe about the order's own sessions first: the money may be that of one whose event is late."""
    order_id = db.session.scalar(select(Order.id).filter_by(public_id=order_number.strip()))
    if order_id is not None:
        attempts.settle_returned(order_id, now=now)


def _look_again(found: Discrepancy, *, now: datetime) -> None:
    """Match a movement once more: its fact may have turned up since it was last looked at. Locks the movement."""
    movement = _movement(found)
    if movement is not None:
        stripe_matching.match(movement.id, now=now)
        db.session.refresh(found)


def _lock_waiting(found: Discrepancy) -> None:
    movement = _movement(found)
    if movement is not None:
        locked(StripeTransaction, movement.id)
    if locked(Discrepancy, found.id).resolved_at is not None:
        raise Refused("not_waiting", lazy("This does not wait any more."))


def _movement(found: Discrepancy) -> StripeTransaction | None:
    query = select(StripeTransaction).filter_by(transaction_id=found.reference)
    return db.session.scalars(query).one_or_none() if found.kind == MOVEMENT else None


def _settle(row: UnmatchedAnswer, *, actor_id: int, now: datetime) -> None:
    """Post the money to where it belongs and close what waited; everything is locked."""
    row.state = OfflineState.SETTLED
    found = db.session.get_one(Discrepancy, row.discrepancy_id)
    money = parked(found)
    if money is None:
        raise NotFound
    if row.kind == AnswerKind.ORDER:
        _assign(row, money, _movement(found), now=now)
    elif row.kind == AnswerKind.RETURNED and row.sent_on is None:
        # On unmatched_money the two have cancelled each other out.
        opposite = _opposite(found, row.bank_reference, money)
        if opposite is None:
            raise Refused("not_waiting", lazy("This does not wait any more."))
        _close(opposite, row, actor_id=actor_id, now=now)
    else:
        _post_away(row, money, now=now)
    if row.kind == AnswerKind.MISTAKE:
        db.session.scalars(select(BankMoney).filter_by(public_id=found.reference)).one().voided_at = now
    _close(found, row, actor_id=actor_id, now=now)


def _close(found: Discrepancy, row: UnmatchedAnswer, *, actor_id: int, now: datetime) -> None:
    """Staff have said what it is: it does not wait any more, and its movement is not looked at again."""
    found.resolved_at, found.resolved_by_id, found.note = now, actor_id, row.reason
    movement = _movement(found)
    if movement is not None and movement.state != MatchState.MATCHED:
        movement.state, movement.matched_to = MatchState.MATCHED, f"answer:{row.public_id}"
    db.session.flush()


def _post_away(row: UnmatchedAnswer, money: Parked, *, now: datetime) -> None:
    entries = {
        AnswerKind.RETURNED: posting_rules.unmatched(-money.amount, at=Account.BANK),
        AnswerKind.MISTAKE: posting_rules.unmatched(-money.amount, at=Account.BANK),
        AnswerKind.OURS: posting_rules.unmatched_is_ours(money.amount),
    }[AnswerKind(row.kind)]
    moment = money.moment
    if row.sent_on is not None:
        moment = bank_days.moment_on(row.sent_on, since=money.moment, now=now)
    key = f"unmatched_answer:{row.public_id}"
    ledger.post(key, f"unmatched_{row.kind}", entries, order_id=None, occurred_at=moment)


def _assign(row: UnmatchedAnswer, money: Parked, movement: StripeTransaction | None, *, now: datetime) -> None:
    """Let the money settle the order as any payment of it, and go back the way it came if it must.

    A payment at Stripe is booked as Stripe's: its movement then finds its fact, and takes the suspense back by itself.
    """
    order = db.session.get_one(Order, row.order_id)
    # A failed refund and what a dispute moves name the payment that they were of: they are none themselves.
    is_payment = movement is not None and movement.type in matching_rules.PAYMENTS
    intent = movement.payment_intent_id if movement is not None and is_payment else None
    moment = max(money.moment, offline.since(order, Purpose(row.purpose)))
    attempt = add(
        PaymentAttempt(
            order_id=order.id,
            method="offline" if intent is None else "stripe",
            purpose=row.purpose,
            state=AttemptState.PAID,
            payment_intent_id=intent,
            paid_at=moment,
            amount_minor=money.amount.minor,
            currency=money.amount.currency,
            expires_at=now,
            created_at=row.proposed_at,
        )
    )
    into = Account.UNMATCHED_MONEY if intent is None else Account.STRIPE_BALANCE
    attempts.take_in(attempt, money.amount, into=into, occurred_at=moment, now=now)
    if movement is not None and intent is not None and not stripe_matching.match(movement.id, now=now):
        raise Refused("not_waiting", lazy("This does not wait any more."))


def _record(kind: str, row: UnmatchedAnswer, *, reason: str, actor_id: int, now: datetime) -> None:
    details = {"answer": row.kind, "amount": row.amount_minor, "currency": row.currency}
    if row.bank_reference:
        details["reference"] = row.bank_reference
    if row.sent_on is not None:
        details["day"] = row.sent_on.isoformat()
    subject = f"unmatched:{row.public_id}"
    acts.record(kind, subject, reason=reason, actor_id=actor_id, now=now, order_id=row.order_id, details=details)
