"""What Stripe's side of the books says: its balance transactions, its payouts, and how far we have read them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Index, Numeric, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.foundation import clock
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.money import Money


class MatchState(StrEnum):
    """How a balance transaction stands to our facts."""

    NEW = "new"
    MATCHED = "matched"
    DIFFERS = "differs"
    MISSING_HERE = "missing_here"
    UNKNOWN = "unknown"


UNMATCHED_STATES = text("state <> 'matched'")


class StripeTransaction(Model):
    """One movement of our balance at Stripe, as Stripe has it; `matched_to` is the key of the fact of ours."""

    __tablename__ = "stripe_balance_transaction"
    __table_args__ = (
        UniqueConstraint("transaction_id"),
        Index("ix_stripe_balance_transaction_unmatched", "id", postgresql_where=UNMATCHED_STATES),
        Index("ix_stripe_balance_transaction_payment_intent_id", "payment_intent_id"),
        Index("ix_stripe_balance_transaction_source_id", "source_id"),
        Index("ix_stripe_balance_transaction_happened_at", "happened_at", "id"),
    )

    id: Mapped[PrimaryKey]
    transaction_id: Mapped[str] = mapped_column(Text)
    # Stripe's: charge, refund, adjustment, payout, stripe_fee …
    type: Mapped[str] = mapped_column(Text)
    # Positive into our balance; the fee is taken from it besides.
    amount_minor: Mapped[int]
    fee_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric)
    source_id: Mapped[str | None] = mapped_column(Text)
    payment_intent_id: Mapped[str | None] = mapped_column(Text)
    happened_at: Mapped[datetime]
    fetched_at: Mapped[datetime] = mapped_column(default=clock.now)
    state: Mapped[str] = mapped_column(Text, default=MatchState.NEW)
    matched_to: Mapped[str | None] = mapped_column(Text)

    @property
    def amount(self) -> Money:
        """What it moved, before the fee; raises MoneyError for a currency that is not in our table."""
        return Money(self.amount_minor, self.currency)

    @property
    def fee(self) -> Money:
        """What Stripe kept of it."""
        return Money(self.fee_minor, self.currency)


class StripePayout(Model):
    """Money that Stripe sends to our bank: pending · in_transit · paid · failed · canceled."""

    __tablename__ = "stripe_payout"
    __table_args__ = (UniqueConstraint("payout_id"), Index("ix_stripe_payout_created_at", "created_at", "id"))

    id: Mapped[PrimaryKey]
    payout_id: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    arrives_at: Mapped[datetime]
    failure_code: Mapped[str | None] = mapped_column(Text)
    fetched_at: Mapped[datetime] = mapped_column(default=clock.now)

    @property
    def amount(self) -> Money:
        """What is sent."""
        return Money(self.amount_minor, self.currency)


class StripeFeed(Model):
    """How far a list of Stripe's is read: all until `complete_until`; `after` continues a window that was begun.

    Stripe lists the newest first, so a window that breaks off leaves a gap: it is finished before a new one begins.
    """

    __tablename__ = "stripe_feed"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    complete_until: Mapped[datetime | None]
    window_end: Mapped[datetime | None]
    after: Mapped[str | None] = mapped_column(Text)
