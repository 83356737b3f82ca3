"""Holds on seats, orders with their frozen lines, and enrolments with what they rest on."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import FetchedValue, ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseRun
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import constraint
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money


class OrderState(StrEnum):
    """Where an order stands; the last three are final, and a paid order found expired is settled by rules.settle."""

    AWAITING_PAYMENT = "awaiting_payment"
    PAYMENT_PENDING = "payment_pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


# What may follow what. An expired order is confirmed when its money comes late and a seat is left; a confirmed one is
# cancelled when its buyer gives the place up.
ORDER_TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    OrderState.AWAITING_PAYMENT: frozenset(
        {OrderState.PAYMENT_PENDING, OrderState.CONFIRMED, OrderState.CANCELLED, OrderState.EXPIRED}
    ),
    OrderState.PAYMENT_PENDING: frozenset(
        {OrderState.AWAITING_PAYMENT, OrderState.CONFIRMED, OrderState.CANCELLED, OrderState.EXPIRED}
    ),
    OrderState.EXPIRED: frozenset({OrderState.CONFIRMED}),
    OrderState.CONFIRMED: frozenset({OrderState.CANCELLED}),
    OrderState.CANCELLED: frozenset(),
}


class HoldEnd(StrEnum):
    """Why a hold ended."""

    TAKEN = "taken"
    EXPIRED = "expired"
    RELEASED = "released"


class SeatHold(Model):
    """One seat kept for one person until `until`; it counts in the run's seats_taken until it is ended."""

    __tablename__ = "seat_hold"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index("uq_seat_hold_live", "run_id", "person_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("ix_seat_hold_until", "until", postgresql_where=text("ended_at IS NULL")),
        Index("ix_seat_hold_run_id_until", "run_id", "until", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    until: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    extended_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None] = mapped_column(Text)
    # The pool its seat is of; None for a public seat.
    pool_id: Mapped[int | None] = mapped_column(ForeignKey("seat_pool.id"))

    run: Mapped[CourseRun] = relationship()

    def is_live(self, now: datetime) -> bool:
        """Whether it still keeps its seat: not ended, and not past its time though nobody swept it yet."""
        return self.ended_at is None and now < self.until


class Order(Model):
    """What a person has asked for and agreed to pay; amounts are frozen in its lines when it is placed."""

    __tablename__ = "order"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("person_id", "request_key"),
        Index("ix_order_person_id_placed_at", "person_id", text("placed_at DESC")),
        Index("ix_order_open", "expires_at", postgresql_where=text("state IN ('awaiting_payment', 'payment_pending')")),
        Index("ix_order_confirmed_at", "confirmed_at", postgresql_where=text("total_minor > 0")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    state: Mapped[str] = mapped_column(Text)
    hold_id: Mapped[int | None] = mapped_column(ForeignKey("seat_hold.id"))
    locale: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    total_minor: Mapped[int]
    placed_at: Mapped[datetime]
    # The end of its hold; None for an order that owed nothing.
    expires_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    # Drawn when the form was shown, the person's own: a double click or a replay finds the order it made.
    request_key: Mapped[str] = mapped_column(Text)

    person: Mapped[Person] = relationship()
    hold: Mapped[SeatHold | None] = relationship()
    lines: Mapped[list[OrderLine]] = relationship(back_populates="order", order_by="OrderLine.id")
    events: Mapped[list[OrderEvent]] = relationship(back_populates="order", order_by="OrderEvent.id")

    @validates("state")
    def _follow_the_table(self, _name: str, state: str) -> str:
        if self.state and state not in {self.state, *ORDER_TRANSITIONS[OrderState(self.state)]}:
            message = f"an order does not go from {self.state} to {state}"
            raise ValueError(message)
        return state

    @property
    def total(self) -> Money:
        """What is due in all."""
        return Money(self.total_minor, self.currency)

    @property
    def is_open(self) -> bool:
        """Whether it still waits for money."""
        return self.state in {OrderState.AWAITING_PAYMENT, OrderState.PAYMENT_PENDING}


class OrderLine(Model):
    """One seat of an order as it was sold: price = subsidy + voucher + due, with the tax inside the price.

    Never changed. The database freezes the terms by which the sale is shared, those of the leading provider when the
    order was placed, and the tax by them (migration 0052).
    """

    __tablename__ = "order_line"
    __table_args__ = (Index("ix_order_line_order_id", "order_id"), Index("ix_order_line_run_id", "run_id"))

    id: Mapped[PrimaryKey]
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"))
    price_minor: Mapped[int]
    tax_minor: Mapped[int] = mapped_column(server_default=FetchedValue())
    revenue_terms_version: Mapped[int] = mapped_column(
        ForeignKey("revenue_terms.version"), server_default=FetchedValue()
    )
    subsidy_minor: Mapped[int] = mapped_column(default=0)
    voucher_minor: Mapped[int] = mapped_column(default=0)
    due_minor: Mapped[int]
    terms_version: Mapped[int] = mapped_column(Integer, default=1)
    # The version of the cancellation terms it was sold under; 1 are the house's own.
    policy_id: Mapped[int] = mapped_column(ForeignKey("refund_policy.id"), default=1)
    title_zh: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text)
    price_rule: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)

    order: Mapped[Order] = relationship(back_populates="lines")
    run: Mapped[CourseRun] = relationship()


