"""The words of titles by themselves, which rank before all others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Add the column, which the database keeps from `search`: words of weight A are those of titles."""
    words = sa.Computed("ts_filter(search, '{a}'::\"char\"[])", persisted=True)
    op.add_column("course", sa.Column("title_search", postgresql.TSVECTOR, words, nullable=False))
    # Serves catalog.search: titles with the words.
    op.create_index("ix_course_title_search", "course", ["title_search"], postgresql_using="gin")
