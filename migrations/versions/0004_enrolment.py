"""Seat holds, orders, enrolments and refunds due."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0004"
down_revision = "0003"

MOMENT = sa.DateTime(timezone=True)
LIVE = sa.text("ended_at IS NULL")


def upgrade() -> None:
    """Create what the enrolment room keeps."""
    _create_holds()
    _create_orders()
    _create_events()
    _create_enrolments()
    _create_refunds_due()


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


def _create_holds() -> None:
    op.create_table(
        "seat_hold",
        *_public("seat_hold"),
        *_to("seat_hold", "run_id", "course_run"),
        *_to("seat_hold", "person_id", "person"),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("extended_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.Column("end_reason", sa.Text),
        sa.CheckConstraint("end_reason IN ('taken', 'expired', 'released')", name="end_reason"),
        sa.CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="ended_for_a_reason"),
    )
    # One live hold per person and run; also finds it.
    op.create_index("uq_seat_hold_live", "seat_hold", ["run_id", "person_id"], unique=True, postgresql_where=LIVE)
    # Serves the sweep of expired holds.
    op.create_index("ix_seat_hold_until", "seat_hold", ["until"], postgresql_where=LIVE)
    # Serves hold_seat: the expired holds of one run.
    op.create_index("ix_seat_hold_run_id_until", "seat_hold", ["run_id", "until"], postgresql_where=LIVE)


def _create_orders() -> None:
    op.create_table(
        "order",
        *_public("order"),
        *_to("order", "person_id", "person"),
        sa.Column("state", sa.Text, nullable=False),
        *_to("order", "hold_id", "seat_hold", is_optional=True),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("total_minor", sa.BigInteger, nullable=False),
        sa.Column("placed_at", MOMENT, nullable=False),
        *(sa.Column(name, MOMENT) for name in ("expires_at", "confirmed_at", "ended_at")),
        sa.Column("request_key", sa.Text, nullable=False),
        sa.UniqueConstraint("request_key", name="uq_order_request_key"),
        sa.CheckConstraint(
            "state IN ('awaiting_payment', 'payment_pending', 'confirmed', 'cancelled', 'expired')", name="state"
        ),
        sa.CheckConstraint("total_minor >= 0", name="total_is_not_negative"),
        sa.CheckConstraint("(state = 'confirmed') = (confirmed_at IS NOT NULL)", name="confirmed_at_a_time"),
    )
    op.create_index("ix_order_person_id_placed_at", "order", ["person_id", sa.text("placed_at DESC")])
    # Serves the sweep of unpaid orders and the reconciliation.
    open_orders = sa.text("state IN ('awaiting_payment', 'payment_pending')")
    op.create_index("ix_order_open", "order", ["expires_at"], postgresql_where=open_orders)
    op.create_table(
        "order_line",
        *_key("order_line"),
        *_to("order_line", "order_id", "order"),
        *_to("order_line", "run_id", "course_run"),
        *(
            sa.Column(f"{name}_minor", sa.BigInteger, nullable=False)
            for name in ("price", "tax", "subsidy", "voucher", "due")
        ),
        sa.Column("terms_version", sa.Integer, nullable=False),
        sa.Column("title_zh", sa.Text, nullable=False),
        sa.Column("title_en", sa.Text, nullable=False),
        sa.Column("price_rule", pg.JSONB, nullable=False),
        sa.CheckConstraint("due_minor = price_minor - subsidy_minor - voucher_minor", name="adds_up"),
        sa.CheckConstraint(
            "least(price_minor, tax_minor, subsidy_minor, voucher_minor, due_minor) >= 0", name="is_not_negative"
        ),
    )
    op.create_index("ix_order_line_order_id", "order_line", ["order_id"])
    op.create_index("ix_order_line_run_id", "order_line", ["run_id"])


def _create_events() -> None:
    op.create_table(
        "order_event",
        *_key("order_event"),
        *_to("order_event", "order_id", "order"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        *_to("order_event", "actor_id", "person", is_optional=True),
        sa.Column("details", pg.JSONB, nullable=False),
    )
    op.create_index("ix_order_event_order_id", "order_event", ["order_id"])
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
        END $$
    """)
    for table in ("order_event", "order_line"):
        op.execute(f"""
            CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """)


def _create_enrolments() -> None:
    op.create_table(
        "enrolment",
        *_public("enrolment"),
        *_to("enrolment", "run_id", "course_run"),
        *_to("enrolment", "person_id", "person"),
        sa.Column("enrolled_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.CheckConstraint("enrolled_at <= ended_at", name="ends_after_start"),
    )
    # One active enrolment per person and run; also serves the roster.
    op.create_index("uq_enrolment_active", "enrolment", ["run_id", "person_id"], unique=True, postgresql_where=LIVE)
    # Serves my learning.
    op.create_index("ix_enrolment_person_id", "enrolment", ["person_id"])
    # Serves the figures by month.
    op.create_index("ix_enrolment_enrolled_at", "enrolment", ["enrolled_at"])
    op.create_table(
        "enrolment_source",
        *_key("enrolment_source"),
        *_to("enrolment_source", "enrolment_id", "enrolment"),
        *_to("enrolment_source", "order_line_id", "order_line"),
        sa.Column("granted_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
        sa.UniqueConstraint("order_line_id", name="uq_enrolment_source_order_line_id"),
    )
    op.create_index("ix_enrolment_source_enrolment_id", "enrolment_source", ["enrolment_id"])


def _create_refunds_due() -> None:
    op.create_table(
        "refund_due",
        *_key("refund_due"),
        *_to("refund_due", "order_id", "order"),
        sa.Column("attempt_public_id", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("picked_up_at", MOMENT),
        # One payment is given back once for one reason, however often its event arrives.
        sa.UniqueConstraint("attempt_public_id", "reason", name="uq_refund_due_attempt_public_id_reason"),
        sa.CheckConstraint("amount_minor > 0", name="amount_is_positive"),
    )
    # Serves the job that turns facts into refunds.
    op.create_index("ix_refund_due_waiting", "refund_due", ["id"], postgresql_where=sa.text("picked_up_at IS NULL"))
    op.create_index("ix_refund_due_order_id", "refund_due", ["order_id"])
