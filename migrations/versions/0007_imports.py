"""Imports of catalogues and what became of each row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "catalogue_import",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("is_dry_run", sa.Boolean, nullable=False),
        sa.Column("person_id", sa.BigInteger),
        sa.Column("rows_in_all", sa.Integer, nullable=False),
        sa.Column("rows_done", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_catalogue_import"),
        sa.UniqueConstraint("public_id", name="uq_catalogue_import_public_id"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_catalogue_import_person_id"),
        sa.CheckConstraint("rows_done BETWEEN 0 AND rows_in_all", name="rows_done"),
    )
    op.create_table(
        "imported_row",
        sa.Column("import_id", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("notes", postgresql.JSONB, nullable=False),
        sa.PrimaryKeyConstraint("import_id", "number", name="pk_imported_row"),
        sa.ForeignKeyConstraint(["import_id"], ["catalogue_import.id"], name="fk_imported_row_import_id"),
        sa.CheckConstraint("outcome IN ('accepted', 'changed', 'unchanged', 'refused')", name="outcome"),
    )
