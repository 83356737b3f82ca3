"""Where money that belongs to nothing we know is recorded, and where staff say what it is, so that it leaves suspense.

What came at the bank is recorded here; what moved at Stripe is found by `stripe_matching`. Both wait as discrepancies
and stand on unmatched_money until an answer posts them away; above the limit of transfers a second officer decides.
Locks: answer → movements at Stripe by id → discrepancies by id → order and what follows it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from marketplace.enrolment.models import Order
from marketplace.foundation import bank_days
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Invalid, NotFound
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.payments import (
    acts,
    attempts,
    discrepancies,
    four_eyes,
    ledger,
    offline,
    offline_rules,
    posting_rules,
    sponsors,
    unmatched_settling,
)
from marketplace.payments.desk_models import OfflinePayment, OfflineState
from marketplace.payments.models import Discrepancy, Purpose
from marketplace.payments.posting_rules import Account
from marketplace.payments.sponsor_models import SponsorPayment
from marketplace.payments.unmatched_models import AnswerKind, BankMoney, Parked, Said, UnmatchedAnswer
from marketplace.payments.unmatched_models import Received as Received
from marketplace.payments.unmatched_settling import MOVEMENT as MOVEMENT
from marketplace.payments.unmatched_settling import POSTED_AS
from marketplace.payments.unmatched_settling import TRANSFER as TRANSFER
from marketplace.payments.unmatched_settling import parked as parked
from marketplace.payments.unmatched_settling import standing as standing

# Answers of one officer within these days count as pieces of one, as payments of a sponsor do.
PIECES_WITHIN = timedelta(days=30)


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
        # Without the payer's name: it stands in the row alone, where it can be blanked when they are forgotten.
        details |= {"day": money.received_on.isoformat()}
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


def holds_money(public_id: str) -> bool:
    """Whether money stands on unmatched_money for a discrepancy that is open."""
    found = db.session.scalars(select(Discrepancy).filter_by(public_id=public_id, resolved_at=None)).one_or_none()
    return found is not None and parked(found) is not None


def find_bank_money(found: Discrepancy) -> BankMoney | None:
    """The transfer behind a discrepancy; None for a movement at Stripe."""
    query = select(BankMoney).filter_by(public_id=found.reference).options(joinedload(BankMoney.recorded_by))
    return db.session.scalars(query).one_or_none() if found.kind == TRANSFER else None


def kinds_for(found: Discrepancy) -> list[AnswerKind]:
    """What the money can be: what left can be no payment, and what Stripe lists did move."""
    if found.kind == TRANSFER:
        return list(AnswerKind)
    money = parked(found)
    came = money is not None and money.amount.minor > 0
    return [AnswerKind.ORDER, AnswerKind.RETURNED, AnswerKind.OURS] if came else [AnswerKind.OURS]


def answer(public_id: str, said: Said, *, reason: str, actor_id: int, now: datetime) -> UnmatchedAnswer:
    """Say what money without a fact is: it is posted away at once, or when a second officer has agreed.

    Money is sent back at the bank, on a day, or by another movement at Stripe that waits too: both are closed then.
    Raises Invalid for an order whose due it does not meet, for no sponsor, and for money sent back without reference
    or day; Refused when it does not wait any more, and for one's own order.
    """
    if said.kind == AnswerKind.ORDER:
        _settle_late(said.order_number, now=now)
    with transaction():
        of_order = said.kind == AnswerKind.ORDER
        four_eyes.wait_for_pieces(f"order {said.order_number.strip()}" if of_order else f"officer {actor_id}")
        found = get(public_id)
        money = parked(found)
        if money is None or said.kind not in kinds_for(found):
            raise NotFound
        beside = said.bank_reference.strip() if said.kind == AnswerKind.RETURNED else ""
        unmatched_settling.lock_waiting(found, beside=beside, now=now)
        order = _order_for(said, money, actor_id=actor_id) if of_order else None
        if said.kind == AnswerKind.SPONSOR:
            _check_sponsor(said)
        opposite = unmatched_settling.find_opposite(found, beside, money)
        if said.kind == AnswerKind.RETURNED and opposite is None:
            _check_returned(said, money, now=now)
        row = add(
            UnmatchedAnswer(
                discrepancy_id=found.id,
                kind=said.kind,
                order_id=order.id if order else None,
                organisation_id=said.sponsor_id if said.kind == AnswerKind.SPONSOR else None,
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
        before = _before(row, order, now=now)
        if not four_eyes.are_needed(posting_rules.signed(money.amount, money.amount.minor), before=before):
            unmatched_settling.settle(row, actor_id=actor_id, now=now)
        return row


def _before(row: UnmatchedAnswer, order: Order | None, *, now: datetime) -> Money:
    """What counts together with an answer: as at the order's or the sponsor's own door, else what is `ours` alone."""
    if order is not None:
        return offline.settled_before(order, Purpose(row.purpose))
    if row.organisation_id is not None:
        return sponsors.lock_paid_lately(row.organisation_id, row.currency, now=now)
    return _answered_alone(row, now=now)


def _answered_alone(row: UnmatchedAnswer, *, now: datetime) -> Money:
    """What this officer has answered alone within the days in which pieces count as one, orders and sponsors aside."""
    query = select(func.coalesce(func.sum(func.abs(UnmatchedAnswer.amount_minor)), 0)).where(
        UnmatchedAnswer.proposed_by_id == row.proposed_by_id,
        UnmatchedAnswer.currency == row.currency,
        UnmatchedAnswer.state == OfflineState.SETTLED,
        UnmatchedAnswer.decided_by_id.is_(None),
        UnmatchedAnswer.order_id.is_(None),
        UnmatchedAnswer.organisation_id.is_(None),
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


def _check_sponsor(said: Said) -> None:
    if said.sponsor_id is None:
        message = lazy("Choose the sponsor.")
        raise Invalid("no_sponsor", message, {"sponsor": message})


def _sent_back(said: Said, opposite: Discrepancy | None) -> dict[str, object]:
    if said.kind != AnswerKind.RETURNED:
        return {}
    if opposite is not None:
        return {"bank_reference": opposite.reference}
    return {"bank_reference": offline_rules.normalised(said.bank_reference), "sent_on": said.sent_on}


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
        unmatched_settling.lock_waiting(row.discrepancy, beside=row.bank_reference, now=now)
        row.decided_by_id, row.decided_at = actor_id, now
        _record("unmatched_approved", row, reason=reason, actor_id=actor_id, now=now)
        unmatched_settling.settle(row, actor_id=actor_id, now=now)
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


def _record(kind: str, row: UnmatchedAnswer, *, reason: str, actor_id: int, now: datetime) -> None:
    details = {"answer": row.kind, "amount": row.amount_minor, "currency": row.currency}
    if row.bank_reference:
        details["reference"] = row.bank_reference
    if row.organisation_id is not None:
        details["organisation"] = row.organisation_id
    if row.sent_on is not None:
        details["day"] = row.sent_on.isoformat()
    subject = f"unmatched:{row.public_id}"
    acts.record(kind, subject, reason=reason, actor_id=actor_id, now=now, order_id=row.order_id, details=details)
