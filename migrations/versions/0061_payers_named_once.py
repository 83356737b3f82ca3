"""The payer of a bank transfer that fits no order is named in its row alone, where the name can be blanked."""

from __future__ import annotations

from alembic import op

revision = "0061"
down_revision = "0060"


def upgrade() -> None:
    """Take the names out of what only tells that such a transfer was recorded."""
    op.execute("UPDATE discrepancy SET details = details - 'payer' WHERE kind = 'unknown_transfer'")
    # The one change that its trigger would refuse: nobody may change an act, but a name must be able to go.
    op.execute("ALTER TABLE staff_act DISABLE TRIGGER staff_act_is_append_only")
    op.execute("UPDATE staff_act SET details = details - 'payer' WHERE kind = 'bank_money_recorded'")
    op.execute("ALTER TABLE staff_act ENABLE TRIGGER staff_act_is_append_only")
