"""Money that belongs to nothing we know: what came at the bank, and what staff said that any of it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Organisation, Person
from marketplace.enrolment.models import Order
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import constraint
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.payments.desk_models import Proposal
from marketplace.payments.models import Discrepancy, Purpose


class AnswerKind(StrEnum):
    """What money without a fact turned out to be."""

    ORDER = "order"
    RETURNED = "returned"
    # A sponsor of vouchers paid what it owes, or ahead.
    SPONSOR = "sponsor"
    # An income or an expense of the marketplace itself.
    OURS = "ours"
    # Entered, but never at the bank.
    MISTAKE = "mistake"


class BankMoney(Model):
    """A transfer on our bank account that fits no order, as the bank shows it; it waits as a discrepancy."""

    __tablename__ = "bank_money"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index(
            "uq_bank_money_bank_reference", "bank_reference", unique=True, postgresql_where=text("voided_at IS NULL")
        ),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    bank_reference: Mapped[str] = mapped_column(Text)
    received_on: Mapped[date]
    payer_name: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    recorded_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    # When it turned out that it never came.
    voided_at: Mapped[datetime | None]

    recorded_by: Mapped[Person] = relationship()

    @property
    def amount(self) -> Money:
        """What came."""
        return Money(self.amount_minor, self.currency)


class UnmatchedAnswer(Proposal, Model):
    """What staff say that money without a fact is; above the limit a second officer decides.

    The amount is negative for money that left. `bank_reference` and `sent_on` are of what was sent back.
    """

    __tablename__ = "unmatched_answer"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index(
            "uq_unmatched_answer_standing",
            "discrepancy_id",
            unique=True,
            postgresql_where=text("state <> 'declined'"),
        ),
        Index("ix_unmatched_answer_order_id", "order_id", postgresql_where=text("order_id IS NOT NULL")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    discrepancy_id: Mapped[int] = mapped_column(ForeignKey("discrepancy.id"))
    kind: Mapped[str] = mapped_column(Text)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("order.id"))
    # The sponsor that paid.
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    purpose: Mapped[str] = mapped_column(Text, default=Purpose.ORDER)
    bank_reference: Mapped[str] = mapped_column(Text, default="")
    sent_on: Mapped[date | None]

    discrepancy: Mapped[Discrepancy] = relationship()
    order: Mapped[Order | None] = relationship()
    organisation: Mapped[Organisation | None] = relationship()


constraint("uq_bank_money_bank_reference", lazy("This bank transfer has been recorded already."))
constraint("uq_unmatched_answer_standing", lazy("Somebody has said already what this money is."))


@dataclass(frozen=True)
class Received:
    """A transfer as the bank shows it."""

    amount: Money
    bank_reference: str
    received_on: date
    payer_name: str


@dataclass(frozen=True)
class Said:
    """What an officer says that the money is; which fields count depends on the kind."""

    kind: AnswerKind
    order_number: str = ""
    purpose: Purpose = Purpose.ORDER
    bank_reference: str = ""
    sent_on: date | None = None
    sponsor_id: int | None = None


@dataclass(frozen=True)
class Parked:
    """What stands on unmatched_money for a discrepancy; negative for money that left. It moved at `moment`."""

    amount: Money
    moment: datetime
