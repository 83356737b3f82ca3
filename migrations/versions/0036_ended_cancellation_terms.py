"""Cancellation terms of a run or a provider can end, so that those above them hold again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"

TERMS = "organisation_id, run_id, tiers, withdrawal_days, deferral_days, created_at, created_by_id"


def upgrade() -> None:
    """Note when a version ended and by whom; what it says is never changed."""
    op.add_column("refund_policy", sa.Column("ended_at", sa.DateTime(timezone=True)))
    op.add_column("refund_policy", sa.Column("ended_by_id", sa.BigInteger))
    op.create_foreign_key("fk_refund_policy_ended_by_id", "refund_policy", "person", ["ended_by_id"], ["id"])
    # The house's own are what everything else falls back on.
    op.create_check_constraint(
        "house_never_ends", "refund_policy", "ended_at IS NULL OR run_id IS NOT NULL OR organisation_id IS NOT NULL"
    )
    op.execute("DROP TRIGGER refund_policy_is_append_only ON refund_policy")
    op.execute(f"""
        CREATE TRIGGER refund_policy_is_append_only BEFORE UPDATE OF {TERMS} OR DELETE ON refund_policy
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)
    op.execute("""
        CREATE TRIGGER refund_policy_ends_once BEFORE UPDATE OF ended_at, ended_by_id ON refund_policy
        FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION refuse_change()
    """)
