"""What a funder paid and wants back is owed to it until it is sent: three more states of a subsidy."""

from __future__ import annotations

from alembic import op

revision = "0053"
down_revision = "0052"

STATES = (
    "'applied', 'reserved', 'earned', 'claimed', 'paid', 'rejected', 'lapsed', 'clawed_back', 'sent_back', 'revoked', "
    "'repaid', 'cancelled', 'released'"
)


def upgrade() -> None:
    """Let the new states in; no row changes: what was clawed back is owed back, since nothing was noted as sent."""
    for table, column in (("subsidy", "state"), ("subsidy_event", "to_state")):
        op.drop_constraint(column, table, type_="check")
        op.create_check_constraint(column, table, f"{column} IN ({STATES})")