class OrderEvent(Model):
    """What happened to an order, when and by whom; the database refuses to change or delete a row."""

    __tablename__ = "order_event"
    __table_args__ = (Index("ix_order_event_order_id", "order_id"),)

    id: Mapped[PrimaryKey]
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    kind: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)

    order: Mapped[Order] = relationship(back_populates="events")


class Enrolment(Model):
    """A person's place in a run, from `enrolled_at` until `ended_at`; it counts in the run's seats_taken meanwhile."""

    __tablename__ = "enrolment"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index("uq_enrolment_active", "run_id", "person_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("ix_enrolment_person_id", "person_id"),
        Index("ix_enrolment_enrolled_at", "enrolled_at"),
        Index("ix_enrolment_resumed_at", "resumed_at", postgresql_where=text("resumed_at IS NOT NULL")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    enrolled_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    # cancelled · refunded · deferred · transferred; and by whom.
    end_reason: Mapped[str | None] = mapped_column(Text)
    ended_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    # While a bank decides about its payment, if staff say so; the seat stays taken.
    suspended_at: Mapped[datetime | None]
    # When that was last lifted: what was not recorded meanwhile is recorded then.
    resumed_at: Mapped[datetime | None]
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    # The pool its seat is of, as its hold had it.
    pool_id: Mapped[int | None] = mapped_column(ForeignKey("seat_pool.id"))

    run: Mapped[CourseRun] = relationship()
    person: Mapped[Person] = relationship(foreign_keys=[person_id])

    @property
    def is_suspended(self) -> bool:
        """Whether it stands but lets its person neither complete nor change anything."""
        return self.suspended_at is not None

    sources: Mapped[list[EnrolmentSource]] = relationship(back_populates="enrolment")


class EnrolmentSource(Model):
    """What an enrolment rests on: an order line, until it is revoked. A line grants one place at a time."""

    __tablename__ = "enrolment_source"
    __table_args__ = (
        Index("uq_enrolment_source_live", "order_line_id", unique=True, postgresql_where=text("revoked_at IS NULL")),
        Index("ix_enrolment_source_order_line_id", "order_line_id"),
        Index("ix_enrolment_source_enrolment_id", "enrolment_id"),
    )

    id: Mapped[PrimaryKey]
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"))
    order_line_id: Mapped[int] = mapped_column(ForeignKey("order_line.id"))
    granted_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    enrolment: Mapped[Enrolment] = relationship(back_populates="sources")
    order_line: Mapped[OrderLine] = relationship()


class RefundDue(Model):
    """Money that must go back to one payer: a fact left for the rooms that send it, which pick it up after the commit.

    Every refund has its fact, whoever asked for it, so these rows say what of an order has gone back.
    """

    __tablename__ = "refund_due"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_refund_due_waiting", "id", postgresql_where=text("picked_up_at IS NULL")),
        Index("ix_refund_due_order_id", "order_id"),
        # external_refunds.undecided in payments, counted on every page of the desk.
        Index("ix_refund_due_outside", "id", postgresql_where=text("source = 'stripe_dashboard'")),
        Index("ix_refund_due_attempt_public_id", "attempt_public_id"),
    )

    id: Mapped[PrimaryKey]
    # The decision behind it, with order and payer: the same decision leaves its fact once.
    key: Mapped[str] = mapped_column(Text)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    # learner · funder · voucher
    payer: Mapped[str] = mapped_column(Text, default="learner")
    # The payment it goes back to; None for a funder's or a voucher's share.
    attempt_public_id: Mapped[str | None] = mapped_column(Text)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    # marketplace · stripe_dashboard · dispute
    source: Mapped[str] = mapped_column(Text, default="marketplace")
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    picked_up_at: Mapped[datetime | None]
    # When its refund failed for good: the amount is left to give back again.
    voided_at: Mapped[datetime | None]

    order: Mapped[Order] = relationship()


constraint("uq_seat_hold_live", lazy("A seat is already being held for you in this run."))
constraint("uq_enrolment_active", lazy("You are already enrolled in this run."))
constraint("uq_order_person_id_request_key", lazy("This order has been placed already."))
