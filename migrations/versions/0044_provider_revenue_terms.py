"""Revenue terms of one provider beside the default ones; new ones hold from a moment to come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    """Let terms be a provider's own."""
    op.add_column("revenue_terms", sa.Column("organisation_id", sa.BigInteger))
    op.create_foreign_key(
        "fk_revenue_terms_organisation_id", "revenue_terms", "organisation", ["organisation_id"], ["id"]
    )
    # Serves the terms of a sale: its provider's newest, else the default's.
    op.create_index("ix_revenue_terms_organisation_id", "revenue_terms", ["organisation_id", "version"])
