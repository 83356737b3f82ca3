"""What staff do by hand: payments outside Stripe, and the record of every act with its reason."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, declared_attr, mapped_column, relationship

from marketplace.accounts.models import Person
from marketplace.enrolment.models import Order
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import constraint
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.payments.models import Purpose


class OfflineState(StrEnum):
    """A payment by bank transfer: entered; then settled, or turned down by the second officer."""

    PROPOSED = "proposed"
    SETTLED = "settled"
    DECLINED = "declined"


class Proposal:
    """What one officer enters about an amount and, above the limit, a second one decides about."""

    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default=OfflineState.PROPOSED)
    proposed_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    proposed_at: Mapped[datetime] = mapped_column(default=clock.now)
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    decided_at: Mapped[datetime | None]

    @declared_attr
    @classmethod
    def proposed_by(cls) -> Mapped[Person]:
        """Who entered it."""
        return relationship(foreign_keys=f"{cls.__name__}.proposed_by_id")

    @property
    def amount(self) -> Money:
        """What it is about."""
        return Money(self.amount_minor, self.currency)


class OfflinePayment(Proposal, Model):
    """A bank transfer for an order, as an officer read it from the bank; above the limit a second one settles it.

    When it is settled it has a payment attempt of its own, which the order is confirmed by as by any other.
    """

    __tablename__ = "offline_payment"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("attempt_id"),
        Index(
            "uq_offline_payment_order_id_bank_reference",
            "order_id",
            "bank_reference",
            unique=True,
            postgresql_where=text("state <> 'declined'"),
        ),
        Index("ix_offline_payment_waiting", "id", postgresql_where=text("state = 'proposed'")),
        Index("ix_offline_payment_bank_reference", "bank_reference"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    purpose: Mapped[str] = mapped_column(Text, default=Purpose.ORDER)
    bank_reference: Mapped[str] = mapped_column(Text)
    # The day the bank shows.
    received_on: Mapped[date]
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("payment_attempt.id"))

    order: Mapped[Order] = relationship()
    decided_by: Mapped[Person | None] = relationship(foreign_keys="OfflinePayment.decided_by_id")


class WriteOff(Proposal, Model):
    """A part of what a learner owes that is given up, with its reason; above the limit a second officer decides."""

    __tablename__ = "write_off"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index("ix_write_off_order_id", "order_id"),
        Index("uq_write_off_waiting", "order_id", unique=True, postgresql_where=text("state = 'proposed'")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))

    order: Mapped[Order] = relationship()


class StaffAct(Model):
    """What a member of staff did at the desk, why, and to what (`subject`: "event:5"). Never changed, never deleted."""

    __tablename__ = "staff_act"
    __table_args__ = (
        Index("ix_staff_act_order_id", "order_id", postgresql_where=text("order_id IS NOT NULL")),
        Index("ix_staff_act_subject", "subject", "kind"),
    )

    id: Mapped[PrimaryKey]
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    kind: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("order.id"))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    occurred_at: Mapped[datetime] = mapped_column(default=clock.now)

    person: Mapped[Person] = relationship()


constraint("uq_write_off_waiting", lazy("A write-off of this debt waits for a second officer already."))
constraint(
    "uq_offline_payment_order_id_bank_reference",
    lazy("This bank transfer has been entered for this order already."),
)
