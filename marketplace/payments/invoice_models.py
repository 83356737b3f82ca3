"""Sellers, invoices with their credit notes, and requests for a fapiao."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Date, ForeignKey, Index, Integer, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Organisation
from marketplace.enrolment.models import Order
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import constraint
from marketplace.foundation.i18n import DEFAULT_ZONE, lazy
from marketplace.foundation.money import Money
from marketplace.payments.invoice_rules import FapiaoState, PaperKind, paper_number
from marketplace.payments.models import Purpose


class Seller(Model):
    """Who sells, as invoices name them: the provider that sells in its own name, else the one without organisation."""

    __tablename__ = "seller"
    __table_args__ = (
        UniqueConstraint("organisation_id", postgresql_nulls_not_distinct=True),
        UniqueConstraint("prefix"),
    )

    id: Mapped[PrimaryKey]
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    name_zh: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    tax_number: Mapped[str] = mapped_column(Text)
    address_zh: Mapped[str] = mapped_column(Text, default="")
    address_en: Mapped[str] = mapped_column(Text, default="")
    # What its numbers begin with; never changed once a number was given.
    prefix: Mapped[str] = mapped_column(Text)
    # Its years begin at midnight here.
    zone: Mapped[str] = mapped_column(Text, default=DEFAULT_ZONE)

    organisation: Mapped[Organisation | None] = relationship()


class InvoiceSeries(Model):
    """The last number given to a seller's documents of a kind in a year; its row lock keeps numbers without gaps."""

    __tablename__ = "invoice_series"

    seller_id: Mapped[int] = mapped_column(ForeignKey("seller.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    last_number: Mapped[int] = mapped_column(Integer, default=0)


class Invoice(Model):
    """An invoice or a credit note as it was issued. Never changed; what was wrong is credited and issued again.

    `billed_to` is who the document is made out to; `payer` owes the money; `remitter` is whose money came. The three
    may differ. Amounts are positive, also on a credit note; tax is included.
    """

    __tablename__ = "invoice"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("seller_id", "kind", "year", "number"),
        UniqueConstraint("refund_due_id"),
        Index("ix_invoice_order_id", "order_id"),
        Index("ix_invoice_corrects_id", "corrects_id"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    seller_id: Mapped[int] = mapped_column(ForeignKey("seller.id"))
    kind: Mapped[str] = mapped_column(Text)
    year: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(Integer)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    # A credit note takes back all or part of this invoice, because of money that went back or (None) a correction.
    corrects_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"))
    refund_due_id: Mapped[int | None] = mapped_column(ForeignKey("refund_due.id"))
    issued_at: Mapped[datetime]
    issued_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    currency: Mapped[str] = mapped_column(Text)
    total_minor: Mapped[int]
    tax_minor: Mapped[int]
    billed_to: Mapped[dict[str, Any]] = mapped_column(JSONB)
    payer: Mapped[str] = mapped_column(Text)
    remitter: Mapped[str] = mapped_column(Text)
    # Seller and lines in both languages, as they were.
    seller_facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)

    order: Mapped[Order] = relationship()
    corrects: Mapped[Invoice | None] = relationship(remote_side="Invoice.id")

    @property
    def total(self) -> Money:
        """What it is for, tax included."""
        return Money(self.total_minor, self.currency)

    @property
    def tax(self) -> Money:
        """The tax in it."""
        return Money(self.tax_minor, self.currency)

    @property
    def printed_number(self) -> str:
        """The number as people quote it."""
        return paper_number(self.seller_facts["prefix"], PaperKind(self.kind), self.year, self.number)


REVERSED = text("reversal_number IS NOT NULL")


class FapiaoRequest(Model):
    """A learner's wish for a fapiao, which finance staff issue in the tax system and record here."""

    __tablename__ = "fapiao_request"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index(
            "uq_fapiao_request_standing",
            "order_id",
            "purpose",
            unique=True,
            postgresql_where=text("state IN ('requested', 'issued', 'reversal_needed')"),
        ),
        Index("ix_fapiao_request_open", "id", postgresql_where=text("state IN ('requested', 'reversal_needed')")),
        Index("ix_fapiao_request_order_id", "order_id"),
        # desk_search._by_fapiao: what staff read from a paper.
        Index("ix_fapiao_request_number", "number", postgresql_where=text("number IS NOT NULL")),
        Index("ix_fapiao_request_reversal_number", "reversal_number", postgresql_where=REVERSED),
        Index("ix_fapiao_request_title_bigrams", text("bigrams(lower(title))"), postgresql_using="gin"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    # What was paid: the order, or a debt beside it.
    purpose: Mapped[str] = mapped_column(Text, default=Purpose.ORDER)
    state: Mapped[str] = mapped_column(Text, default=FapiaoState.REQUESTED)
    # personal or company; a company's has its unified social credit code.
    kind: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    tax_number: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    requested_at: Mapped[datetime]
    number: Mapped[str | None] = mapped_column(Text)
    issued_on: Mapped[date | None] = mapped_column(Date)
    reversal_number: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)

    order: Mapped[Order] = relationship()
    events: Mapped[list[FapiaoEvent]] = relationship(order_by="FapiaoEvent.id", viewonly=True)
    files: Mapped[list[FapiaoFile]] = relationship(order_by="FapiaoFile.id", viewonly=True)

    @property
    def amount(self) -> Money:
        """What the fapiao is for."""
        return Money(self.amount_minor, self.currency)


class FapiaoEvent(Model):
    """What happened to a request, when and by whom; append-only."""

    __tablename__ = "fapiao_event"
    __table_args__ = (Index("ix_fapiao_event_request_id", "request_id"),)

    id: Mapped[PrimaryKey]
    request_id: Mapped[int] = mapped_column(ForeignKey("fapiao_request.id"))
    act: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[datetime]
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)


class FapiaoFile(Model):
    """The file of a fapiao or of its reversal, as the tax system made it; append-only."""

    __tablename__ = "fapiao_file"
    __table_args__ = (UniqueConstraint("public_id"), Index("ix_fapiao_file_request_id", "request_id"))

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    request_id: Mapped[int] = mapped_column(ForeignKey("fapiao_request.id"))
    # fapiao or reversal
    purpose: Mapped[str] = mapped_column(Text)
    file_name: Mapped[str] = mapped_column(Text)
    media_type: Mapped[str] = mapped_column(Text)
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    uploaded_at: Mapped[datetime] = mapped_column(default=clock.now)


constraint("uq_fapiao_request_standing", lazy("A fapiao has been asked for already."))
constraint("uq_seller_prefix", lazy("Another seller's numbers begin like this."))
