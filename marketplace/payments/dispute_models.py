"""Disputes: a cardholder's bank takes a payment back until it has decided."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.money import Money
from marketplace.payments.models import PaymentAttempt


class Dispute(Model):
    """One dispute of one payment, as Stripe has it; what becomes of the place is staff's decision.

    To suspend it is to let the bank decide: `place_decision` turns into keep or end when the dispute is closed.
    """

    __tablename__ = "dispute"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("stripe_dispute_id"),
        Index("ix_dispute_attempt_id", "attempt_id"),
        # disputes.undecided, counted on every page of the desk.
        Index("ix_dispute_undecided", "id", postgresql_where=text("place_decision IS NULL")),
        Index("ix_dispute_open", "id", postgresql_where=text("state IN ('inquiry', 'open')")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    stripe_dispute_id: Mapped[str] = mapped_column(Text)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("payment_attempt.id"))
    # inquiry · open · won · lost (dispute_rules)
    state: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    # What Stripe keeps for the dispute itself, in the same currency.
    fee_minor: Mapped[int] = mapped_column(default=0)
    # Stripe's word for what the cardholder says.
    reason: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime]
    evidence_due_by: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    # keep · suspend · end; None while nobody has decided.
    place_decision: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None]
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    attempt: Mapped[PaymentAttempt] = relationship()

    @property
    def amount(self) -> Money:
        """What is disputed."""
        return Money(self.amount_minor, self.currency)
