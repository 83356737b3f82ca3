"""Attempts to pay, what Stripe told us, refunds, the ledger, and what does not add up."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Date, ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from marketplace.accounts.models import Organisation, Person
from marketplace.enrolment.models import Order, RefundDue
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import constraint
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import EXPONENTS, Money


class AttemptState(StrEnum):
    """Where an attempt to pay stands; `ATTEMPT_TRANSITIONS` says what may follow what."""

    CREATED = "created"
    OPEN = "open"
    PROCESSING = "processing"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"


# Money may come after all: a page that expired in our books, or a payment said to have failed, can still turn out paid.
ATTEMPT_TRANSITIONS: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.CREATED: frozenset({AttemptState.OPEN, AttemptState.EXPIRED, AttemptState.FAILED, AttemptState.PAID}),
    AttemptState.OPEN: frozenset(
        {AttemptState.PROCESSING, AttemptState.PAID, AttemptState.FAILED, AttemptState.EXPIRED}
    ),
    AttemptState.PROCESSING: frozenset({AttemptState.PAID, AttemptState.FAILED, AttemptState.EXPIRED}),
    AttemptState.FAILED: frozenset({AttemptState.PAID}),
    AttemptState.EXPIRED: frozenset({AttemptState.PAID}),
    AttemptState.PAID: frozenset(),
}


class Purpose(StrEnum):
    """What money is for: the order itself, or what its learner owes for a subsidy that was not earned."""

    ORDER = "order"
    DEBT = "debt"


LIVE_ATTEMPT = text("state IN ('created', 'open', 'processing')")


class PaymentAttempt(Model):
    """One Checkout Session for one order or for what is owed beside it, or one bank transfer that staff entered.

    The row of a session is there before Stripe is called; its public id is the call's key.
    """

    __tablename__ = "payment_attempt"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("session_id"),
        Index("uq_payment_attempt_live", "order_id", "purpose", unique=True, postgresql_where=LIVE_ATTEMPT),
        Index("ix_payment_attempt_order_id", "order_id"),
        Index("ix_payment_attempt_debt", "order_id", postgresql_where=text("purpose = 'debt'")),
        Index("ix_payment_attempt_unsettled", "created_at", postgresql_where=LIVE_ATTEMPT),
        Index("ix_payment_attempt_payment_intent_id", "payment_intent_id"),
        Index("ix_payment_attempt_paid_at", "paid_at"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    # stripe, or offline: a bank transfer that staff entered.
    method: Mapped[str] = mapped_column(Text, default="stripe")
    purpose: Mapped[str] = mapped_column(Text, default=Purpose.ORDER)
    state: Mapped[str] = mapped_column(Text, default=AttemptState.CREATED)
    session_id: Mapped[str | None] = mapped_column(Text)
    payment_intent_id: Mapped[str | None] = mapped_column(Text)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    url: Mapped[str | None] = mapped_column(Text)
    # When the Checkout Session ends by itself; kept, since a repeated call must send the same.
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    paid_at: Mapped[datetime | None]
    failure_code: Mapped[str | None] = mapped_column(Text)

    order: Mapped[Order] = relationship()

    @validates("state")
    def _follow_the_table(self, _name: str, state: str) -> str:
        if self.state not in {None, state} and state not in ATTEMPT_TRANSITIONS[AttemptState(self.state)]:
            message = f"an attempt to pay does not go from {self.state} to {state}"
            raise ValueError(message)
        return state

    @property
    def amount(self) -> Money:
        """What is asked for."""
        return Money(self.amount_minor, self.currency)


class Refund(Model):
    """Money given back from a paid attempt, asked for once however often the job runs."""

    __tablename__ = "refund"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("refund_due_id"),
        UniqueConstraint("stripe_refund_id"),
        Index("ix_refund_attempt_id", "attempt_id"),
        Index("ix_refund_unsettled", "created_at", postgresql_where=text("state IN ('requested', 'pending')")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("payment_attempt.id"))
    refund_due_id: Mapped[int] = mapped_column(ForeignKey("refund_due.id"))
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    # requested (not sent yet) · pending · succeeded · failed
    state: Mapped[str] = mapped_column(Text, default="requested")
    stripe_refund_id: Mapped[str | None] = mapped_column(Text)
    requested_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    settled_at: Mapped[datetime | None]
    failure_code: Mapped[str | None] = mapped_column(Text)
    # What staff decided about the place beside the money: keep or end; None while nobody has (or nobody need).
    place_decision: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None]
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    attempt: Mapped[PaymentAttempt] = relationship()
    refund_due: Mapped[RefundDue] = relationship()

    @property
    def amount(self) -> Money:
        """What goes back."""
        return Money(self.amount_minor, self.currency)


class StripeEvent(Model):
    """One event as Stripe sent it, stored before anything is done with it."""

    __tablename__ = "stripe_event"
    __table_args__ = (
        UniqueConstraint("event_id"),
        Index("ix_stripe_event_waiting", "id", postgresql_where=text("state IN ('new', 'failed')")),
    )

    id: Mapped[PrimaryKey]
    event_id: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    received_at: Mapped[datetime] = mapped_column(default=clock.now)
    # new · handled · ignored (a type we do not need) · unknown (about nothing of ours)
    state: Mapped[str] = mapped_column(Text, default="new")
    handled_at: Mapped[datetime | None]


class LedgerTransaction(Model):
    """Entries that belong together and sum to zero; `key` names the fact behind them, so it is posted once."""

    __tablename__ = "ledger_transaction"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_ledger_transaction_order_id", "order_id"),
        Index("ix_ledger_transaction_run_id", "run_id"),
        Index("ix_ledger_transaction_occurred_at", "occurred_at", "id"),
    )

    id: Mapped[PrimaryKey]
    key: Mapped[str] = mapped_column(Text)
    # Which rule made the entries: payment, refund, earned, processor_fee …
    kind: Mapped[str] = mapped_column(Text)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("order.id"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("course_run.id"))
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    # What the rule was told beside the amounts: the version of the terms, say.
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)

    entries: Mapped[list[LedgerEntry]] = relationship(back_populates="transaction", order_by="LedgerEntry.id")


class LedgerEntry(Model):
    """An amount on an account: positive is a debit, negative a credit. Never changed, never deleted."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        Index("ix_ledger_entry_transaction_id", "transaction_id"),
        Index("ix_ledger_entry_account", "account", "currency"),
        Index(
            "ix_ledger_entry_owner", "account", "organisation_id", postgresql_where=text("organisation_id IS NOT NULL")
        ),
    )

    id: Mapped[PrimaryKey]
    transaction_id: Mapped[int] = mapped_column(ForeignKey("ledger_transaction.id"))
    account: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    # Whose it is, where the chart says that the account is kept by owner.
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    programme_id: Mapped[int | None] = mapped_column(ForeignKey("funding_programme.id"))

    transaction: Mapped[LedgerTransaction] = relationship(back_populates="entries")

    @property
    def amount(self) -> Money:
        """Positive for a debit, negative for a credit."""
        return Money(self.amount_minor, self.currency)


