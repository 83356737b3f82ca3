"""Balances are kept summed by day, up to a mark, so that pages add up what came since and no more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"


def upgrade() -> None:
    """Create the sums, empty: a job fills them, and until then everything is added up as before."""
    table = "ledger_sum"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.BigInteger),
        sa.Column("programme_id", sa.BigInteger),
        sa.Column("occurred_on", sa.Date, nullable=False),
        sa.Column("recorded_on", sa.Date, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=f"fk_{table}_organisation_id"),
        sa.ForeignKeyConstraint(["programme_id"], ["funding_programme.id"], name=f"fk_{table}_programme_id"),
        # A later batch of entries adds to the sum that is there.
        sa.UniqueConstraint(
            "account",
            "currency",
            "organisation_id",
            "programme_id",
            "occurred_on",
            "recorded_on",
            name="uq_ledger_sum_of",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "ledger_mark",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.BigInteger, nullable=False),
        sa.Column("recorded_until", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_mark"),
        sa.CheckConstraint("id = 1", name="is_one"),
    )
    op.execute("INSERT INTO ledger_mark (id, entry_id) VALUES (1, 0)")
