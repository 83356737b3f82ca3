"""What figures are placed by, as it was known when. Triggers write these rows, whoever changes a course or a date.

`recorded_at` is the database's own clock, since the database writes them. Nothing is ever changed here.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.foundation.database import Model, PrimaryKey

WHEN_WRITTEN = text("clock_timestamp()")


class CoursePlacement(Model):
    """A course's category and leading provider, from `recorded_at` until the next row of the course."""

    __tablename__ = "course_placement"
    __table_args__ = (Index("ix_course_placement_course_id", "course_id", "id"),)

    id: Mapped[PrimaryKey]
    recorded_at: Mapped[datetime] = mapped_column(server_default=WHEN_WRITTEN)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    category_id: Mapped[int | None] = mapped_column(ForeignKey("category.id"))
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))


class RunDates(Model):
    """A run's start and end, from `recorded_at` until the next row of the run."""

    __tablename__ = "run_dates"
    __table_args__ = (Index("ix_run_dates_run_id", "run_id", "id"),)

    id: Mapped[PrimaryKey]
    recorded_at: Mapped[datetime] = mapped_column(server_default=WHEN_WRITTEN)
    run_id: Mapped[int]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]


class SessionDates(Model):
    """A session's start and end, from `recorded_at` until the next row of the session."""

    __tablename__ = "session_dates"
    __table_args__ = (Index("ix_session_dates_session_id", "session_id", "id"),)

    id: Mapped[PrimaryKey]
    recorded_at: Mapped[datetime] = mapped_column(server_default=WHEN_WRITTEN)
    session_id: Mapped[int]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
