"""Runs that are changed under the people in them: the change, each person's answer, and minimums to decide about."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Enrolment
from marketplace.enrolment.run_change_rules import TRANSITIONS, AnswerState
from marketplace.foundation import ids
from marketplace.foundation.database import Model, PrimaryKey

# The reason of a change that was decided because too few people are in the run.
MINIMUM = "minimum"


class RunChange(Model):
    """A run is cancelled, moved or merged by its provider: everyone in it is told, chooses, and is settled by a job."""

    __tablename__ = "run_change"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index("ix_run_change_run_id", "run_id"),
        Index("ix_run_change_unfinished", "answer_by", postgresql_where=text("finished_at IS NULL")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"))
    # cancelled · moved · merged
    kind: Mapped[str] = mapped_column(Text)
    # The run that people are merged into.
    target_run_id: Mapped[int | None] = mapped_column(ForeignKey("course_run.id"))
    reason: Mapped[str] = mapped_column(Text)
    # What happens to those who do not answer by then: refund · stay · move.
    default_choice: Mapped[str] = mapped_column(Text)
    answer_by: Mapped[datetime]
    # Dates and place before and after, for those who are told.
    before: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    decided_at: Mapped[datetime]
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    people_in_all: Mapped[int] = mapped_column(Integer)
    people_told: Mapped[int] = mapped_column(Integer, default=0)
    people_settled: Mapped[int] = mapped_column(Integer, default=0)
    finished_at: Mapped[datetime | None]

    run: Mapped[CourseRun] = relationship(foreign_keys=[run_id])
    target_run: Mapped[CourseRun | None] = relationship(foreign_keys=[target_run_id])

    @property
    def is_for_minimum(self) -> bool:
        """Whether nobody wrote a reason, since too few people are in the run: pages say it in the reader's words."""
        return self.reason == MINIMUM


class RunChangeAnswer(Model):
    """One person in a changed run: what they chose, and what became of it."""

    __tablename__ = "run_change_answer"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("run_change_id", "enrolment_id"),
        Index("ix_run_change_answer_enrolment_id", "enrolment_id"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    run_change_id: Mapped[int] = mapped_column(ForeignKey("run_change.id"))
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"))
    # waiting · told · settled · failed
    state: Mapped[str] = mapped_column(Text, default="waiting")
    # refund · stay · move; None while the person has not answered.
    choice: Mapped[str | None] = mapped_column(Text)
    chosen_at: Mapped[datetime | None]
    target_run_id: Mapped[int | None] = mapped_column(ForeignKey("course_run.id"))
    # Why it failed: the code of the refusal.
    problem: Mapped[str | None] = mapped_column(Text)
    settled_at: Mapped[datetime | None]

    run_change: Mapped[RunChange] = relationship()
    enrolment: Mapped[Enrolment] = relationship()

    @validates("state")
    def _follow_the_table(self, _name: str, state: str) -> str:
        if self.state and state not in TRANSITIONS[AnswerState(self.state)]:
            message = f"an answer to a changed run does not go from {self.state} to {state}"
            raise ValueError(message)
        return state


class RunMinimum(Model):
    """A run takes place only with so many people; its provider decides by a date: confirm, merge or cancel."""

    __tablename__ = "run_minimum"
    __table_args__ = (Index("ix_run_minimum_open", "decide_by", postgresql_where=text("decided_at IS NULL")),)

    run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"), primary_key=True)
    minimum: Mapped[int] = mapped_column(Integer)
    decide_by: Mapped[datetime]
    reminded_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    # confirmed · merged · cancelled
    decision: Mapped[str | None] = mapped_column(Text)
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    run: Mapped[CourseRun] = relationship()
