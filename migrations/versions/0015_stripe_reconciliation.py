"""Stripe's side of the books: balance transactions, payouts, and how far they are read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create what the daily reconciliation keeps."""
    _create_transactions()
    _create_payouts()
    op.create_table(
        "stripe_feed",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("complete_until", MOMENT),
        sa.Column("window_end", MOMENT),
        sa.Column("after", sa.Text),
        sa.PrimaryKeyConstraint("kind", name="pk_stripe_feed"),
    )


def _create_transactions() -> None:
    table = "stripe_balance_transaction"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("fee_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("exchange_rate", sa.Numeric),
        sa.Column("source_id", sa.Text),
        sa.Column("payment_intent_id", sa.Text),
        sa.Column("happened_at", MOMENT, nullable=False),
        sa.Column("fetched_at", MOMENT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("matched_to", sa.Text),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("transaction_id", name=f"uq_{table}_transaction_id"),
        sa.CheckConstraint("state IN ('new', 'matched', 'differs', 'missing_here', 'unknown')", name="state"),
        sa.CheckConstraint("state <> 'matched' OR matched_to IS NOT NULL", name="matched_to_something"),
    )
    # Serves matching: what has no fact of ours yet.
    op.create_index(f"ix_{table}_unmatched", table, ["id"], postgresql_where=sa.text("state <> 'matched'"))
    # Serves "is this payment of ours at Stripe?", and the page of an order.
    op.create_index(f"ix_{table}_payment_intent_id", table, ["payment_intent_id"])
    # The same for refunds and payouts.
    op.create_index(f"ix_{table}_source_id", table, ["source_id"])
    # Serves the page that lists them, newest first.
    op.create_index(f"ix_{table}_happened_at", table, ["happened_at", "id"])


def _create_payouts() -> None:
    op.create_table(
        "stripe_payout",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("payout_id", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("arrives_at", MOMENT, nullable=False),
        sa.Column("failure_code", sa.Text),
        sa.Column("fetched_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_payout"),
        sa.UniqueConstraint("payout_id", name="uq_stripe_payout_payout_id"),
    )
    # Serves the page that lists them, newest first.
    op.create_index("ix_stripe_payout_created_at", "stripe_payout", ["created_at", "id"])
