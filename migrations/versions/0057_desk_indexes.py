"""Indexes for the desk: fapiao by their numbers, and what waits for a word about a place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"

# Name, table, column, of which rows; the query each serves is named beside it in the models.
INDEXES = (
    ("ix_fapiao_request_number", "fapiao_request", "number", "number IS NOT NULL"),
    ("ix_fapiao_request_reversal_number", "fapiao_request", "reversal_number", "reversal_number IS NOT NULL"),
    ("ix_dispute_undecided", "dispute", "id", "place_decision IS NULL"),
    ("ix_refund_due_outside", "refund_due", "id", "source = 'stripe_dashboard'"),
)


def upgrade() -> None:
    """Add them."""
    for name, table, column, rows in INDEXES:
        op.create_index(name, table, [column], postgresql_where=sa.text(rows))
