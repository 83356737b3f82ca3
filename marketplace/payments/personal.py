"""What this room knows of a person, told to them and forgotten. Amounts and dates stay: tax law demands them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, cast, or_, select, update

from marketplace.accounts.personal import NOWHERE
from marketplace.enrolment.models import Order
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.personal_data import GONE, Identity, Section, plain_money
from marketplace.payments import debts
from marketplace.payments.desk_models import OfflinePayment, StaffAct, WriteOff
from marketplace.payments.invoice_models import FapiaoRequest, Invoice
from marketplace.payments.models import Discrepancy, PaymentAttempt, Refund, StripeEvent
from marketplace.payments.sponsor_models import SponsorPayment
from marketplace.payments.unmatched_models import BankMoney, UnmatchedAnswer
from marketplace.payments.unmatched_settling import TRANSFER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement

COLUMNS = {
    "order": lazy("Order"),
    "amount": lazy("Amount"),
    "state": lazy("State"),
    "begun_at": lazy("Begun"),
    "settled_at": lazy("Settled"),
}


def tell(person_id: int) -> list[Section]:
    """Payments and refunds."""
    paid = [_row(attempt.order.public_id, attempt, attempt.paid_at) for attempt in _attempts(person_id)]
    back = [_row(refund.attempt.order.public_id, refund, refund.settled_at) for refund in _refunds(person_id)]
    return [
        Section("payments", lazy("Payments"), COLUMNS, paid),
        Section("refunds", lazy("Refunds"), COLUMNS, back),
        _papers(person_id),
    ]


def _papers(person_id: int) -> Section:
    columns = {"number": lazy("Number"), "issued_at": lazy("Issued"), "payer": lazy("Payer"), "amount": lazy("Amount")}
    query = select(Invoice).join(Invoice.order).where(Order.person_id == person_id).order_by(Invoice.id)
    rows = [
        {
            "number": paper.printed_number,
            "issued_at": paper.issued_at,
            "payer": paper.payer,
            "amount": plain_money(paper.total),
        }
        for paper in db.session.scalars(query)
    ]
    return Section("invoices", lazy("Invoices and credit notes"), columns, rows)


def _row(number: str, money: PaymentAttempt | Refund, settled_at: datetime | None) -> dict[str, object]:
    return {
        "order": number,
        "amount": plain_money(money.amount),
        "state": money.state,
        "begun_at": money.created_at,
        "settled_at": settled_at,
    }


def _attempts(person_id: int) -> Sequence[PaymentAttempt]:
    query = select(PaymentAttempt).join(PaymentAttempt.order).where(Order.person_id == person_id)
    return db.session.scalars(query.order_by(PaymentAttempt.id)).all()


def _refunds(person_id: int) -> Sequence[Refund]:
    query = select(Refund).join(Refund.attempt).join(PaymentAttempt.order).where(Order.person_id == person_id)
    return db.session.scalars(query.order_by(Refund.id)).all()


def find_obstacle(person_id: int) -> Refused | None:
    """Money on its way back would come to nobody's notice, and what is owed could be asked of nobody."""
    if any(refund.state in {"requested", "pending"} for refund in _refunds(person_id)):
        return Refused("refund_on_its_way", lazy("Money is on its way back to you. Wait until it has arrived."))
    if debts.list_of(person_id):
        return Refused("owes", lazy("You still owe money for a subsidy. Pay it first, or ask us about it."))
    return None


def forget(identity: Identity, *, now: datetime) -> None:  # noqa: ARG001 - every room has the same signature
    """Blank what Stripe's events and staff's notes say of the person; the books keep amounts, dates and numbers."""
    attempts, refunds = _attempts(identity.person_id), _refunds(identity.person_id)
    for refund in refunds:
        refund.reason = identity.blanked(refund.reason)
    _blank_events([*identity.addresses, *_handles(attempts)])
    _blank_fapiao_requests(identity)
    _blank_words_of_the_desk(identity)
    _blank_bank_money(identity)
    numbers = {attempt.public_id for attempt in attempts} | {refund.public_id for refund in refunds}
    numbers |= {attempt.order.public_id for attempt in attempts}
    for found in db.session.scalars(select(Discrepancy).where(Discrepancy.note.is_not(None))):
        if found.reference in numbers or any(word in (found.note or "") for word in identity.words):
            found.note = identity.blanked(found.note or "")


def _handles(attempts: Sequence[PaymentAttempt]) -> list[str]:
    """Stripe's names of the person's payments: its events hold their name and address beside them."""
    return [handle for attempt in attempts for handle in (attempt.session_id, attempt.payment_intent_id) if handle]


def _blank_events(words: list[str]) -> None:
    if not words:
        return
    told = cast(StripeEvent.payload, Text)
    query = select(StripeEvent).where(or_(*(told.contains(word, autoescape=True) for word in words)))
    for event in db.session.scalars(query):
        kept = {key: event.payload[key] for key in ("id", "object", "type", "created") if key in event.payload}
        event.payload = kept | {"forgotten": True}


def _blank_fapiao_requests(identity: Identity) -> None:
    """Where a fapiao was to be sent; whom it was issued to stays, since the tax system has it too."""
    mine = select(Order.id).filter_by(person_id=identity.person_id)
    for request in db.session.scalars(select(FapiaoRequest).where(FapiaoRequest.order_id.in_(mine))):
        request.email = f"{request.public_id}@{NOWHERE}"
        request.note = request.note and identity.blanked(request.note)
        if request.number is None:
            request.title = identity.blanked(request.title)


def _blank_words_of_the_desk(identity: Identity) -> None:
    """What officers wrote, if it names the person; who did what and when stays."""
    mine = select(Order.id).filter_by(person_id=identity.person_id)
    for payment in db.session.scalars(select(OfflinePayment).where(OfflinePayment.order_id.in_(mine))):
        payment.reason = identity.blanked(payment.reason)
    for row in db.session.scalars(select(WriteOff).where(WriteOff.order_id.in_(mine))):
        row.reason = identity.blanked(row.reason)
    naming = _names(StaffAct.reason, identity)
    db.session.execute(update(StaffAct).where(naming).values(reason=GONE))


def _blank_bank_money(identity: Identity) -> None:
    """Transfers that fitted no order at first, once it is said what they are, and what officers wrote about them.

    Of money that still waits the payer is all there is to find out whose it is.
    """
    naming = (_names(BankMoney.payer_name, identity), _names(BankMoney.reason, identity))
    is_its = (Discrepancy.kind == TRANSFER) & (Discrepancy.reference == BankMoney.public_id)
    known = select(BankMoney).join(Discrepancy, is_its).where(Discrepancy.resolved_at.is_not(None), or_(*naming))
    for money in db.session.scalars(known):
        money.payer_name, money.reason = identity.blanked(money.payer_name), identity.blanked(money.reason)
    for answer in db.session.scalars(select(UnmatchedAnswer).where(_names(UnmatchedAnswer.reason, identity))):
        answer.reason = identity.blanked(answer.reason)
    for payment in db.session.scalars(select(SponsorPayment).where(_names(SponsorPayment.reason, identity))):
        payment.reason = identity.blanked(payment.reason)


def _names(column: Any, identity: Identity) -> ColumnElement[bool]:
    """Whether a text names the person."""
    return or_(*(column.icontains(word, autoescape=True) for word in identity.words))
