"""Fapiao: asked for by the learner, issued and reversed in the tax system by finance staff, who record it here.

Locks: order → request. A refund of an order with an issued fapiao waits until the fapiao is reversed (fapiao_gate).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload, undefer
from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from marketplace.enrolment import orders
from marketplace.enrolment.models import Order
from marketplace.foundation import mail
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.payments import refunds
from marketplace.payments.fapiao_gate import note
from marketplace.payments.invoice_models import FapiaoFile, FapiaoRequest
from marketplace.payments.invoice_rules import FapiaoState, may_become
from marketplace.payments.kept import kept_of
from marketplace.payments.models import PaymentAttempt, Purpose, Refund

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

LARGEST_FILE = 3_000_000
QUEUE = 100
# By what a file begins with; an OFD file is a ZIP archive. Each is served as an attachment, never shown by us.
SIGNATURES = {
    b"%PDF-": ("application/pdf", "pdf"),
    b"PK\x03\x04": ("application/ofd", "ofd"),
    b"<?xml": ("application/xml", "xml"),
}


@dataclass(frozen=True)
class FapiaoWish:
    """What a learner asks for: made out to a person, or to a company with its unified social credit code."""

    kind: str
    title: str
    tax_number: str | None
    email: str


def request(order_id: int, wish: FapiaoWish, *, now: datetime, purpose: Purpose = Purpose.ORDER) -> FapiaoRequest:
    """Ask for a fapiao over what was paid and is kept, of the order or of a debt beside it. Locks the order.

    A cancelled order has one over what its terms keep. Asked twice it is one request. Raises Invalid for a wrong credit
    code, Refused for an unpaid order or when a fapiao stands already.
    """
    tax_number = checked_tax_number(wish.tax_number) if wish.kind == "company" else None
    with transaction():
        order = locked(Order, order_id)
        standing = find_standing(order_id, purpose)
        if standing is not None:
            if (standing.kind, standing.title, standing.tax_number) == (wish.kind, wish.title, tax_number):
                return standing
            raise Refused("fapiao_stands", lazy("A fapiao has been asked for already."))
        amount = kept_of(order, purpose)
        if order.confirmed_at is None or amount.is_zero:
            raise Refused("order_not_paid", lazy("A fapiao can be asked for when the order is paid."))
        asked = add(
            FapiaoRequest(
                order_id=order.id,
                purpose=purpose,
                kind=wish.kind,
                title=wish.title,
                tax_number=tax_number,
                email=wish.email,
                amount_minor=amount.minor,
                currency=amount.currency,
                requested_at=now,
            )
        )
        note(asked, "request", now=now, actor_id=order.person_id)
        orders.record(order, "fapiao_requested", now=now, actor_id=order.person_id)
        return asked


def checked_tax_number(written: str | None) -> str:
    """A unified social credit code (GB 32100-2015) without spaces, in capitals; raises Invalid when its check fails."""
    try:
        return str(uscc.validate(written or ""))
    except ValidationError as error:
        sentence = lazy("This is no unified social credit code: 18 digits and capital letters, the last one a check.")
        raise Invalid("tax_number", sentence, {"tax_number": sentence}) from error


def withdraw(public_id: str, *, actor_id: int, now: datetime) -> FapiaoRequest:
    """Take back a request that was not acted on yet. Locks it; raises Refused afterwards."""
    with transaction():
        asked = _moved(public_id, "withdraw")
        note(asked, "withdraw", now=now, actor_id=actor_id)
        return asked


def issue(
    public_id: str,
    *,
    number: str,
    issued_on: date,
    file: tuple[str, bytes],
    actor_id: int,
    now: datetime,
    shown_minor: int | None = None,
) -> FapiaoRequest:
    """Record the fapiao made in the tax system, keep its file and write to the learner. Locks the request.

    Raises Refused when the amount is no longer the one that was shown, in minor units.
    """
    kept_file = checked_file(*file)
    with transaction():
        asked = _moved(public_id, "issue")
        if shown_minor not in {None, asked.amount_minor}:
            raise Refused("fapiao_amount", lazy("Money goes back, so the amount has changed. Please look at it again."))
        asked.number, asked.issued_on = number, issued_on
        _keep(asked, "fapiao", kept_file, now=now)
        note(asked, "issue", now=now, actor_id=actor_id, number=number)
        _tell(asked, "issued")
        return asked


def reject(public_id: str, *, reason: str, actor_id: int, now: datetime) -> FapiaoRequest:
    """Say why there will be no fapiao; the learner reads it and may ask again. Locks the request."""
    with transaction():
        asked = _moved(public_id, "reject")
        asked.note = reason
        note(asked, "reject", now=now, actor_id=actor_id, reason=reason)
        _tell(asked, "rejected")
        return asked


def reverse(public_id: str, *, number: str, file: tuple[str, bytes], actor_id: int, now: datetime) -> FapiaoRequest:
    """Record the red-letter fapiao that reverses an issued one; refunds that waited for it leave. Locks the request."""
    kept_file = checked_file(*file)
    with transaction():
        asked = _moved(public_id, "reverse")
        asked.reversal_number = number
        _keep(asked, "reversal", kept_file, now=now)
        note(asked, "reverse", now=now, actor_id=actor_id, number=number)
        refunds.send_waiting(asked.order_id)
        return asked


def checked_file(name: str, content: bytes) -> tuple[str, str, bytes]:
    """Name, media type and content of a PDF, OFD or XML file; raises Invalid for anything else."""
    if len(content) > LARGEST_FILE:
        sentence = lazy("The file is larger than 3 MB.")
        raise Invalid("file_too_large", sentence, {"file": sentence})
    for signature, (media_type, ending) in SIGNATURES.items():
        if content.startswith(signature):
            stem = "".join(one for one in name.rpartition(".")[0] if one.isalnum() or one in "-_")[:60]
            return f"{stem or 'fapiao'}.{ending}", media_type, content
    sentence = lazy("The file is neither PDF, OFD nor XML.")
    raise Invalid("file_kind", sentence, {"file": sentence})


def _moved(public_id: str, act: str) -> FapiaoRequest:
    """The request, locked and in the state after the act; raises NotFound, or Refused where the act is not possible."""
    row_id = db.session.scalar(select(FapiaoRequest.id).filter_by(public_id=public_id))
    if row_id is None:
        raise NotFound
    asked = locked(FapiaoRequest, row_id)
    after = may_become(FapiaoState(asked.state), act)
    if after is None:
        raise Refused("fapiao_state", lazy("Somebody has dealt with this request meanwhile. Please look at it again."))
    asked.state = after
    return asked


def _keep(asked: FapiaoRequest, purpose: str, file: tuple[str, str, bytes], *, now: datetime) -> None:
    name, media_type, content = file
    add(
        FapiaoFile(
            request_id=asked.id,
            purpose=purpose,
            file_name=name,
            media_type=media_type,
            content=content,
            uploaded_at=now,
        )
    )


def _tell(asked: FapiaoRequest, what: str) -> None:
    order = db.session.get_one(Order, asked.order_id)
    key = f"fapiao:{asked.public_id}"
    # The address may be somebody else's; the mail is still about this person, and goes when they are forgotten.
    extras = mail.Extras(reader_id=order.person_id)
    message = f"payments/fapiao_{what}"
    mail.send(message, to=asked.email, locale=order.locale, key=key, extras=extras, fapiao=asked, order=order)


def find_standing(order_id: int, purpose: Purpose = Purpose.ORDER) -> FapiaoRequest | None:
    """The request for the order, or for a debt beside it, that is asked for, issued, or to be reversed."""
    states = [FapiaoState.REQUESTED, FapiaoState.ISSUED, FapiaoState.REVERSAL_NEEDED]
    query = select(FapiaoRequest).filter_by(order_id=order_id, purpose=purpose).where(FapiaoRequest.state.in_(states))
    return db.session.scalars(query.options(selectinload(FapiaoRequest.files))).one_or_none()


def find_latest(order_id: int, purpose: Purpose = Purpose.ORDER) -> FapiaoRequest | None:
    """The newest request for an order, or for a debt beside it, whatever became of it."""
    query = select(FapiaoRequest).filter_by(order_id=order_id, purpose=purpose)
    query = query.options(selectinload(FapiaoRequest.files))
    return db.session.scalars(query.order_by(FapiaoRequest.id.desc()).limit(1)).one_or_none()


def holds_refund_up(asked: FapiaoRequest) -> bool:
    """Whether money waits for its reversal; what a bank or Stripe's dashboard gave back is gone already."""
    requested = select(Refund.id).join(Refund.attempt).where(Refund.state == "requested")
    query = requested.where(PaymentAttempt.order_id == asked.order_id, PaymentAttempt.purpose == asked.purpose)
    return asked.state == FapiaoState.REVERSAL_NEEDED and db.session.scalar(query.limit(1)) is not None


