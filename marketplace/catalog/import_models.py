"""Catalogues of others that were taken in, and what became of each row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Integer, LargeBinary, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey


class CatalogueImport(Model):
    """A file of somebody's catalogue, taken in by a job; the same file sent again changes nothing."""

    __tablename__ = "catalogue_import"
    __table_args__ = (UniqueConstraint("public_id"),)

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    mapping: Mapped[str] = mapped_column(Text)
    file_name: Mapped[str] = mapped_column(Text)
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    # A Plan of mapping_rules for a table somebody maps; empty until they have, None for the known catalogues.
    columns: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    is_dry_run: Mapped[bool]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    rows_in_all: Mapped[int] = mapped_column(Integer)
    rows_done: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    finished_at: Mapped[datetime | None]


class ImportedRow(Model):
    """What became of one row of a file: outcome accepted, changed, unchanged or refused; notes say why."""

    __tablename__ = "imported_row"

    import_id: Mapped[int] = mapped_column(ForeignKey("catalogue_import.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    # [code, values] of import_rules.Note, so that each reader sees the sentence in their language.
    notes: Mapped[list[Any]] = mapped_column(JSONB, default=list)


class ImportMapping(Model):
    """The columns of a source's tables as somebody mapped them last, for its next file."""

    __tablename__ = "import_mapping"

    source: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    columns: Mapped[dict[str, Any]] = mapped_column(JSONB)
    saved_at: Mapped[datetime]
    saved_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
