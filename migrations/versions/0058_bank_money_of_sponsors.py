"""Bank money that nobody knew can turn out to be a sponsor's payment for used vouchers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"

TABLE = "unmatched_answer"
KINDS = "kind IN ('order', 'returned', 'sponsor', 'ours', 'mistake')"


def upgrade() -> None:
    """Name the sponsor; no answer so far has one."""
    op.add_column(TABLE, sa.Column("organisation_id", sa.BigInteger))
    op.create_foreign_key(f"fk_{TABLE}_organisation_id", TABLE, "organisation", ["organisation_id"], ["id"])
    op.drop_constraint("kind", TABLE, type_="check")
    op.create_check_constraint("kind", TABLE, KINDS)
    op.create_check_constraint("sponsor_is_named", TABLE, "(kind = 'sponsor') = (organisation_id IS NOT NULL)")
