"""What happens after a sale, one record for each decision: terms, cancellations, changes of a place."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Enrolment, Order
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import Invalid, constraint
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money


class RefundPolicy(Model):
    """One version of cancellation terms: of a run, of a provider, or (neither given) of the house.

    An order line freezes its id (`policy_id`). What a row says is never changed: new terms are a new row, and hold for
    what is sold from then on. Those of a run or a provider may end, once; then those of the level above hold again.
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
    ended_at: Mapped[datetime | None]
    ended_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    created_by: Mapped[Person | None] = relationship(foreign_keys=[created_by_id])
    ended_by: Mapped[Person | None] = relationship(foreign_keys=[ended_by_id])


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


class EnrolmentChange(Model):
    """A place moves to another run (deferral) or to another person (transfer); states in change_rules.

    The old place ends and the new one begins in the transaction that makes it `done`; until then the old one stands.
    """

    __tablename__ = "enrolment_change"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("key_hash"),
        UniqueConstraint("order_id"),
        Index(
            "uq_enrolment_change_open",
            "enrolment_id",
            unique=True,
            postgresql_where=text("state IN ('offered', 'awaiting_payment')"),
        ),
        Index("ix_enrolment_change_enrolment_id", "enrolment_id"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    # deferral · transfer
    kind: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"))
    new_enrolment_id: Mapped[int | None] = mapped_column(ForeignKey("enrolment.id"))
    to_run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"))
    # Whom a transfer was offered to; emptied when the person is forgotten.
    to_email: Mapped[str | None] = mapped_column(Text)
    key_hash: Mapped[str | None] = mapped_column(Text)
    # The order by which the difference is paid.
    order_id: Mapped[int | None] = mapped_column(ForeignKey("order.id"))
    # Positive: was to be paid; negative: went back.
    difference_minor: Mapped[int] = mapped_column(default=0)
    currency: Mapped[str] = mapped_column(Text)
    requested_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    requested_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    enrolment: Mapped[Enrolment] = relationship(foreign_keys=[enrolment_id])
    to_run: Mapped[CourseRun] = relationship()
    order: Mapped[Order | None] = relationship()

    @property
    def difference(self) -> Money:
        """What is due beyond what was paid; negative when it goes back."""
        return Money(self.difference_minor, self.currency)


constraint("uq_cancellation_enrolment_id", lazy("This place has been cancelled already."))
constraint("ck_refund_policy_withdrawal_days", lazy("The right to withdraw lasts 0, 7 or 14 days."), Invalid)
constraint("uq_enrolment_change_open", lazy("A change of this place is under way already."))
