"""Attempts to pay, refunds, events of Stripe, the ledger and discrepancies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0005"
down_revision = "0004"

MOMENT = sa.DateTime(timezone=True)
LIVE = sa.text("state IN ('created', 'open', 'processing')")


def upgrade() -> None:
    """Create what the payments room keeps."""
    _create_attempts()
    _create_refunds()
    _create_events()
    _create_ledger()
    _balance_ledger()
    _create_discrepancies()


def _key(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    ]


def _public(table: str) -> list[sa.schema.SchemaItem]:
    return [
        *_key(table),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"),
    ]


def _to(table: str, column: str, target: str, *, is_optional: bool = False) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(column, sa.BigInteger, nullable=is_optional),
        sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}"),
    ]


def _money() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
    ]


def _create_attempts() -> None:
    op.create_table(
        "payment_attempt",
        *_public("payment_attempt"),
        *_to("payment_attempt", "order_id", "order"),
        sa.Column("state", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("session_id", "payment_intent_id", "url", "failure_code")),
        *_money(),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("paid_at", MOMENT),
        sa.UniqueConstraint("session_id", name="uq_payment_attempt_session_id"),
        sa.CheckConstraint("state IN ('created', 'open', 'processing', 'paid', 'failed', 'expired')", name="state"),
        sa.CheckConstraint("amount_minor > 0", name="amount_is_positive"),
        sa.CheckConstraint("(state = 'paid') = (paid_at IS NOT NULL)", name="paid_at_a_time"),
    )
    # One attempt at a time: an order cannot be paid twice on two pages of Stripe's.
    op.create_index("uq_payment_attempt_live", "payment_attempt", ["order_id"], unique=True, postgresql_where=LIVE)
    op.create_index("ix_payment_attempt_order_id", "payment_attempt", ["order_id"])
    # Serves reconciliation and the expiry of sessions.
    op.create_index("ix_payment_attempt_unsettled", "payment_attempt", ["created_at"], postgresql_where=LIVE)
    # Serves events about a payment intent.
    op.create_index("ix_payment_attempt_payment_intent_id", "payment_attempt", ["payment_intent_id"])
    # Serves the desk and the revenue figures.
    op.create_index("ix_payment_attempt_paid_at", "payment_attempt", ["paid_at"])


def _create_refunds() -> None:
    op.create_table(
        "refund",
        *_public("refund"),
        *_to("refund", "attempt_id", "payment_attempt"),
        *_to("refund", "refund_due_id", "refund_due", is_optional=True),
        *_money(),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("stripe_refund_id", sa.Text),
        *_to("refund", "requested_by_id", "person", is_optional=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("settled_at", MOMENT),
        sa.Column("failure_code", sa.Text),
        sa.UniqueConstraint("refund_due_id", name="uq_refund_refund_due_id"),
        sa.UniqueConstraint("stripe_refund_id", name="uq_refund_stripe_refund_id"),
        sa.CheckConstraint("state IN ('requested', 'pending', 'succeeded', 'failed')", name="state"),
        sa.CheckConstraint("amount_minor > 0", name="amount_is_positive"),
    )
    op.create_index("ix_refund_attempt_id", "refund", ["attempt_id"])
    waiting = sa.text("state IN ('requested', 'pending')")
    # Serves reconciliation of refunds on their way.
    op.create_index("ix_refund_unsettled", "refund", ["created_at"], postgresql_where=waiting)


def _create_events() -> None:
    op.create_table(
        "stripe_event",
        *_key("stripe_event"),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("payload", pg.JSONB, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("handled_at", MOMENT),
        sa.UniqueConstraint("event_id", name="uq_stripe_event_event_id"),
        sa.CheckConstraint("state IN ('new', 'handled', 'ignored', 'unknown', 'failed')", name="state"),
    )
    waiting = sa.text("state IN ('new', 'failed')")
    op.create_index("ix_stripe_event_waiting", "stripe_event", ["id"], postgresql_where=waiting)


def _create_ledger() -> None:
    op.create_table(
        "ledger_transaction",
        *_key("ledger_transaction"),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        *_to("ledger_transaction", "order_id", "order", is_optional=True),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.UniqueConstraint("key", name="uq_ledger_transaction_key"),
    )
    op.create_index("ix_ledger_transaction_order_id", "ledger_transaction", ["order_id"])
    op.create_table(
        "ledger_entry",
        *_key("ledger_entry"),
        *_to("ledger_entry", "transaction_id", "ledger_transaction"),
        sa.Column("account", sa.Text, nullable=False),
        *_money(),
        sa.CheckConstraint("amount_minor <> 0", name="amount_is_not_zero"),
    )
    op.create_index("ix_ledger_entry_transaction_id", "ledger_entry", ["transaction_id"])
    # Serves the balance of an account.
    op.create_index("ix_ledger_entry_account", "ledger_entry", ["account", "currency"])


def _balance_ledger() -> None:
    """Refuse at commit what does not sum to zero per currency, and every change of what is posted."""
    op.execute("""
        CREATE FUNCTION refuse_unbalanced_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (
                SELECT 1 FROM ledger_entry WHERE transaction_id = NEW.transaction_id
                 GROUP BY currency HAVING sum(amount_minor) <> 0
            ) THEN
                RAISE EXCEPTION 'ledger transaction % does not sum to zero', NEW.transaction_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_ledger_transaction_balances';
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE CONSTRAINT TRIGGER ledger_balances AFTER INSERT ON ledger_entry
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced_ledger()
    """)
    for table in ("ledger_transaction", "ledger_entry"):
        op.execute(f"""
            CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """)


def _create_discrepancies() -> None:
    op.create_table(
        "discrepancy",
        *_public("discrepancy"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("details", pg.JSONB, nullable=False),
        sa.Column("found_at", MOMENT, nullable=False),
        sa.Column("resolved_at", MOMENT),
        *_to("discrepancy", "resolved_by_id", "person", is_optional=True),
        sa.Column("note", sa.Text),
        sa.UniqueConstraint("kind", "reference", name="uq_discrepancy_kind_reference"),
        sa.CheckConstraint("(resolved_at IS NULL) = (note IS NULL)", name="resolved_with_a_note"),
    )
    # Serves the desk: what waits for staff.
    op.create_index("ix_discrepancy_open", "discrepancy", ["id"], postgresql_where=sa.text("resolved_at IS NULL"))
