"""Where invoices and credit notes are issued, with numbers that have no gaps.

Locks: order → series. The series' row is locked last, in the transaction that writes the document: a rollback gives
the number back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Interval, and_, exists, func, literal, or_, select
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
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidy_models import Subsidy
from marketplace.payments.invoice_models import Invoice, InvoiceSeries, Seller
from marketplace.payments.invoice_rules import PaperKind, tax_share
from marketplace.payments.kept import kept_of
from marketplace.payments.models import PaymentAttempt, Purpose, Refund

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

PAGE = 50
BATCH = 200
# Each takes its time before it waits for the order's lock, or for Stripe: what is dated before an invoice may have come
# to the order after it.
SKEW = timedelta(minutes=10)
KIND_OF = {Purpose.ORDER: PaperKind.INVOICE, Purpose.DEBT: PaperKind.DEBT_INVOICE}


@dataclass(frozen=True)
class BilledTo:
    """Whom an invoice is made out to; `payer` and `remitter` are the learner where nobody else is named."""

    kind: str
    title: str
    tax_number: str = ""
    address: str = ""
    payer: str = ""
    remitter: str = ""


def issue(
    order_id: int, billed: BilledTo, *, actor_id: int | None, now: datetime, purpose: Purpose = Purpose.ORDER
) -> Invoice:
    """The invoice of an order, or of a debt beside it, over what was paid and is kept. Locks order, then series.

    A cancelled order has one over what its terms keep. Asked again in the same words it is the same invoice, unless
    more is kept by now; otherwise the standing one is credited whole and a new one issued. Raises Refused for an order
    that was never confirmed, when nothing is kept, and without a seller.
    """
    with transaction():
        order = locked(Order, order_id)
        if order.confirmed_at is None:
            raise Refused("order_not_paid", lazy("There is an invoice when the order is paid."))
        amount = kept_of(order, purpose)
        standing = find_standing(order.id, purpose)
        if standing is not None:
            left = credit_left(standing)
            if standing.billed_to == asdict(billed) and amount.minor <= left.minor:
                return standing
            _write_credit_note(standing, left, refund_due_id=None, actor_id=actor_id, now=now)
        if amount.is_zero:
            raise Refused("nothing_to_invoice", lazy("Nothing is left of what was paid, so there is no invoice."))
        return _write_invoice(order, amount, billed, purpose, actor_id=actor_id, now=now)


def find_standing(order_id: int, purpose: Purpose = Purpose.ORDER) -> Invoice | None:
    """The newest invoice of the order, or of a debt beside it, that is not credited whole."""
    query = select(Invoice).filter_by(order_id=order_id, kind=KIND_OF[purpose]).order_by(Invoice.id.desc()).limit(1)
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


def tax_in(order: Order, amount: Money) -> Money:
    """The tax inside an amount that was paid for an order's seat, in proportion to that inside its price."""
    line = order.lines[0]
    return Money(tax_share(amount.minor, of_minor=line.price_minor, tax_minor=line.tax_minor), amount.currency)


def _write_invoice(
    order: Order, amount: Money, billed: BilledTo, purpose: Purpose, *, actor_id: int | None, now: datetime
) -> Invoice:
    seller = seller_of(order)
    invoice = _write(
        seller,
        KIND_OF[purpose],
        now=now,
        order_id=order.id,
        issued_by_id=actor_id,
        currency=amount.currency,
        total_minor=amount.minor,
        tax_minor=tax_in(order, amount).minor,
        billed_to=asdict(billed),
        payer=billed.payer or order.person.name,
        remitter=billed.remitter or billed.payer or order.person.name,
        seller_facts=_facts_of(seller),
        lines=[_facts_of_line(order.lines[0]) | _circumstances(order, purpose)],
    )
    orders.record(order, "invoice_issued", now=now, actor_id=actor_id, details={"number": invoice.printed_number})
    return invoice


