"""Requests to be forgotten, and copies of one's data."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Person
from marketplace.foundation import ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import constraint
from marketplace.foundation.i18n import lazy


class Ground(StrEnum):
    """Who wants it: the person on their page, the person by letter, or an authority."""

    SELF = "self"
    LETTER = "letter"
    AUTHORITY = "authority"


class Erasure(Model):
    """A person is to be forgotten at `due_at`, unless they keep their account before."""

    __tablename__ = "erasure"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index(
            "uq_erasure_open",
            "person_id",
            unique=True,
            postgresql_where=text("done_at IS NULL AND cancelled_at IS NULL"),
        ),
        Index("ix_erasure_due_at", "due_at", postgresql_where=text("done_at IS NULL AND cancelled_at IS NULL")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    ground: Mapped[str] = mapped_column(Text)
    asked_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    asked_at: Mapped[datetime]
    due_at: Mapped[datetime]
    cancelled_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]

    person: Mapped[Person] = relationship(foreign_keys=[person_id])
    asked_by: Mapped[Person | None] = relationship(foreign_keys=[asked_by_id])


class DataCopy(Model):
    """A copy of everything known of a person, made by a job, there to be fetched until `expires_at`."""

    __tablename__ = "data_copy"
    __table_args__ = (UniqueConstraint("public_id"), Index("ix_data_copy_person_id", "person_id"))

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    asked_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)

    person: Mapped[Person] = relationship()


constraint("uq_erasure_open", lazy("This account is to be deleted already."))
