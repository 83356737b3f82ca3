"""A narrow row for each published course in the list; the words, facets and sort keys leave the wide row."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0040"
down_revision = "0039"

MOVED = ("title_search", "search", "search_text", "facets", "sort_start", "sort_price", "indexed_at")
INDEXES: tuple[tuple[str, list[str], dict[str, Any]], ...] = (
    # Serve catalog.search: courses with the words, titles with the words, titles like the words, chosen facets.
    ("words", ["words"], {"postgresql_using": "gin"}),
    ("title_words", ["title_words"], {"postgresql_using": "gin"}),
    ("titles", ["titles"], {"postgresql_using": "gin", "postgresql_ops": {"titles": "gin_trgm_ops"}}),
    ("facets", ["facets"], {"postgresql_using": "gin"}),
    # Serve the list in each of its orders, page by page.
    ("published_at", ["published_at", "course_id"], {}),
    ("sort_start", ["sort_start", "course_id"], {}),
    ("sort_price", ["sort_price", "course_id"], {}),
    # Serves the list (whether counts that were kept still hold) and the jobs that look at what was indexed since.
    ("indexed_at", ["indexed_at"], {}),
)


def upgrade() -> None:
    """Create the table, move what published courses have, and let it follow their state."""
    op.create_table(
        "course_entry",
        sa.Column("course_id", sa.BigInteger, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("words", postgresql.TSVECTOR, nullable=False),
        sa.Column(
            "title_words",
            postgresql.TSVECTOR,
            sa.Computed("ts_filter(words, '{a}'::\"char\"[])", persisted=True),
            nullable=False,
        ),
        sa.Column("titles", sa.Text, nullable=False),
        sa.Column("facets", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("sort_start", sa.BigInteger, nullable=False),
        sa.Column("sort_price", sa.BigInteger, nullable=False),
        sa.Column("indexed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("course_id", name="pk_course_entry"),
        sa.ForeignKeyConstraint(
            ["course_id"], ["course.id"], name="fk_course_entry_course_id_course", ondelete="CASCADE"
        ),
    )
    # The long words always lie beside the row, unpacked faster as they are; what is filtered by stays in it.
    op.execute("ALTER TABLE course_entry SET (toast_tuple_target = 128)")
    op.execute(
        "ALTER TABLE course_entry ALTER words SET STORAGE EXTERNAL, ALTER title_words SET STORAGE MAIN,"
        " ALTER titles SET STORAGE MAIN, ALTER facets SET STORAGE MAIN"
    )
    op.execute(
        "INSERT INTO course_entry (course_id, published_at, words, titles, facets, sort_start, sort_price, indexed_at)"
        " SELECT id, coalesce(published_at, created_at), search, search_text, facets, sort_start, sort_price,"
        " coalesce(indexed_at, clock_timestamp()) FROM course WHERE state = 'published' ORDER BY published_at"
    )
    for name, columns, options in INDEXES:
        op.create_index(f"ix_course_entry_{name}", "course_entry", columns, **options)
    for column in MOVED:
        op.drop_column("course", column)
    # The list is paged by course_entry now.
    op.drop_index("ix_course_published", "course")
    op.execute(
        """
        CREATE FUNCTION follow_course() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.state = 'published' THEN
                UPDATE course_entry SET published_at = coalesce(NEW.published_at, published_at)
                 WHERE course_id = NEW.id;
            ELSE
                DELETE FROM course_entry WHERE course_id = NEW.id;
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER course_entry_follows AFTER UPDATE OF state, published_at ON course FOR EACH ROW
        WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.published_at IS DISTINCT FROM NEW.published_at)
        EXECUTE FUNCTION follow_course()
        """
    )
