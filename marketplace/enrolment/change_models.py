"""What happens after a sale, one record for each decision: terms, cancellations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import Invalid, constraint
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money


class RefundPolicy(Model):
    """One version of cancellation terms: of a run, of a provider, or (neither given) of the house.

    An order line freezes its id (`policy_id`). Rows are never changed: new terms are a new row, and hold for what is
    sold from then on.
    """

    __tablename__ = "refund_policy"
    __table_args__ = (
        Index("ix_refund_policy_run_id", "run_id", "id"),
        Index("ix_refund_policy_organisation_id", "organisation_id", "id"),
    )

    id: Mapped[PrimaryKey]
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("course_run.id"))
    # [{"days_before": 14, "kept_percent": 0}, …], the earliest deadline first.
    tiers: Mapped[list[dict[str, int]]] = mapped_column(JSONB)
    # The statutory right to withdraw, in days after the sale: 0, 7 or 14 as the seller's law has it.
    withdrawal_days: Mapped[int] = mapped_column(Integer)
    # Until how many days before the start a learner may move to another run.
    deferral_days: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))


class Cancellation(Model):
    """A place was given up by decision: on which ground, under which terms, what was kept and what went back.

    What goes back to whom are RefundDue rows; the end of the enrolment stands in its own row. Never changed.
    """

    __tablename__ = "cancellation"
    __table_args__ = (UniqueConstraint("public_id"), UniqueConstraint("enrolment_id"))

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"))
    # withdrawal · policy · provider
    ground: Mapped[str] = mapped_column(Text)
    policy_id: Mapped[int] = mapped_column(ForeignKey("refund_policy.id"))
    paid_minor: Mapped[int]
    kept_minor: Mapped[int]
    returned_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, default="")
    # What the decision rested on: kept per cent, deadline, shares by payer.
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    decided_at: Mapped[datetime]
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    enrolment: Mapped[Enrolment] = relationship()

    @property
    def kept(self) -> Money:
        """What the provider keeps."""
        return Money(self.kept_minor, self.currency)

    @property
    def returned(self) -> Money:
        """What goes back, to all payers."""
        return Money(self.returned_minor, self.currency)


constraint("uq_cancellation_enrolment_id", lazy("This place has been cancelled already."))
constraint("ck_refund_policy_withdrawal_days", lazy("The right to withdraw lasts 0, 7 or 14 days."), Invalid)
