"""When a suspended place was last resumed: completions that waited for it are recorded then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    """Add the moment, empty for every place there is."""
    op.add_column("enrolment", sa.Column("resumed_at", sa.DateTime(timezone=True)))
    # Serves the job that records completions.
    op.create_index(
        "ix_enrolment_resumed_at", "enrolment", ["resumed_at"], postgresql_where=sa.text("resumed_at IS NOT NULL")
    )