class LedgerSum(Model):
    """What the entries up to the ledger's mark come to, by account, owner and the days that cut-offs ask for.

    Derived from the entries and added to by `ledger_sums`; both days are of the books' zone.
    """

    __tablename__ = "ledger_sum"
    __table_args__ = (
        UniqueConstraint(
            "account",
            "currency",
            "organisation_id",
            "programme_id",
            "occurred_on",
            "recorded_on",
            name="uq_ledger_sum_of",
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[PrimaryKey]
    account: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    programme_id: Mapped[int | None] = mapped_column(ForeignKey("funding_programme.id"))
    occurred_on: Mapped[date] = mapped_column(Date)
    recorded_on: Mapped[date] = mapped_column(Date)
    amount_minor: Mapped[int]


class LedgerMark(Model):
    """The one row that says up to which entry the sums go, and when the latest of these was recorded."""

    __tablename__ = "ledger_mark"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    entry_id: Mapped[int]
    recorded_until: Mapped[datetime | None]


class RevenueTerms(Model):
    """How a sale is shared from a moment on: with one provider, or (none given) with all that have no own terms.

    Never changed: added to. An order keeps those in force when it was placed.
    """

    __tablename__ = "revenue_terms"
    __table_args__ = (Index("ix_revenue_terms_organisation_id", "organisation_id", "version"),)

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    valid_from: Mapped[datetime]
    # Basis points: 1000 is ten per cent. Tax is inside the price; the fee is of the price without tax.
    platform_fee: Mapped[int] = mapped_column(Integer)
    tax: Mapped[int] = mapped_column(Integer)
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    recorded_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    organisation: Mapped[Organisation | None] = relationship()
    recorded_by: Mapped[Person | None] = relationship()


class Discrepancy(Model):
    """Something reconciliation found and could not repair with certainty; staff resolve it with a note."""

    __tablename__ = "discrepancy"
    __table_args__ = (
        UniqueConstraint("kind", "reference"),
        UniqueConstraint("public_id"),
        Index("ix_discrepancy_open", "id", postgresql_where=text("resolved_at IS NULL")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    kind: Mapped[str] = mapped_column(Text)
    reference: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    found_at: Mapped[datetime] = mapped_column(default=clock.now)
    resolved_at: Mapped[datetime | None]
    resolved_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    note: Mapped[str | None] = mapped_column(Text)

    @property
    def theirs(self) -> Money | None:
        """The amount on Stripe's side, if there is one in a currency of ours."""
        return self._amount("theirs", "currency")

    @property
    def ours(self) -> Money | None:
        """The amount on our side, if there is one."""
        return self._amount("ours", "our_currency")

    def _amount(self, minor: str, currency: str) -> Money | None:
        known = self.details.get(currency) in EXPONENTS and minor in self.details
        return Money(int(self.details[minor]), self.details[currency]) if known else None


constraint("pk_revenue_terms", lazy("Somebody else has just set terms. Please look at them, then try again."))
constraint("uq_payment_attempt_live", lazy("A payment for this order has been started already."))
