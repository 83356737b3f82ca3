"""How money that belongs to nothing leaves suspense, once it is said what it is: locked, posted away, closed.

Locks: movements at Stripe by id → discrepancies by id → order and what follows it; no attempt but the one it makes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload

from marketplace.enrolment.models import Order
from marketplace.foundation import bank_days
from marketplace.foundation.database import add, db, locked
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.payments import attempts, ledger, matching_rules, offline, posting_rules, sponsors, stripe_matching
from marketplace.payments.desk_models import OfflineState
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
from marketplace.payments.unmatched_models import AnswerKind, BankMoney, Parked, UnmatchedAnswer

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

MOVEMENT, TRANSFER = "unknown_movement", "unknown_transfer"
# The kinds of discrepancy behind which money may stand, and the keys of the postings that put it there.
POSTED_AS = {MOVEMENT: "unmatched", TRANSFER: "bank_money"}


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


def standing(discrepancy_ids: Collection[int]) -> dict[int, UnmatchedAnswer]:
    """The answers that wait or hold, by the id of what they are about. One statement."""
    query = (
        select(UnmatchedAnswer)
        .where(UnmatchedAnswer.discrepancy_id.in_(discrepancy_ids), UnmatchedAnswer.state != OfflineState.DECLINED)
        .options(
            joinedload(UnmatchedAnswer.proposed_by),
            joinedload(UnmatchedAnswer.order),
            joinedload(UnmatchedAnswer.organisation),
        )
    )
    return {one.discrepancy_id: one for one in db.session.scalars(query)}


def lock_waiting(found: Discrepancy, *, beside: str, now: datetime) -> None:
    """Lock what is answered, and the movement `beside` that is said to have taken it back, if there is one.

    A movement is matched once more: its fact may have turned up since it was last looked at. Raises Refused for what
    does not wait any more.
    """
    references = [found.reference, beside] if found.kind == MOVEMENT else []
    movements = select(StripeTransaction.id).where(StripeTransaction.transaction_id.in_(references))
    # Two officers may answer two movements by each other in one moment.
    for row_id in db.session.scalars(movements.order_by(StripeTransaction.id)).all():
        locked(StripeTransaction, row_id)
    movement = _movement(found)
    if movement is not None:
        stripe_matching.match(movement.id, now=now)
    is_beside = (Discrepancy.kind == MOVEMENT) & Discrepancy.reference.in_(references)
    waiting = select(Discrepancy.id).where(or_(Discrepancy.id == found.id, is_beside)).order_by(Discrepancy.id)
    for row_id in db.session.scalars(waiting).all():
        locked(Discrepancy, row_id)
    if found.resolved_at is not None:
        raise Refused("not_waiting", lazy("This does not wait any more."))


def find_opposite(found: Discrepancy, reference: str, money: Parked) -> Discrepancy | None:
    """Another movement at Stripe that waits and took back just what this one brought, by its id; both are locked."""
    if found.kind != MOVEMENT or not reference:
        return None
    query = select(Discrepancy).filter_by(kind=MOVEMENT, reference=reference, resolved_at=None)
    other = db.session.scalars(query).one_or_none()
    if other is None or _movement(other) is None or standing([other.id]):
        return None
    back = parked(other)
    return other if back is not None and back.amount == -money.amount else None


def _movement(found: Discrepancy) -> StripeTransaction | None:
    query = select(StripeTransaction).filter_by(transaction_id=found.reference)
    return db.session.scalars(query).one_or_none() if found.kind == MOVEMENT else None


def settle(row: UnmatchedAnswer, *, actor_id: int, now: datetime) -> None:
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
        opposite = find_opposite(found, row.bank_reference, money)
        if opposite is None:
            raise Refused("not_waiting", lazy("This does not wait any more."))
        _close(opposite, row, actor_id=actor_id, now=now)
    elif row.kind == AnswerKind.SPONSOR:
        _take_in_sponsors(row, found, money)
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


def _take_in_sponsors(row: UnmatchedAnswer, found: Discrepancy, money: Parked) -> None:
    """A payment of the sponsor like one that is entered there, by the bank's own day and reference."""
    came = db.session.scalars(select(BankMoney).filter_by(public_id=found.reference)).one()
    payment = SponsorPayment(
        organisation_id=row.organisation_id,
        amount_minor=came.amount_minor,
        currency=came.currency,
        bank_reference=came.bank_reference,
        received_on=came.received_on,
        reason=row.reason,
        proposed_by_id=row.proposed_by_id,
        proposed_at=row.proposed_at,
        decided_by_id=row.decided_by_id,
        decided_at=row.decided_at,
    )
    sponsors.take_in(payment, moment=money.moment)


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
