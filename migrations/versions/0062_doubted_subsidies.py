"""A subsidy is in doubt when a correction took away what it was earned by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0061"


def upgrade() -> None:
    """None is in doubt yet: what was corrected before is looked at when its register is touched again."""
    op.add_column("subsidy", sa.Column("doubted_at", sa.DateTime(timezone=True)))
    # The claims page of a programme lists them (doubts.list_doubted).
    op.create_index(
        "ix_subsidy_doubted", "subsidy", ["programme_id", "id"], postgresql_where=sa.text("doubted_at IS NOT NULL")
    )
