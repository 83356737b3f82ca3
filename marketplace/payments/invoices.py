"""Where invoices and credit notes are issued, with numbers that have no gaps.

Locks: order → series. The series' row is locked last, in the transaction that writes the document: a rollback gives
the number back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased, joinedload, selectinload

from marketplace.catalog.models import CourseProvider, CourseRun
from marketplace.enrolment import orders
from marketplace.enrolment.models import Order, OrderLine, OrderState, RefundDue
from marketplace.enrolment.refund_rules import BESIDE_THE_PRICE
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.payments import refunds
from marketplace.payments.invoice_models import Invoice, InvoiceSeries, Seller
from marketplace.payments.invoice_rules import PaperKind, tax_share
from marketplace.payments.models import AttemptState, PaymentAttempt, Purpose, Refund

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

PAGE = 50
BATCH = 200


@dataclass(frozen=True)
class BilledTo:
    """Whom an invoice is made out to; `payer` and `remitter` are the learner where nobody else is named."""

    kind: str
    title: str
    tax_number: str = ""
    address: str = ""
    payer: str = ""
    remitter: str = ""


def issue(order_id: int, billed: BilledTo, *, actor_id: int | None, now: datetime) -> Invoice:
    """The invoice of a paid order, over what was paid and not given back. Locks order, then series.

    Asked again in the same words it is the same invoice; in other words the standing one is credited whole and a new
    one issued. Raises Refused for an order that is not confirmed or that nothing was paid for, and without a seller.
    """
    with transaction():
        order = locked(Order, order_id)
        if order.state != OrderState.CONFIRMED:
            raise Refused("order_not_paid", lazy("There is an invoice when the order is paid."))
        standing = find_standing(order.id)
        if standing is not None:
            if standing.billed_to == asdict(billed):
                return standing
            _write_credit_note(standing, credit_left(standing), refund_id=None, actor_id=actor_id, now=now)
        amount = kept(order)
        if amount.is_zero:
            raise Refused("nothing_to_invoice", lazy("Nothing is left of what was paid, so there is no invoice."))
        return _write_invoice(order, amount, billed, actor_id=actor_id, now=now)


def kept(order: Order) -> Money:
    """What was paid for the order and has neither gone back nor is on its way back; never more than it cost."""
    paid = select(PaymentAttempt).filter_by(order_id=order.id, state=AttemptState.PAID, purpose=Purpose.ORDER)
    left = sum((refunds.refundable(attempt).minor for attempt in db.session.scalars(paid)), 0)
    return Money(min(order.total_minor, left), order.currency)


def find_standing(order_id: int) -> Invoice | None:
    """The newest invoice of the order that is not credited whole."""
    query = select(Invoice).filter_by(order_id=order_id, kind=PaperKind.INVOICE).order_by(Invoice.id.desc()).limit(1)
    newest = db.session.scalars(query).one_or_none()
    return newest if newest is not None and not credit_left(newest).is_zero else None


def credit_left(invoice: Invoice) -> Money:
    """What of an invoice has not been credited."""
    query = select(func.coalesce(func.sum(Invoice.total_minor), 0)).filter_by(corrects_id=invoice.id)
    return invoice.total - Money(int(db.session.scalar(query) or 0), invoice.currency)


def seller_of(order: Order) -> Seller:
    """The leading provider where it sells in its own name, else the programme; raises Refused if neither is known."""
    lead = (
        select(CourseProvider.organisation_id)
        .join(CourseRun, CourseRun.course_id == CourseProvider.course_id)
        .where(CourseRun.id == order.lines[0].run_id)
        .order_by(CourseProvider.position, CourseProvider.organisation_id)
        .limit(1)
        .scalar_subquery()
    )
    query = select(Seller).where((Seller.organisation_id == lead) | Seller.organisation_id.is_(None))
    seller = db.session.scalars(query.order_by(Seller.organisation_id.nulls_last()).limit(1)).one_or_none()
    if seller is None:
        raise Refused("no_seller", lazy("Invoices are not set up yet. Please ask the programme's staff."))
    return seller


def _write_invoice(order: Order, amount: Money, billed: BilledTo, *, actor_id: int | None, now: datetime) -> Invoice:
    seller = seller_of(order)
    line = order.lines[0]
    invoice = _write(
        seller,
        PaperKind.INVOICE,
        now=now,
        order_id=order.id,
        issued_by_id=actor_id,
        currency=amount.currency,
        total_minor=amount.minor,
        tax_minor=tax_share(amount.minor, of_minor=line.due_minor, tax_minor=line.tax_minor),
        billed_to=asdict(billed),
        payer=billed.payer or order.person.name,
        remitter=billed.remitter or billed.payer or order.person.name,
        seller_facts=_facts_of(seller),
        lines=[_facts_of_line(line)],
    )
    orders.record(order, "invoice_issued", now=now, actor_id=actor_id, details={"number": invoice.printed_number})
    return invoice


def _write_credit_note(
    invoice: Invoice, amount: Money, *, refund_id: int | None, actor_id: int | None, now: datetime
) -> Invoice:
    seller = db.session.get_one(Seller, invoice.seller_id)
    note = _write(
        seller,
        PaperKind.CREDIT_NOTE,
        now=now,
        order_id=invoice.order_id,
        corrects_id=invoice.id,
        refund_id=refund_id,
        issued_by_id=actor_id,
        currency=amount.currency,
        total_minor=amount.minor,
        tax_minor=tax_share(amount.minor, of_minor=invoice.total_minor, tax_minor=invoice.tax_minor),
        billed_to=invoice.billed_to,
        payer=invoice.payer,
        remitter=invoice.remitter,
        seller_facts=invoice.seller_facts,
        lines=invoice.lines,
    )
    order = db.session.get_one(Order, invoice.order_id)
    orders.record(order, "invoice_credited", now=now, actor_id=actor_id, details={"number": note.printed_number})
    return note


def _write(seller: Seller, kind: PaperKind, *, now: datetime, **values: Any) -> Invoice:
    year = now.astimezone(ZoneInfo(seller.zone)).year
    number = _next_number(seller.id, kind, year)
    return add(Invoice(seller_id=seller.id, kind=kind, year=year, number=number, issued_at=now, **values))


def _next_number(seller_id: int, kind: PaperKind, year: int) -> int:
    """One more than the last; others wait for the row until this transaction ends, so numbers come without gaps."""
    statement = insert(InvoiceSeries).values(seller_id=seller_id, kind=kind, year=year, last_number=1)
    statement = statement.on_conflict_do_update(
        index_elements=["seller_id", "kind", "year"], set_={"last_number": InvoiceSeries.last_number + 1}
    )
    return int(db.session.execute(statement.returning(InvoiceSeries.last_number)).scalar_one())


def _facts_of(seller: Seller) -> dict[str, str]:
    names = ("name_zh", "name_en", "tax_number", "address_zh", "address_en", "prefix", "zone")
    return {name: getattr(seller, name) for name in names}


def _facts_of_line(line: OrderLine) -> dict[str, Any]:
    run = line.run
    days = [
        moment.astimezone(run.tzinfo).date().isoformat() if moment else None for moment in (run.starts_at, run.ends_at)
    ]
    names = ("title_zh", "title_en", "price_minor", "subsidy_minor", "voucher_minor", "due_minor")
    return {name: getattr(line, name) for name in names} | {"starts_on": days[0], "ends_on": days[1]}


def credit_refunds(*, now: datetime) -> int:
    """A credit note for every refund of an invoiced order that went through, each once; how many were written.

    A refund asked for before the newest invoice is not in its amount and needs none. Locks each order, then series.
    """
    noted = select(Invoice.refund_id).where(Invoice.refund_id.is_not(None))
    newer = aliased(Invoice)
    is_newest = ~exists().where(
        newer.order_id == Invoice.order_id, newer.kind == PaperKind.INVOICE, newer.id > Invoice.id
    )
    query = (
        select(Refund.id, PaymentAttempt.order_id)
        .join(Refund.attempt)
        .join(Refund.refund_due)
        .join(Invoice, Invoice.order_id == PaymentAttempt.order_id)
        .where(
            Refund.state == "succeeded",
            # Money that bought nothing is on no invoice.
            RefundDue.reason.not_in(BESIDE_THE_PRICE),
            Refund.id.not_in(noted),
            Invoice.kind == PaperKind.INVOICE,
            is_newest,
            Refund.created_at > Invoice.issued_at,
        )
        .distinct()
        .order_by(Refund.id)
        .limit(BATCH)
    )
    return sum(_credit_refund(refund_id, order_id, now=now) for refund_id, order_id in db.session.execute(query).all())


def _credit_refund(refund_id: int, order_id: int, *, now: datetime) -> bool:
    with transaction():
        locked(Order, order_id)
        standing = find_standing(order_id)
        refund = db.session.get_one(Refund, refund_id)
        is_noted = db.session.scalar(select(Invoice.id).filter_by(refund_id=refund_id)) is not None
        if standing is None or is_noted or refund.created_at <= standing.issued_at:
            return False
        amount = min(refund.amount, credit_left(standing), key=lambda money: money.minor)
        _write_credit_note(standing, amount, refund_id=refund_id, actor_id=None, now=now)
        return True


@jobs.periodic(cron="*/5 * * * *", name="payments.credit_refunds")
def credit() -> None:
    """Every five minutes: credit notes for what has been given back."""
    credit_refunds(now=clock.now())


def list_of(order_id: int) -> list[Invoice]:
    """Every invoice and credit note of an order, oldest first."""
    return list(db.session.scalars(select(Invoice).filter_by(order_id=order_id).order_by(Invoice.id)))


def get(public_id: str) -> Invoice:
    """One document with its order; raises NotFound."""
    query = (
        select(Invoice).filter_by(public_id=public_id).options(joinedload(Invoice.order), joinedload(Invoice.corrects))
    )
    invoice = db.session.scalars(query).one_or_none()
    if invoice is None:
        raise NotFound
    return invoice


def list_issued(*, before: int | None) -> tuple[Sequence[Invoice], int | None]:
    """Documents of every seller, newest first, a page at a time; the second value continues the list."""
    query = select(Invoice).options(joinedload(Invoice.order).joinedload(Order.person))
    if before is not None:
        query = query.where(Invoice.id < before)
    rows = db.session.scalars(query.order_by(Invoice.id.desc()).limit(PAGE + 1)).all()
    return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None


def list_sellers() -> list[Seller]:
    """Every seller, the programme first."""
    query = select(Seller).options(selectinload(Seller.organisation)).order_by(Seller.organisation_id.nulls_first())
    return list(db.session.scalars(query))
