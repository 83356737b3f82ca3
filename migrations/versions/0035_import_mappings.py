"""Imports of any table: which column is which field, kept per source for the next file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    """Let an import say its columns, and remember them."""
    op.add_column("catalogue_import", sa.Column("columns", pg.JSONB))
    op.create_table(
        "import_mapping",
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("columns", pg.JSONB, nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("saved_by_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("source", "kind", name="pk_import_mapping"),
        sa.ForeignKeyConstraint(["saved_by_id"], ["person.id"], name="fk_import_mapping_saved_by_id"),
        sa.CheckConstraint("kind IN ('courses', 'runs')", name="kind"),
    )
