"""Attendance, assessments and completions: facts that are added to and never changed; the latest one speaks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Person
from marketplace.catalog.models import Session
from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import constraint
from marketplace.foundation.i18n import lazy


class Attendance(Model):
    """One mark in a register: present, absent or excused, by whom and from what source. A correction is a new row."""

    __tablename__ = "attendance"
    __table_args__ = (
        Index("ix_attendance_latest", "enrolment_id", "session_id", text("recorded_at DESC"), text("id DESC")),
        Index("ix_attendance_session_id", "session_id"),
    )

    id: Mapped[PrimaryKey]
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"))
    session_id: Mapped[int] = mapped_column(ForeignKey("run_session.id"))
    status: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text, default="register")
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    recorded_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    reason: Mapped[str] = mapped_column(Text, default="")

    enrolment: Mapped[Enrolment] = relationship()
    session: Mapped[Session] = relationship()
    recorded_by: Mapped[Person | None] = relationship()


class Assessment(Model):
    """Whether a person passed the run's assessment; a second attempt or a correction is a new row."""

    __tablename__ = "assessment"
    __table_args__ = (Index("ix_assessment_latest", "enrolment_id", text("recorded_at DESC"), text("id DESC")),)

    id: Mapped[PrimaryKey]
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"))
    passed: Mapped[bool]
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    recorded_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    enrolment: Mapped[Enrolment] = relationship()


class Completion(Model):
    """The run's rule was satisfied at a time, by this evidence and this version of the rule. Written once."""

    __tablename__ = "completion"
    __table_args__ = (
        UniqueConstraint("enrolment_id"),
        Index("ix_completion_completed_at", "completed_at"),
    )

    id: Mapped[PrimaryKey]
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"))
    completed_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)
    rule_version: Mapped[int] = mapped_column(Integer)
    evidence: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)

    enrolment: Mapped[Enrolment] = relationship()


constraint("uq_completion_enrolment_id", lazy("This completion is recorded already."))
constraint(
    "fk_attendance_session_id",
    lazy("Attendance was taken in this session, so it stays. Change its time or place instead."),
)