def waiting(query: Any) -> Any:
    """Of a query of requests, those that wait for finance staff."""
    return query.where(FapiaoRequest.state.in_([FapiaoState.REQUESTED, FapiaoState.REVERSAL_NEEDED]))


def list_open() -> Sequence[FapiaoRequest]:
    """What waits for finance staff, oldest first; reversals hold refunds up, so they come first."""
    query = _waiting_rows().order_by(FapiaoRequest.state.desc(), FapiaoRequest.id).limit(QUEUE)
    # "reversal_needed" comes before "requested" when sorted downwards.
    found: Sequence[FapiaoRequest] = db.session.scalars(query).all()
    return found


def list_waiting(*, order_id: int | None = None, after: int = 0, limit: int = QUEUE) -> Sequence[FapiaoRequest]:
    """What waits for finance staff, of one order or of all, oldest first, from the id `after` on."""
    query = _waiting_rows().where(FapiaoRequest.id > after)
    if order_id is not None:
        query = query.where(FapiaoRequest.order_id == order_id)
    found: Sequence[FapiaoRequest] = db.session.scalars(query.order_by(FapiaoRequest.id).limit(limit)).all()
    return found


def _waiting_rows() -> Any:
    return waiting(select(FapiaoRequest)).options(joinedload(FapiaoRequest.order).joinedload(Order.person))


def get(public_id: str) -> FapiaoRequest:
    """One request with its order, history and files; raises NotFound."""
    query = (
        select(FapiaoRequest)
        .filter_by(public_id=public_id)
        .options(
            joinedload(FapiaoRequest.order).joinedload(Order.person),
            selectinload(FapiaoRequest.events),
            selectinload(FapiaoRequest.files),
        )
    )
    asked = db.session.scalars(query).one_or_none()
    if asked is None:
        raise NotFound
    return asked


def get_file(public_id: str) -> tuple[FapiaoFile, Order]:
    """A file with its content and the order it belongs to; raises NotFound."""
    query = (
        select(FapiaoFile, Order)
        .join(FapiaoRequest, FapiaoRequest.id == FapiaoFile.request_id)
        .join(Order, Order.id == FapiaoRequest.order_id)
        .where(FapiaoFile.public_id == public_id)
        .options(undefer(FapiaoFile.content))
    )
    found = db.session.execute(query).one_or_none()
    if found is None:
        raise NotFound
    return found[0], found[1]
