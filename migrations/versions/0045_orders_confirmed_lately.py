"""Orders confirmed lately are found without reading all there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    """Add the index."""
    # Serves payments.reconciliation every ten minutes: the orders that were to be paid and were confirmed lately.
    op.create_index("ix_order_confirmed_at", "order", ["confirmed_at"], postgresql_where=sa.text("total_minor > 0"))
