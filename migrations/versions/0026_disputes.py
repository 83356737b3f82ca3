"""Disputes of payments, and places suspended by decision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create disputes; let an enrolment be suspended and a refund fact come from a dispute."""
    op.create_table(
        "dispute",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dispute"),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.UniqueConstraint("public_id", name="uq_dispute_public_id"),
        sa.Column("stripe_dispute_id", sa.Text, nullable=False),
        sa.UniqueConstraint("stripe_dispute_id", name="uq_dispute_stripe_dispute_id"),
        sa.Column("attempt_id", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["payment_attempt.id"], name="fk_dispute_attempt_id"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("fee_minor", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        *(sa.Column(name, MOMENT) for name in ("evidence_due_by", "closed_at")),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("place_decision", sa.Text),
        sa.Column("decided_at", MOMENT),
        sa.Column("decided_by_id", sa.BigInteger),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name="fk_dispute_decided_by_id"),
        sa.CheckConstraint("state IN ('inquiry', 'open', 'won', 'lost')", name="state"),
        sa.CheckConstraint("place_decision IN ('keep', 'suspend', 'end')", name="place_decision"),
        sa.CheckConstraint("(state IN ('won', 'lost')) = (closed_at IS NOT NULL)", name="closed_at_a_time"),
    )
    # Serves the disputes of an order's payments.
    op.create_index("ix_dispute_attempt_id", "dispute", ["attempt_id"])
    # Serves the desk.
    op.create_index("ix_dispute_open", "dispute", ["id"], postgresql_where=sa.text("state IN ('inquiry', 'open')"))
    op.add_column("enrolment", sa.Column("suspended_at", MOMENT))
    op.execute("ALTER TABLE refund_due DROP CONSTRAINT ck_refund_due_source")
    op.create_check_constraint("source", "refund_due", "source IN ('marketplace', 'stripe_dashboard', 'dispute')")
