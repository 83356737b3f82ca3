"""Files of marks on their way into the registers, and what became of each of their rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.catalog.models import CourseRun
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey


class AttendanceUpload(Model):
    """A CSV file of one run's marks; its content is blanked when every row has been worked through."""

    __tablename__ = "attendance_upload"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index("ix_attendance_upload_run_id", "run_id"),
        Index("ix_attendance_upload_created_at", "created_at"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    file_name: Mapped[str] = mapped_column(Text)
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    rows_in_all: Mapped[int] = mapped_column(Integer)
    rows_done: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    finished_at: Mapped[datetime | None]

    run: Mapped[CourseRun] = relationship()


class AttendanceUploadRow(Model):
    """One row as it was sent, numbered as a spreadsheet does; `refusal` is why not, in both languages, or None."""

    __tablename__ = "attendance_upload_row"

    upload_id: Mapped[int] = mapped_column(ForeignKey("attendance_upload.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    email: Mapped[str] = mapped_column(Text)
    session: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    refusal: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
