"""Vouchers: batches with their terms, the codes of a batch, and what each code has paid.

Courses, runs and order lines belong to rooms beside and above: here they are numbers. What was paid is a redemption,
one for each order line, and its movements; both are only ever added to, and each code's counters are their sums.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Organisation, Person
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import Invalid, Refused, constraint
from marketplace.foundation.i18n import DEFAULT_ZONE, lazy
from marketplace.foundation.money import Money
from marketplace.funding.voucher_rules import Terms, ValueKind


class MovementKind(StrEnum):
    """A code pays for a line; takes money or all of it back; pays again when late money revives the order."""

    REDEEMED = "redeemed"
    RETURNED = "returned"
    REDEEMED_AGAIN = "redeemed_again"


class VoucherBatch(Model):
    """Codes issued together on the same terms, which never change; one code is a batch of one. Days are of `zone`.

    `sponsor_id` pays what the codes pay; None is the programme itself. Without both caps, `uncapped_words` holds the
    sentence that asked for it.
    """

    __tablename__ = "voucher_batch"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index("uq_voucher_batch_seat_pool_id", "seat_pool_id", unique=True),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    name: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(Integer)
    value_kind: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text, default="CNY")
    amount_minor: Mapped[int | None]
    percent: Mapped[int | None] = mapped_column(Integer)
    use_cap: Mapped[int | None] = mapped_column(Integer)
    money_cap_minor: Mapped[int | None]
    person_cap: Mapped[int | None] = mapped_column(Integer)
    uncapped_words: Mapped[str] = mapped_column(Text, default="")
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    zone: Mapped[str] = mapped_column(Text, default=DEFAULT_ZONE)
    run_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), default=list)
    course_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), default=list)
    provider_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), default=list)
    person_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), default=list)
    email_domains: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    sponsor_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    # The part of a run's seats that its codes may take; a number of the room above.
    seat_pool_id: Mapped[int | None]
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    sponsor: Mapped[Organisation | None] = relationship()
    created_by: Mapped[Person | None] = relationship()

    @property
    def terms(self) -> Terms:
        """The terms as the decision sees them."""
        return Terms(
            value_kind=ValueKind(self.value_kind),
            currency=self.currency,
            amount=self.amount_minor,
            percent=self.percent,
            use_cap=self.use_cap,
            money_cap=self.money_cap_minor,
            person_cap=self.person_cap,
            starts_on=self.starts_on,
            ends_on=self.ends_on,
            run_ids=frozenset(self.run_ids),
            course_ids=frozenset(self.course_ids),
            provider_ids=frozenset(self.provider_ids),
            person_ids=frozenset(self.person_ids),
            email_domains=frozenset(self.email_domains),
        )


class Voucher(Model):
    """One code: where it stands against its caps, which the database keeps too. The code itself is not here.

    A drawn code is found by its hash and can be drawn again from the batch by who has the server's key; a word of a
    campaign is no secret and stands in `word`.
    """

    __tablename__ = "voucher"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("code_hash"),
        UniqueConstraint("batch_id", "number"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    batch_id: Mapped[int] = mapped_column(ForeignKey("voucher_batch.id"))
    number: Mapped[int] = mapped_column(Integer)
    code_hash: Mapped[str] = mapped_column(Text)
    # The last four characters, to tell codes apart on a page.
    code_tail: Mapped[str] = mapped_column(Text)
    word: Mapped[str | None] = mapped_column(Text)
    use_cap: Mapped[int | None] = mapped_column(Integer)
    money_cap_minor: Mapped[int | None]
    uses: Mapped[int] = mapped_column(Integer, default=0)
    spent_minor: Mapped[int] = mapped_column(default=0)
    ended_at: Mapped[datetime | None]
    ended_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    end_reason: Mapped[str | None] = mapped_column(Text)

    batch: Mapped[VoucherBatch] = relationship()
    ended_by: Mapped[Person | None] = relationship()

    @property
    def label(self) -> str:
        """What it is called on a page: its word, or the end of its code."""
        return self.word or f"…{self.code_tail.upper()}"

    @property
    def spent(self) -> Money:
        """What it has paid and not got back."""
        return Money(self.spent_minor, self.batch.currency)

    @property
    def left(self) -> Money | None:
        """What it may still pay, or None without a cap."""
        if self.money_cap_minor is None:
            return None
        return Money(self.money_cap_minor - self.spent_minor, self.batch.currency)


class VoucherRedemption(Model):
    """A code paid a part of an order line: who used it, who bears it. One for each line, never changed."""

    __tablename__ = "voucher_redemption"
    __table_args__ = (
        UniqueConstraint("order_line_id"),
        Index("ix_voucher_redemption_voucher_id", "voucher_id", "id"),
        Index("ix_voucher_redemption_person_id", "person_id", "voucher_id"),
    )

    id: Mapped[PrimaryKey]
    voucher_id: Mapped[int] = mapped_column(ForeignKey("voucher.id"))
    order_line_id: Mapped[int] = mapped_column(ForeignKey("order_line.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    sponsor_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    redeemed_at: Mapped[datetime]

    voucher: Mapped[Voucher] = relationship()
    person: Mapped[Person] = relationship()
    movements: Mapped[list[VoucherMovement]] = relationship(
        back_populates="redemption", order_by="VoucherMovement.id", lazy="selectin"
    )

    @property
    def amount(self) -> Money:
        """What the code paid of the line."""
        return Money(self.amount_minor, self.currency)

    @property
    def kept(self) -> Money:
        """What of it is still paid: what was not given back."""
        return Money(sum(movement.amount_minor for movement in self.movements), self.currency)


class VoucherMovement(Model):
    """Money of a code going out (positive) or coming back (negative), and the use that came or went with it."""

    __tablename__ = "voucher_movement"
    __table_args__ = (Index("ix_voucher_movement_redemption_id", "redemption_id"),)

    id: Mapped[PrimaryKey]
    redemption_id: Mapped[int] = mapped_column(ForeignKey("voucher_redemption.id"))
    kind: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int]
    uses: Mapped[int] = mapped_column(Integer)
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)

    redemption: Mapped[VoucherRedemption] = relationship(back_populates="movements")


class VoucherEvent(Model):
    """What staff did with a batch or a code: issued, downloaded, ended. Rows are only ever added."""

    __tablename__ = "voucher_event"
    __table_args__ = (Index("ix_voucher_event_batch_id", "batch_id", "id"),)

    id: Mapped[PrimaryKey]
    batch_id: Mapped[int] = mapped_column(ForeignKey("voucher_batch.id"))
    voucher_id: Mapped[int | None] = mapped_column(ForeignKey("voucher.id"))
    kind: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    reason: Mapped[str] = mapped_column(Text, default="")
    occurred_at: Mapped[datetime]

    actor: Mapped[Person | None] = relationship()


constraint("uq_voucher_code_hash", lazy("This code exists already. Choose another word."), Invalid)
constraint("uq_voucher_redemption_order_line_id", lazy("A code has already been used for this order."))
constraint("ck_voucher_uses_within_cap", lazy("This code has been used as often as it may be."), Refused)
constraint("ck_voucher_spent_within_cap", lazy("All the money of this code is used up."), Refused)
constraint(
    "ck_voucher_batch_capped_or_asked_for",
    lazy("Enter a limit, or type the sentence below to say that you want none."),
    Invalid,
)
