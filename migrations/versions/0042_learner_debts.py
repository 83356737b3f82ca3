"""What learners owe for a subsidy is collected: payments of their own purpose, and debts written off."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"

MOMENT = sa.DateTime(timezone=True)
LIVE = sa.text("state IN ('created', 'open', 'processing')")


def upgrade() -> None:
    """Let money be paid for a debt beside the order it is of."""
    for table in ("payment_attempt", "offline_payment"):
        op.add_column(table, sa.Column("purpose", sa.Text, nullable=False, server_default="order"))
        op.alter_column(table, "purpose", server_default=None)
        op.create_check_constraint("purpose", table, "purpose IN ('order', 'debt')")
    # One page at a time for the order, and one for what is owed beside it.
    op.drop_index("uq_payment_attempt_live", "payment_attempt")
    op.create_index(
        "uq_payment_attempt_live", "payment_attempt", ["order_id", "purpose"], unique=True, postgresql_where=LIVE
    )
    # Serves the debts of all learners, and the debt of one order's line.
    op.create_index("ix_subsidy_owed", "subsidy", ["id"], postgresql_where=sa.text("owed_minor > 0"))
    # Serves what was paid of debts.
    op.create_index(
        "ix_payment_attempt_debt", "payment_attempt", ["order_id"], postgresql_where=sa.text("purpose = 'debt'")
    )
    _create_write_offs()


def _create_write_offs() -> None:
    table = "write_off"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("proposed_by_id", sa.BigInteger, nullable=False),
        sa.Column("proposed_at", MOMENT, nullable=False),
        sa.Column("decided_by_id", sa.BigInteger),
        sa.Column("decided_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=f"fk_{table}_order_id"),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["person.id"], name=f"fk_{table}_proposed_by_id"),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name=f"fk_{table}_decided_by_id"),
        sa.CheckConstraint("state IN ('proposed', 'settled', 'declined')", name="state"),
        sa.CheckConstraint("amount_minor > 0", name="amount_is_positive"),
        # Four eyes: whoever proposed it is never the one who is noted as having decided about it.
        sa.CheckConstraint("decided_by_id <> proposed_by_id", name="four_eyes"),
    )
    # Serves what of a debt is written off; one waits at a time for each order.
    op.create_index(f"ix_{table}_order_id", table, ["order_id"])
    op.create_index(
        f"uq_{table}_waiting", table, ["order_id"], unique=True, postgresql_where=sa.text("state = 'proposed'")
    )