def _write_credit_note(
    invoice: Invoice, amount: Money, *, refund_due_id: int | None, actor_id: int | None, now: datetime
) -> Invoice:
    seller = db.session.get_one(Seller, invoice.seller_id)
    # All notes together take back what the invoice says, however many they are.
    before = invoice.total_minor - credit_left(invoice).minor
    after = before + amount.minor
    of = {"of_minor": invoice.total_minor, "tax_minor": invoice.tax_minor}
    note = _write(
        seller,
        PaperKind.CREDIT_NOTE,
        now=now,
        order_id=invoice.order_id,
        corrects_id=invoice.id,
        refund_due_id=refund_due_id,
        issued_by_id=actor_id,
        currency=amount.currency,
        total_minor=amount.minor,
        tax_minor=tax_share(after, **of) - tax_share(before, **of),
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


def _circumstances(order: Order, purpose: Purpose) -> dict[str, Any]:
    """What an invoice says beside its line: that a part is kept of a cancelled order, or who did not pay in the end."""
    if purpose is Purpose.DEBT:
        query = select(FundingProgramme.name_zh, FundingProgramme.name_en)
        query = query.join(Subsidy, Subsidy.programme_id == FundingProgramme.id)
        names = db.session.execute(query.where(Subsidy.order_line_id == order.lines[0].id)).one()
        return {"programme_zh": names.name_zh, "programme_en": names.name_en}
    return {"is_cancelled": True} if order.state == OrderState.CANCELLED else {}


def credit_refunds(*, now: datetime) -> int:
    """A credit note for all that went back of what is on an invoice, each once; how many were written.

    Money that was on its way back before the newest invoice is not in its amount and needs none. A bank that decided a
    dispute has taken the money already. Locks each order, then series.
    """
    noted = select(Invoice.refund_due_id).where(Invoice.refund_due_id.is_not(None))
    newer = aliased(Invoice)
    is_newest = ~exists().where(newer.order_id == Invoice.order_id, newer.kind == Invoice.kind, newer.id > Invoice.id)
    of_order = and_(
        PaymentAttempt.purpose == Purpose.ORDER,
        Invoice.kind == PaperKind.INVOICE,
        # Money that bought nothing is on no invoice.
        RefundDue.reason.not_in(BESIDE_THE_PRICE),
    )
    of_debt = and_(PaymentAttempt.purpose == Purpose.DEBT, Invoice.kind == PaperKind.DEBT_INVOICE)
    query = (
        select(RefundDue.id, PaymentAttempt.order_id, PaymentAttempt.purpose)
        .join(PaymentAttempt, PaymentAttempt.public_id == RefundDue.attempt_public_id)
        .outerjoin(Refund, Refund.refund_due_id == RefundDue.id)
        .join(Invoice, Invoice.order_id == PaymentAttempt.order_id)
        .where(
            or_(Refund.state == "succeeded", RefundDue.source == "dispute"),
            RefundDue.voided_at.is_(None),
            RefundDue.id.not_in(noted),
            or_(of_order, of_debt),
            is_newest,
            RefundDue.recorded_at > Invoice.issued_at - literal(SKEW, Interval()),
        )
        # The newest first: those of the last minutes before an invoice are looked at again and may need none.
        .order_by(RefundDue.id.desc())
        .limit(BATCH)
    )
    found = db.session.execute(query).all()
    return sum(_credit_refund(row[0], row[1], Purpose(row[2]), now=now) for row in found)


def _credit_refund(refund_due_id: int, order_id: int, purpose: Purpose, *, now: datetime) -> bool:
    with transaction():
        order = locked(Order, order_id)
        standing = find_standing(order_id, purpose)
        fact = db.session.get_one(RefundDue, refund_due_id)
        is_noted = db.session.scalar(select(Invoice.id).filter_by(refund_due_id=refund_due_id)) is not None
        if standing is None or is_noted or fact.recorded_at <= standing.issued_at - SKEW:
            return False
        # Never below what is kept: whoever waited for the order's lock may have invoiced without this money.
        beyond = max(0, credit_left(standing).minor - kept_of(order, purpose).minor)
        amount = Money(min(fact.amount_minor, beyond), fact.currency)
        if amount.is_zero:
            return False
        _write_credit_note(standing, amount, refund_due_id=refund_due_id, actor_id=None, now=now)
        return True


@jobs.periodic(cron="*/5 * * * *", name="payments.credit_refunds")
def credit() -> None:
    """Every five minutes: credit notes for what has been given back."""
    credit_refunds(now=clock.now())


def list_of(order_id: int, purpose: Purpose = Purpose.ORDER) -> list[Invoice]:
    """Every invoice and credit note of an order, or of a debt beside it, oldest first."""
    corrected = aliased(Invoice)
    query = select(Invoice).outerjoin(corrected, corrected.id == Invoice.corrects_id)
    query = query.where(Invoice.order_id == order_id, func.coalesce(corrected.kind, Invoice.kind) == KIND_OF[purpose])
    return list(db.session.scalars(query.order_by(Invoice.id)))


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
