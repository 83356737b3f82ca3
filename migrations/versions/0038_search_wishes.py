"""Searches that found nothing, kept by people who want to hear when a course answers them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0038"
down_revision = "0037"

MOMENT = sa.DateTime(timezone=True)
OPEN = sa.text("told_at IS NULL AND removed_at IS NULL")


def upgrade() -> None:
    """Create the wishes."""
    op.create_table(
        "search_wish",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("facets", ARRAY(sa.Text), nullable=False),
        sa.Column("wished_at", MOMENT, nullable=False),
        sa.Column("looked_at", MOMENT, nullable=False),
        sa.Column("told_at", MOMENT),
        sa.Column("removed_at", MOMENT),
        sa.Column("course_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_search_wish"),
        sa.UniqueConstraint("public_id", name="uq_search_wish_public_id"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_search_wish_person_id"),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name="fk_search_wish_course_id"),
        sa.CheckConstraint("told_at IS NULL OR removed_at IS NULL", name="told_or_removed"),
        sa.CheckConstraint("(told_at IS NULL) = (course_id IS NULL)", name="told_of_a_course"),
    )
    # One open wish per person and search; serves my learning, and the demand by search.
    op.create_index(
        "uq_search_wish_open", "search_wish", ["person_id", "words", "facets"], unique=True, postgresql_where=OPEN
    )
    # Serves the job that tells: those looked at longest ago first.
    op.create_index("ix_search_wish_looked_at", "search_wish", ["looked_at", "id"], postgresql_where=OPEN)
