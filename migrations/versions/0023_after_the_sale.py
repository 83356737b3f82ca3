"""Terms of cancellation, cancellations, and refunds due by payer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0023"
down_revision = "0022"

MOMENT = sa.DateTime(timezone=True)
# The house's own terms, which everything sold so far is under.
FIRST_TERMS = """
    INSERT INTO refund_policy (id, tiers, withdrawal_days, deferral_days, created_at)
    VALUES (1, '[{"days_before": 14, "kept_percent": 0}, {"days_before": 7, "kept_percent": 30},
                 {"days_before": 1, "kept_percent": 60}]', 7, 3, now())
"""


def upgrade() -> None:
    """Create what is decided after a sale; carry over what was refunded before."""
    _create_policies()
    _create_cancellations()
    _let_orders_end()
    _generalise_refunds_due()


def _create_policies() -> None:
    op.create_table(
        "refund_policy",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refund_policy"),
        sa.Column("organisation_id", sa.BigInteger),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name="fk_refund_policy_organisation_id"),
        sa.Column("run_id", sa.BigInteger),
        sa.ForeignKeyConstraint(["run_id"], ["course_run.id"], name="fk_refund_policy_run_id"),
        sa.Column("tiers", pg.JSONB, nullable=False),
        sa.Column("withdrawal_days", sa.Integer, nullable=False),
        sa.Column("deferral_days", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by_id", sa.BigInteger),
        sa.ForeignKeyConstraint(["created_by_id"], ["person.id"], name="fk_refund_policy_created_by_id"),
        sa.CheckConstraint("run_id IS NULL OR organisation_id IS NULL", name="of_one_thing"),
        sa.CheckConstraint("withdrawal_days IN (0, 7, 14)", name="withdrawal_days"),
        sa.CheckConstraint("deferral_days >= 0", name="deferral_days"),
    )
    # Serve the newest terms of a run and of a provider.
    op.create_index("ix_refund_policy_run_id", "refund_policy", ["run_id", "id"])
    op.create_index("ix_refund_policy_organisation_id", "refund_policy", ["organisation_id", "id"])
    op.execute(FIRST_TERMS)
    op.execute("SELECT setval(pg_get_serial_sequence('refund_policy', 'id'), 1)")
    _append_only("refund_policy")
    op.add_column("order_line", sa.Column("policy_id", sa.BigInteger, nullable=False, server_default="1"))
    op.create_foreign_key("fk_order_line_policy_id", "order_line", "refund_policy", ["policy_id"], ["id"])


def _append_only(table: str) -> None:
    op.execute(f"""
        CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)


