"""Funding programmes: their budget of deposits, the versions of their rule, and what was done to them by whom."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from typing import Any

from sqlalchemy import Date, ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Organisation, Person
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import Invalid, Refused, constraint
from marketplace.foundation.i18n import DEFAULT_ZONE, lazy
from marketplace.foundation.money import Money
from marketplace.funding import kept_rules
from marketplace.funding.subsidy_rules import Frame, Rule


class FundingProgramme(Model):
    """A budget with rules and a period, of which a funder pays a part of a line: a second payer.

    `deposited_minor` is the sum of its deposits, `committed_minor` what is promised, paid or borne; the database keeps
    0 ≤ committed ≤ deposited. Whoever changes either locks the row, last of all locks but the ledger's.
    """

    __tablename__ = "funding_programme"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index("ix_funding_programme_applications_until", "applications_until"),
        Index("ix_funding_programme_funder_id", "funder_id"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    name_zh: Mapped[str] = mapped_column(Text, default="")
    name_en: Mapped[str] = mapped_column(Text, default="")
    terms_zh: Mapped[str] = mapped_column(Text, default="")
    terms_en: Mapped[str] = mapped_column(Text, default="")
    # A funder with an account here, or one known by its name alone.
    funder_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    funder_zh: Mapped[str] = mapped_column(Text, default="")
    funder_en: Mapped[str] = mapped_column(Text, default="")
    currency: Mapped[str] = mapped_column(Text, default="CNY")
    zone: Mapped[str] = mapped_column(Text, default=DEFAULT_ZONE)
    # Days of the zone, both included.
    applications_from: Mapped[date] = mapped_column(Date)
    applications_until: Mapped[date] = mapped_column(Date)
    runs_from: Mapped[date | None] = mapped_column(Date)
    runs_until: Mapped[date | None] = mapped_column(Date)
    deposited_minor: Mapped[int] = mapped_column(default=0)
    committed_minor: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    # Ended by hand before its period: nothing new is promised, what is promised is kept.
    closed_at: Mapped[datetime | None]

    funder: Mapped[Organisation | None] = relationship()
    deposits: Mapped[list[FundingDeposit]] = relationship(
        back_populates="programme", order_by="FundingDeposit.id.desc()"
    )
    rules: Mapped[list[FundingRule]] = relationship(back_populates="programme", order_by="FundingRule.version.desc()")

    @property
    def deposited(self) -> Money:
        """What the funder has put in."""
        return Money(self.deposited_minor, self.currency)

    @property
    def committed(self) -> Money:
        """What is promised, paid or borne."""
        return Money(self.committed_minor, self.currency)

    @property
    def left(self) -> Money:
        """What can still be promised."""
        return self.deposited - self.committed

    @property
    def frame(self) -> Frame:
        """Its currency and days, for the rules."""
        return Frame(
            self.currency, self.zone, self.applications_from, self.applications_until, self.runs_from, self.runs_until
        )


class FundingDeposit(Model):
    """Money that a funder put in (or took back, if negative), with the reference it can be found by. Never changed."""

    __tablename__ = "funding_deposit"
    __table_args__ = (UniqueConstraint("programme_id", "reference"),)

    id: Mapped[PrimaryKey]
    programme_id: Mapped[int] = mapped_column(ForeignKey("funding_programme.id"))
    amount_minor: Mapped[int]
    # The bank's or the grant letter's.
    reference: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text, default="")
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    recorded_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    programme: Mapped[FundingProgramme] = relationship(back_populates="deposits")
    recorded_by: Mapped[Person | None] = relationship()

    @property
    def amount(self) -> Money:
        """What came in, or went back."""
        return Money(self.amount_minor, self.programme.currency)


class FundingRule(Model):
    """One version of a programme's rule: a draft until it is published, then refused every change by the database."""

    __tablename__ = "funding_rule"
    __table_args__ = (
        UniqueConstraint("programme_id", "version"),
        Index("uq_funding_rule_draft", "programme_id", unique=True, postgresql_where=text("published_at IS NULL")),
    )

    id: Mapped[PrimaryKey]
    programme_id: Mapped[int] = mapped_column(ForeignKey("funding_programme.id"))
    version: Mapped[int] = mapped_column(Integer)
    # subsidy_rules.Rule as JSON.
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    published_at: Mapped[datetime | None]
    published_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    programme: Mapped[FundingProgramme] = relationship(back_populates="rules")

    @property
    def rule(self) -> Rule:
        """What it says."""
        return kept_rules.from_json(self.content)

    @property
    def mark(self) -> str:
        """Another one for other words: by it a page tells which draft its reader saw."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()[:16]


class ProgrammeEvent(Model):
    """What staff did to a programme; the database refuses to change or delete a row."""

    __tablename__ = "programme_event"
    __table_args__ = (Index("ix_programme_event_programme_id", "programme_id"),)

    id: Mapped[PrimaryKey]
    programme_id: Mapped[int] = mapped_column(ForeignKey("funding_programme.id"))
    kind: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[datetime]
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)

    programme: Mapped[FundingProgramme] = relationship()
    actor: Mapped[Person | None] = relationship()


constraint(
    "ck_funding_programme_within_budget",
    lazy("The budget of this programme does not cover this any more."),
    Refused,
)
constraint(
    "ck_funding_programme_days_in_order", lazy("A period ends on the day it begins, or on a later one."), Invalid
)
constraint("ck_funding_programme_has_name", lazy("A programme needs a name in Chinese or English."), Invalid)
constraint("ck_funding_programme_has_funder", lazy("Say who the funder is."), Invalid)
constraint("ck_funding_deposit_is_not_nothing", lazy("A deposit of nothing is none."), Invalid)
constraint(
    "uq_funding_deposit_programme_id_reference", lazy("A deposit with this reference is recorded already."), Refused
)
constraint("uq_funding_rule_draft", lazy("There is a draft of the next version already."), Refused)
