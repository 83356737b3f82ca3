"""Subsidies of order lines: attempts, consents, states with their events and evidence, and batches of claims."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Person
from marketplace.foundation import bank_days, clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import constraint
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.funding import subsidy_rules, subsidy_states
from marketplace.funding.programme_models import FundingProgramme, FundingRule
from marketplace.funding.subsidy_states import State


class SubsidyConsent(Model):
    """A person agreed that the named facts go to a programme's funder, by the text they saw. Never changed."""

    __tablename__ = "subsidy_consent"
    __table_args__ = (Index("ix_subsidy_consent_person_id", "person_id"),)

    id: Mapped[PrimaryKey]
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    programme_id: Mapped[int] = mapped_column(ForeignKey("funding_programme.id"))
    text_version: Mapped[int] = mapped_column(Integer)
    locale: Mapped[str] = mapped_column(Text)
    # The sentence as it stood on the page, and the names of the facts it speaks of.
    text: Mapped[str] = mapped_column(Text)
    facts: Mapped[list[str]] = mapped_column(JSONB)
    given_at: Mapped[datetime]


class SubsidyAttempt(Model):
    """Somebody asked a programme to pay: the version decided by, the facts used and every reason. Never changed.

    Refused attempts are kept as well; `order_line_id` is empty for them, since no line was written.
    """

    __tablename__ = "subsidy_attempt"
    __table_args__ = (
        Index("ix_subsidy_attempt_programme_id", "programme_id", text("id DESC")),
        Index("ix_subsidy_attempt_person_id", "person_id"),
        Index("ix_subsidy_attempt_rule_id", "rule_id"),
    )

    id: Mapped[PrimaryKey]
    programme_id: Mapped[int] = mapped_column(ForeignKey("funding_programme.id"))
    rule_id: Mapped[int | None] = mapped_column(ForeignKey("funding_rule.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    order_line_id: Mapped[int | None] = mapped_column(ForeignKey("order_line.id"))
    outcome: Mapped[str] = mapped_column(Text)
    # The code of the refusal, or an empty text.
    refusal: Mapped[str] = mapped_column(Text, default="")
    price_minor: Mapped[int]
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    buyer: Mapped[dict[str, Any]] = mapped_column(JSONB)
    offer: Mapped[dict[str, Any]] = mapped_column(JSONB)
    reasons: Mapped[list[Any]] = mapped_column(JSONB)
    attempted_at: Mapped[datetime]

    programme: Mapped[FundingProgramme] = relationship()
    rule: Mapped[FundingRule | None] = relationship()
    person: Mapped[Person] = relationship()

    @property
    def price(self) -> Money:
        """The price that a part of was asked for."""
        return Money(self.price_minor, self.currency)


class ClaimBatch(Model):
    """Earned subsidies that are claimed of the funder together, under a number of the programme."""

    __tablename__ = "claim_batch"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("programme_id", "number"),
        Index("ix_claim_batch_pay_by", "pay_by", postgresql_where=text("paid_at IS NULL")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    programme_id: Mapped[int] = mapped_column(ForeignKey("funding_programme.id"))
    number: Mapped[int] = mapped_column(Integer)
    made_at: Mapped[datetime]
    made_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    # The first moment at which the funder is late: a midnight of the programme's zone.
    pay_by: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    bank_reference: Mapped[str] = mapped_column(Text, default="")

    programme: Mapped[FundingProgramme] = relationship()
    subsidies: Mapped[list[Subsidy]] = relationship(back_populates="batch", order_by="Subsidy.id")

    @property
    def paid_on(self) -> date | None:
        """The bank's day of the funder's payment."""
        return None if self.paid_at is None else bank_days.day_of(self.paid_at)

    @property
    def expected_on(self) -> date:
        """The last day on which the funder should have paid, in the programme's zone."""
        return subsidy_rules.last_day_before(self.pay_by, self.programme.zone)


class Subsidy(Model):
    """What a programme pays of one order line, by the version of the rule it was decided by.

    `committed_minor` is its part of the programme's counter; `owed_minor` what the learner owes since it lapsed, was
    rejected or was taken back; `to_return_minor` what came off `amount_minor` after the funder was asked for it, and is
    to be returned once the funder has paid it (`reducing`). Changed by the verbs of this room alone, under the
    programme's lock.
    """

    __tablename__ = "subsidy"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("order_line_id"),
        Index("ix_subsidy_programme_id_state", "programme_id", "state", text("id DESC")),
        Index("ix_subsidy_programme_id", "programme_id", text("id DESC")),
        Index("ix_subsidy_person_id", "person_id", text("id DESC")),
        Index("ix_subsidy_reserved", "id", postgresql_where=text("state = 'reserved'")),
        Index("ix_subsidy_claim_by", "claim_by", postgresql_where=text("state = 'earned'")),
        Index("ix_subsidy_batch_id", "batch_id"),
        Index("ix_subsidy_owed", "id", postgresql_where=text("owed_minor > 0")),
        # The claims page of a programme: what is owed back to its funder.
        Index(
            "ix_subsidy_owed_back",
            "programme_id",
            "id",
            postgresql_where=text("state IN ('clawed_back', 'revoked') OR to_return_minor > 0"),
        ),
        # The claims page of a programme: what is in doubt.
        Index("ix_subsidy_doubted", "programme_id", "id", postgresql_where=text("doubted_at IS NOT NULL")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    programme_id: Mapped[int] = mapped_column(ForeignKey("funding_programme.id"))
    rule_id: Mapped[int] = mapped_column(ForeignKey("funding_rule.id"))
    attempt_id: Mapped[int] = mapped_column(ForeignKey("subsidy_attempt.id"))
    consent_id: Mapped[int] = mapped_column(ForeignKey("subsidy_consent.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    # A line of the room above, which this room knows by its number and these words alone.
    order_line_id: Mapped[int] = mapped_column(ForeignKey("order_line.id"))
    order_number: Mapped[str] = mapped_column(Text)
    title_zh: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int]
    committed_minor: Mapped[int]
    owed_minor: Mapped[int] = mapped_column(default=0)
    to_return_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    currency: Mapped[str] = mapped_column(Text)
    applied_at: Mapped[datetime]
    # The first moments that are too late: midnights of the programme's zone.
    earn_by: Mapped[datetime]
    claim_by: Mapped[datetime | None]
    # Since when what it was earned by does not hold any more (`doubts`).
    doubted_at: Mapped[datetime | None]
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("claim_batch.id"))

    programme: Mapped[FundingProgramme] = relationship()
    rule_version: Mapped[FundingRule] = relationship()
    attempt: Mapped[SubsidyAttempt] = relationship()
    consent: Mapped[SubsidyConsent] = relationship()
    person: Mapped[Person] = relationship()
    batch: Mapped[ClaimBatch | None] = relationship(back_populates="subsidies")
    events: Mapped[list[SubsidyEvent]] = relationship(back_populates="subsidy", order_by="SubsidyEvent.id")
    files: Mapped[list[SubsidyFile]] = relationship(back_populates="subsidy", order_by="SubsidyFile.id")

    @property
    def amount(self) -> Money:
        """What the programme pays of the line."""
        return Money(self.amount_minor, self.currency)

    @property
    def promised(self) -> Money:
        """What was promised with the order, before anything came off."""
        return Money(self.attempt.amount_minor, self.currency)

    @property
    def asked(self) -> Money:
        """What a claim asked the funder for: what came off since is in it, until the funder has answered."""
        return Money(self.amount_minor + (self.to_return_minor if self.state == State.CLAIMED else 0), self.currency)

    @property
    def owed_back(self) -> Money:
        """What the funder paid and gets back: all that was clawed back, or what came off later."""
        whole = self.amount_minor if self.state in subsidy_states.OWED_BACK else 0
        part = 0 if self.state == State.CLAIMED else self.to_return_minor
        return Money(whole + part, self.currency)

    @property
    def is_doubted(self) -> bool:
        """Whether it is paid, or to be paid, for what does not meet its conditions by now."""
        return self.doubted_at is not None and self.state in subsidy_states.RESTS_ON_EVIDENCE

    @property
    def last_day(self) -> date | None:
        """The last day of the deadline it has in its present state, in the programme's zone."""
        deadline = {State.APPLIED: self.earn_by, State.RESERVED: self.earn_by, State.EARNED: self.claim_by}.get(
            State(self.state)
        )
        return None if deadline is None else subsidy_rules.last_day_before(deadline, self.programme.zone)

    @property
    def owed(self) -> Money:
        """What the learner owes of it."""
        return Money(self.owed_minor, self.currency)


class SubsidyEvent(Model):
    """One step of a subsidy, or a note beside it; the database refuses to change or delete a row.

    The books pick it up: `amount_minor` is the subsidy's amount, `owed_minor` and `borne_minor` are what this step adds
    to (or, if negative, takes from) what the learner owes and what nobody pays of a place that stays: the programme
    bears what lapsed or was rejected, the marketplace what the funder took back. `part_minor` is the part that a step
    is about beside the amount: what came off it, was paid beyond it, or was returned of what came off.
    """

    __tablename__ = "subsidy_event"
    __table_args__ = (Index("ix_subsidy_event_subsidy_id", "subsidy_id"),)

    id: Mapped[PrimaryKey]
    subsidy_id: Mapped[int] = mapped_column(ForeignKey("subsidy.id"))
    act: Mapped[str] = mapped_column(Text)
    from_state: Mapped[str | None] = mapped_column(Text)
    to_state: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    amount_minor: Mapped[int]
    owed_minor: Mapped[int] = mapped_column(default=0)
    borne_minor: Mapped[int] = mapped_column(default=0)
    part_minor: Mapped[int] = mapped_column(default=0, server_default="0")
    deadline: Mapped[datetime | None]
    evidence: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)

    subsidy: Mapped[Subsidy] = relationship(back_populates="events")
    actor: Mapped[Person | None] = relationship()


class SubsidyFile(Model):
    """A document that proves something about a subsidy; kept as it came, handed out as an attachment. Never changed."""

    __tablename__ = "subsidy_file"
    __table_args__ = (UniqueConstraint("public_id"), Index("ix_subsidy_file_subsidy_id", "subsidy_id"))

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    subsidy_id: Mapped[int] = mapped_column(ForeignKey("subsidy.id"))
    file_name: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    added_at: Mapped[datetime]
    added_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    subsidy: Mapped[Subsidy] = relationship(back_populates="files")


constraint("uq_subsidy_order_line_id", lazy("This seat is subsidised already."))
