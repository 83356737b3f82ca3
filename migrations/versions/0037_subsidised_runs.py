"""Runs are marked as subsidised by the open funding programmes; when that was done last, and what it changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    """Add the last pass, and let a mark that changes have the course's facets written anew."""
    op.create_table(
        "subsidised_pass",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("programmes", sa.Text, nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subsidised_pass"),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    op.execute(
        """
        CREATE TRIGGER course_run_subsidised AFTER UPDATE OF is_subsidised ON course_run FOR EACH ROW
        WHEN (OLD.is_subsidised <> NEW.is_subsidised)
        EXECUTE FUNCTION mark_stale_course()
        """
    )
