"""A member may be a learner whom the organisation sends, and act for it in nothing."""

from __future__ import annotations

from alembic import op

revision = "0031"
down_revision = "0030"

ROLES = "role IN ('owner', 'editor', 'registrar', 'instructor', 'finance', 'learner')"


def upgrade() -> None:
    """Let both tables know the role."""
    for table in ("membership", "invitation"):
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_role_is_known")
        op.create_check_constraint("role_is_known", table, ROLES)
