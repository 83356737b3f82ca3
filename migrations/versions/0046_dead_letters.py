"""Dead letters are counted and listed without reading every job there was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    """Add the index."""
    # Serves foundation.jobs and the gauge of Prometheus; jobs that failed for good are few among those kept.
    failed = sa.text("status = 'failed'")
    op.create_index("ix_procrastinate_jobs_failed", "procrastinate_jobs", ["id"], postgresql_where=failed)
