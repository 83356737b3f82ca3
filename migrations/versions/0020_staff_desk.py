"""The desk of staff: payments outside Stripe, acts with their reasons; and whose subsidy an entry is, checked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0020"
down_revision = "0019"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create what the desk keeps."""
    op.add_column("payment_attempt", sa.Column("method", sa.Text, nullable=False, server_default="stripe"))
    op.alter_column("payment_attempt", "method", server_default=None)
    op.create_check_constraint("method", "payment_attempt", "method IN ('stripe', 'offline')")
    op.create_foreign_key("fk_ledger_entry_programme_id", "ledger_entry", "funding_programme", ["programme_id"], ["id"])
    _create_offline_payments()
    _create_acts()


def _create_offline_payments() -> None:
    table = "offline_payment"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("bank_reference", sa.Text, nullable=False),
        sa.Column("received_on", sa.Date, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("proposed_by_id", sa.BigInteger, nullable=False),
        sa.Column("proposed_at", MOMENT, nullable=False),
        sa.Column("decided_by_id", sa.BigInteger),
        sa.Column("decided_at", MOMENT),
        sa.Column("attempt_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"),
        sa.UniqueConstraint("attempt_id", name=f"uq_{table}_attempt_id"),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=f"fk_{table}_order_id"),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["person.id"], name=f"fk_{table}_proposed_by_id"),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name=f"fk_{table}_decided_by_id"),
        sa.ForeignKeyConstraint(["attempt_id"], ["payment_attempt.id"], name=f"fk_{table}_attempt_id"),
        sa.CheckConstraint("state IN ('proposed', 'settled', 'declined')", name="state"),
        sa.CheckConstraint("amount_minor > 0", name="amount_is_positive"),
        # Four eyes: whoever entered a transfer is never the one who is noted as having decided about it.
        sa.CheckConstraint("decided_by_id <> proposed_by_id", name="four_eyes"),
        sa.CheckConstraint("(state = 'settled') = (attempt_id IS NOT NULL)", name="settled_by_an_attempt"),
    )
    # One transfer is entered once for an order; one that was turned down may be entered again.
    op.create_index(
        f"uq_{table}_order_id_bank_reference",
        table,
        ["order_id", "bank_reference"],
        unique=True,
        postgresql_where=sa.text("state <> 'declined'"),
    )
    # Serves the queue of the second officer.
    op.create_index(f"ix_{table}_waiting", table, ["id"], postgresql_where=sa.text("state = 'proposed'"))
    # Serves the search box.
    op.create_index(f"ix_{table}_bank_reference", table, ["bank_reference"])


def _create_acts() -> None:
    op.create_table(
        "staff_act",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("order_id", sa.BigInteger),
        sa.Column("details", pg.JSONB, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_staff_act"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_staff_act_person_id"),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name="fk_staff_act_order_id"),
        sa.CheckConstraint("reason <> ''", name="reason_is_given"),
    )
    op.create_index(
        "ix_staff_act_order_id", "staff_act", ["order_id"], postgresql_where=sa.text("order_id IS NOT NULL")
    )
    # Serves "was this event or job closed by somebody?".
    op.create_index("ix_staff_act_subject", "staff_act", ["subject", "kind"])
    op.execute("""
        CREATE TRIGGER staff_act_is_append_only BEFORE UPDATE OR DELETE ON staff_act
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)
