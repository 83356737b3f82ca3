"""Bank money that fits no order is recorded, and whatever belongs to nothing is answered for in the books."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make room for the money and for what staff say about it, and ask again about what was only closed."""
    _create_bank_money()
    _create_answers()
    # Open still, though what stood for it was taken back when its fact turned up with another amount.
    op.execute("""
        UPDATE discrepancy SET resolved_at = now(), note = 'Its fact turned up, with another amount.'
         WHERE kind = 'unknown_movement' AND resolved_at IS NULL
           AND EXISTS (SELECT FROM ledger_transaction WHERE key = 'known:' || reference)
    """)
    # Closed with a note, while the amount went on standing on unmatched_money: the note stays among the acts of staff.
    op.execute("""
        UPDATE discrepancy SET resolved_at = NULL, resolved_by_id = NULL, note = NULL
         WHERE kind = 'unknown_movement' AND resolved_by_id IS NOT NULL
           AND EXISTS (SELECT FROM ledger_transaction WHERE key = 'unmatched:' || reference)
           AND NOT EXISTS (SELECT FROM ledger_transaction WHERE key = 'known:' || reference)
    """)


def _create_bank_money() -> None:
    table = "bank_money"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("bank_reference", sa.Text, nullable=False),
        sa.Column("received_on", sa.Date, nullable=False),
        sa.Column("payer_name", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recorded_by_id", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("voided_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"),
        sa.ForeignKeyConstraint(["recorded_by_id"], ["person.id"], name=f"fk_{table}_recorded_by_id"),
        sa.CheckConstraint("amount_minor > 0", name="amount_is_positive"),
    )
    op.create_index(
        f"uq_{table}_bank_reference",
        table,
        ["bank_reference"],
        unique=True,
        postgresql_where=sa.text("voided_at IS NULL"),
    )


def _create_answers() -> None:
    table = "unmatched_answer"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("discrepancy_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("order_id", sa.BigInteger),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("bank_reference", sa.Text, nullable=False),
        sa.Column("sent_on", sa.Date),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("proposed_by_id", sa.BigInteger, nullable=False),
        sa.Column("proposed_at", MOMENT, nullable=False),
        sa.Column("decided_by_id", sa.BigInteger),
        sa.Column("decided_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"),
        sa.ForeignKeyConstraint(["discrepancy_id"], ["discrepancy.id"], name=f"fk_{table}_discrepancy_id"),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=f"fk_{table}_order_id"),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["person.id"], name=f"fk_{table}_proposed_by_id"),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name=f"fk_{table}_decided_by_id"),
        sa.CheckConstraint("kind IN ('order', 'returned', 'ours', 'mistake')", name="kind"),
        sa.CheckConstraint("purpose IN ('order', 'debt')", name="purpose"),
        sa.CheckConstraint("state IN ('proposed', 'settled', 'declined')", name="state"),
        sa.CheckConstraint("(kind = 'order') = (order_id IS NOT NULL)", name="order_is_named"),
        # Four eyes: whoever proposed it is never the one who is noted as having decided about it.
        sa.CheckConstraint("decided_by_id <> proposed_by_id", name="four_eyes"),
    )
    # One answer stands for each; a declined one makes room for another.
    op.create_index(
        f"uq_{table}_standing",
        table,
        ["discrepancy_id"],
        unique=True,
        postgresql_where=sa.text("state <> 'declined'"),
    )
    # Serves what was settled for an order before.
    op.create_index(f"ix_{table}_order_id", table, ["order_id"], postgresql_where=sa.text("order_id IS NOT NULL"))
