"""Uploaded pictures: covers of courses and logos of organisations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0025"
down_revision = "0024"

MOMENT = sa.DateTime(timezone=True)
OWNERS = {"course": "picture_id", "organisation": "logo_id"}


def upgrade() -> None:
    """Create the table and let courses and organisations have one picture each."""
    op.create_table(
        "picture",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("shape", "alt_zh", "alt_en", "state")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("focus_x", "focus_y")),
        sa.Column("refusal", sa.Text),
        sa.Column("content", sa.LargeBinary),
        sa.Column("source", sa.Text),
        sa.Column("renditions", pg.JSONB, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("drawn_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_picture"),
        sa.UniqueConstraint("public_id", name="uq_picture_public_id"),
        sa.CheckConstraint("state IN ('waiting', 'ready', 'refused')", name="state"),
        sa.CheckConstraint("focus_x BETWEEN 0 AND 100 AND focus_y BETWEEN 0 AND 100", name="focus"),
        sa.CheckConstraint(
            "state <> 'waiting' OR content IS NOT NULL OR source IS NOT NULL", name="waits_with_content"
        ),
    )
    # Serves whoever looks for uploads that no job has drawn.
    op.create_index("ix_picture_waiting", "picture", ["id"], postgresql_where=sa.text("state = 'waiting'"))
    for table, column in OWNERS.items():
        op.add_column(table, sa.Column(column, sa.BigInteger))
        op.create_foreign_key(f"fk_{table}_{column}", table, "picture", [column], ["id"])
