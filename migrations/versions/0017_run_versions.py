"""Saves of a run are counted, so that two planners never overwrite each other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Begin to count at one."""
    op.add_column("course_run", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
