"""The price rules of a run. A row is never rewritten: changing a rule ends it and writes its next version."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Organisation
from marketplace.catalog.models import CourseRun
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import Invalid, Refused, constraint
from marketplace.foundation.i18n import lazy


class PriceRule(Model):
    """A price for some buyers of one run for some time; in force until `ended_at`. Its terms never change.

    Days are days in the run's zone, the last one included. `currency` is the run's when the rule was written: a fixed
    price in another currency than the run's present one does not apply.
    """

    __tablename__ = "price_rule"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("replaces_id"),
        Index("ix_price_rule_in_force", "run_id", "position", postgresql_where=text("ended_at IS NULL")),
        Index("ix_price_rule_run_id", "run_id"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"))
    position: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    price_minor: Mapped[int | None]
    percent_off: Mapped[int | None] = mapped_column(Integer)
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    first_seats: Mapped[int | None] = mapped_column(Integer)
    colleagues_from: Mapped[int | None] = mapped_column(Integer)
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("price_rule.id"))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    ended_at: Mapped[datetime | None]
    ended_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    run: Mapped[CourseRun] = relationship()
    organisation: Mapped[Organisation | None] = relationship()


constraint("ck_price_rule_one_effect", lazy("Enter either a price or a percentage."), Invalid)
constraint("ck_price_rule_days_in_order", lazy("The last day comes before the first one."), Invalid)
constraint("uq_price_rule_replaces_id", lazy("This rule has been changed meanwhile. Please look at it again."), Refused)
