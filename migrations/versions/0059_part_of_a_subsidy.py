"""A part of a subsidy goes back when a part of the price does: what is to be returned, and the part of each step."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"


def upgrade() -> None:
    """Nothing of a subsidy was ever lowered before, so both begin at zero."""
    op.add_column("subsidy", sa.Column("to_return_minor", sa.BigInteger, nullable=False, server_default="0"))
    op.create_check_constraint("to_return", "subsidy", "to_return_minor >= 0")
    op.add_column("subsidy_event", sa.Column("part_minor", sa.BigInteger, nullable=False, server_default="0"))
    op.create_check_constraint("part", "subsidy_event", "part_minor >= 0")
    # The claims page of a programme lists what is owed back to its funder (clawing_back.list_owed_back).
    owed_back = "state IN ('clawed_back', 'revoked') OR to_return_minor > 0"
    op.create_index("ix_subsidy_owed_back", "subsidy", ["programme_id", "id"], postgresql_where=sa.text(owed_back))
