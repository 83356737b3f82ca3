"""What the writing of courses leaves behind: who changed what, and who was asked to teach together."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Organisation, Person
from marketplace.catalog.models import Course, CourseRun
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import constraint
from marketplace.foundation.i18n import lazy


class CourseEvent(Model):
    """What happened to a course or one of its runs, by whose hand; the database refuses to change or delete a row.

    `details` holds {"changed": {column: [before, after]}} for changes of texts and numbers, and a note where one was
    written. A raised capacity ("capacity_changed") is the fact that a waiting list picks up, in the order of ids.
    """

    __tablename__ = "course_event"
    __table_args__ = (
        Index("ix_course_event_course_id", "course_id", "id"),
        Index("ix_course_event_kind", "kind", "id"),
    )

    id: Mapped[PrimaryKey]
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("course_run.id"))
    kind: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    occurred_at: Mapped[datetime] = mapped_column(default=clock.now)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)

    actor: Mapped[Person | None] = relationship()
    run: Mapped[CourseRun | None] = relationship()


class ProviderInvitation(Model):
    """An organisation is asked to provide a course too; it is named on the course only once it has accepted."""

    __tablename__ = "provider_invitation"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index(
            "uq_provider_invitation_open",
            "course_id",
            "organisation_id",
            unique=True,
            postgresql_where=text("answered_at IS NULL"),
        ),
        Index(
            "ix_provider_invitation_organisation_id", "organisation_id", postgresql_where=text("answered_at IS NULL")
        ),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    duties_zh: Mapped[str] = mapped_column(Text, default="")
    duties_en: Mapped[str] = mapped_column(Text, default="")
    invited_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    invited_at: Mapped[datetime]
    answered_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    answered_at: Mapped[datetime | None]
    # accepted, declined, or withdrawn by those who asked.
    answer: Mapped[str | None] = mapped_column(Text)

    course: Mapped[Course] = relationship()
    organisation: Mapped[Organisation] = relationship()


constraint("uq_provider_invitation_open", lazy("This organisation has been asked already and has not answered yet."))
constraint("pk_course_provider", lazy("This organisation provides the course already."))
