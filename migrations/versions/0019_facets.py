"""What courses are sorted by, and a mark for those whose seats ran out or came back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

LAST = str(2**62)


def upgrade() -> None:
    """Add the columns, their indexes and the marks. Every course is indexed anew by the worker: its version is old."""
    for name in ("sort_start", "sort_price"):
        op.add_column("course", sa.Column(name, sa.BigInteger, nullable=False, server_default=LAST))
        op.alter_column("course", name, server_default=None)
        # Serves the course list sorted by start or by price, page by page.
        op.create_index(f"ix_course_{name}", "course", [name, "id"], postgresql_where=sa.text("state = 'published'"))
    op.add_column("course", sa.Column("indexed_at", sa.DateTime(timezone=True)))
    # Serves the course list: whether counts that were kept still hold.
    op.create_index("ix_course_indexed_at", "course", ["indexed_at"])
    # Serves the job that indexes courses of an older tokeniser.
    op.create_index("ix_course_search_version", "course", ["search_version"])
    # Serves the job that writes facets anew as runs open and close.
    op.create_index("ix_course_run_enrol_closes_at", "course_run", ["enrol_closes_at"])
    op.create_index("ix_course_run_enrol_opens_at", "course_run", ["enrol_opens_at"])
    op.create_table(
        "stale_course",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("course_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stale_course"),
    )
    op.execute(
        """
        CREATE FUNCTION mark_stale_course() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO stale_course (course_id) VALUES (NEW.course_id);
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER course_run_fullness AFTER UPDATE OF seats_taken, capacity ON course_run FOR EACH ROW
        WHEN ((OLD.seats_taken >= OLD.capacity) <> (NEW.seats_taken >= NEW.capacity))
        EXECUTE FUNCTION mark_stale_course()
        """
    )