def _create_cancellations() -> None:
    op.create_table(
        "cancellation",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cancellation"),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.UniqueConstraint("public_id", name="uq_cancellation_public_id"),
        sa.Column("enrolment_id", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["enrolment_id"], ["enrolment.id"], name="fk_cancellation_enrolment_id"),
        # A place is cancelled once; also finds the cancellation of an enrolment.
        sa.UniqueConstraint("enrolment_id", name="uq_cancellation_enrolment_id"),
        sa.Column("ground", sa.Text, nullable=False),
        sa.Column("policy_id", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["policy_id"], ["refund_policy.id"], name="fk_cancellation_policy_id"),
        *(sa.Column(f"{name}_minor", sa.BigInteger, nullable=False) for name in ("paid", "kept", "returned")),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("facts", pg.JSONB, nullable=False),
        sa.Column("decided_at", MOMENT, nullable=False),
        sa.Column("decided_by_id", sa.BigInteger),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name="fk_cancellation_decided_by_id"),
        sa.CheckConstraint("ground IN ('withdrawal', 'policy', 'provider')", name="ground"),
        sa.CheckConstraint("least(paid_minor, kept_minor, returned_minor) >= 0", name="is_not_negative"),
        sa.CheckConstraint("returned_minor <= paid_minor", name="returns_no_more_than_paid"),
    )
    # The reason alone may be emptied: it is in the learner's own words, and a forgotten person is named nowhere.
    kept = "enrolment_id, ground, policy_id, paid_minor, kept_minor, returned_minor, currency, facts, decided_at"
    op.execute(f"""
        CREATE TRIGGER cancellation_is_append_only BEFORE UPDATE OF {kept} OR DELETE ON cancellation
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)


def _let_orders_end() -> None:
    """A confirmed order may be cancelled afterwards and keeps the time of its confirmation."""
    op.execute('ALTER TABLE "order" DROP CONSTRAINT ck_order_confirmed_at_a_time')
    op.create_check_constraint("confirmed_at_a_time", "order", "state <> 'confirmed' OR confirmed_at IS NOT NULL")
    op.add_column("enrolment", sa.Column("end_reason", sa.Text))
    op.add_column("enrolment", sa.Column("ended_by_id", sa.BigInteger))
    op.create_foreign_key("fk_enrolment_ended_by_id", "enrolment", "person", ["ended_by_id"], ["id"])
    op.execute("UPDATE enrolment SET end_reason = 'refunded' WHERE ended_at IS NOT NULL")
    op.create_check_constraint("ended_for_a_reason", "enrolment", "end_reason IS NULL OR ended_at IS NOT NULL")
    # A line grants one place at a time; after a deferral or a transfer it grants another.
    op.drop_constraint("uq_enrolment_source_order_line_id", "enrolment_source")
    live = sa.text("revoked_at IS NULL")
    op.create_index(
        "uq_enrolment_source_live", "enrolment_source", ["order_line_id"], unique=True, postgresql_where=live
    )
    op.create_index("ix_enrolment_source_order_line_id", "enrolment_source", ["order_line_id"])


def _generalise_refunds_due() -> None:
    op.add_column("refund_due", sa.Column("key", sa.Text))
    op.add_column("refund_due", sa.Column("payer", sa.Text, nullable=False, server_default="learner"))
    op.add_column("refund_due", sa.Column("source", sa.Text, nullable=False, server_default="marketplace"))
    op.add_column("refund_due", sa.Column("voided_at", MOMENT))
    op.alter_column("refund_due", "attempt_public_id", nullable=True)
    op.drop_constraint("uq_refund_due_attempt_public_id_reason", "refund_due")
    op.execute("UPDATE refund_due SET key = attempt_public_id || ':' || reason")
    # Refunds by staff left no fact in this room so far.
    op.execute("""
        WITH made AS (
            INSERT INTO refund_due (order_id, attempt_public_id, amount_minor, currency, reason, recorded_at,
                                    picked_up_at, key)
            SELECT attempt.order_id, attempt.public_id, refund.amount_minor, refund.currency, refund.reason,
                   refund.created_at, refund.created_at, 'refund:' || refund.public_id
              FROM refund JOIN payment_attempt AS attempt ON attempt.id = refund.attempt_id
             WHERE refund.refund_due_id IS NULL
            RETURNING id, key
        )
        UPDATE refund SET refund_due_id = made.id FROM made WHERE made.key = 'refund:' || refund.public_id
    """)
    op.execute("""
        UPDATE refund_due SET voided_at = refund.settled_at
          FROM refund WHERE refund.refund_due_id = refund_due.id AND refund.state = 'failed'
    """)
    op.alter_column("refund_due", "key", nullable=False)
    op.alter_column("refund", "refund_due_id", nullable=False)
    op.add_column("refund", sa.Column("place_decision", sa.Text))
    op.add_column("refund", sa.Column("decided_at", MOMENT))
    op.add_column("refund", sa.Column("decided_by_id", sa.BigInteger))
    op.create_foreign_key("fk_refund_decided_by_id", "refund", "person", ["decided_by_id"], ["id"])
    op.create_check_constraint("place_decision", "refund", "place_decision IN ('keep', 'end')")
    op.create_unique_constraint("uq_refund_due_key", "refund_due", ["key"])
    op.create_check_constraint("payer", "refund_due", "payer IN ('learner', 'funder', 'voucher')")
    op.create_check_constraint("source", "refund_due", "source IN ('marketplace', 'stripe_dashboard')")
    op.create_check_constraint(
        "learner_paid_by_attempt", "refund_due", "payer <> 'learner' OR attempt_public_id IS NOT NULL"
    )
    # Serves what of one payment went back.
    op.create_index("ix_refund_due_attempt_public_id", "refund_due", ["attempt_public_id"])
    op.alter_column("refund_due", "payer", server_default=None)
    op.alter_column("refund_due", "source", server_default=None)
