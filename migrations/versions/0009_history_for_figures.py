"""What figures are placed by, as it was known when: category and lead of a course, dates of runs and sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

MOMENT = sa.DateTime(timezone=True)
# Table of dates: the table whose rows it keeps, and the column that names them.
DATES = {"run_dates": ("course_run", "run_id"), "session_dates": ("run_session", "session_id")}


def upgrade() -> None:
    """Create the three tables, fill them with what is true now, and let triggers write every change."""
    _create_placements()
    for table, (source, key) in DATES.items():
        _create_dates(table, source, key)
    for table in ("course_placement", *DATES):
        op.execute(f"""
            CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """)


def _recorded() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False, server_default=sa.text("clock_timestamp()")),
    ]


def _create_placements() -> None:
    op.create_table(
        "course_placement",
        *_recorded(),
        sa.Column("course_id", sa.BigInteger, nullable=False),
        sa.Column("category_id", sa.BigInteger),
        sa.Column("lead_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_course_placement"),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name="fk_course_placement_course_id"),
        sa.ForeignKeyConstraint(["category_id"], ["category.id"], name="fk_course_placement_category_id"),
        sa.ForeignKeyConstraint(["lead_id"], ["organisation.id"], name="fk_course_placement_lead_id"),
    )
    # Serves the figures: the placement of a course as of a moment.
    op.create_index("ix_course_placement_course_id", "course_placement", ["course_id", "id"])
    op.execute("""
        INSERT INTO course_placement (course_id, category_id, lead_id)
        SELECT course.id, course.category_id,
               (SELECT organisation_id FROM course_provider
                 WHERE course_id = course.id ORDER BY position, organisation_id LIMIT 1)
          FROM course
    """)
    op.execute("""
        CREATE FUNCTION note_course_placement() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            noted bigint := CASE WHEN TG_TABLE_NAME = 'course' THEN (to_jsonb(NEW) ->> 'id')::bigint
                                 ELSE (to_jsonb(coalesce(NEW, OLD)) ->> 'course_id')::bigint END;
        BEGIN
            INSERT INTO course_placement (course_id, category_id, lead_id)
            SELECT course.id, course.category_id, lead.organisation_id
              FROM course
              LEFT JOIN LATERAL (
                    SELECT organisation_id FROM course_provider
                     WHERE course_id = course.id ORDER BY position, organisation_id LIMIT 1
                   ) AS lead ON true
              LEFT JOIN LATERAL (
                    SELECT category_id, lead_id FROM course_placement
                     WHERE course_id = course.id ORDER BY id DESC LIMIT 1
                   ) AS known ON true
             WHERE course.id = noted
               AND (lead.organisation_id IS NOT NULL OR known.lead_id IS NOT NULL)
               AND (known.category_id, known.lead_id) IS DISTINCT FROM (course.category_id, lead.organisation_id);
            RETURN NULL;
        END $$
    """)
    # At commit, when a course that is being written has all of its providers.
    for table, events in (
        ("course", "UPDATE OF category_id"),
        ("course_provider", "INSERT OR UPDATE OR DELETE"),
    ):
        op.execute(f"""
            CREATE CONSTRAINT TRIGGER {table}_is_placed AFTER {events} ON {table}
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_course_placement()
        """)


def _create_dates(table: str, source: str, key: str) -> None:
    op.create_table(
        table,
        *_recorded(),
        sa.Column(key, sa.BigInteger, nullable=False),
        sa.Column("starts_at", MOMENT),
        sa.Column("ends_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    )
    # Serves the figures: the dates of a run or session as of a moment. Without a foreign key: a session that nobody
    # attended can be removed, and what was known of it stays.
    op.create_index(f"ix_{table}_{key}", table, [key, "id"])
    columns = f"{key}, starts_at, ends_at"
    op.execute(f"INSERT INTO {table} ({columns}) SELECT id, starts_at, ends_at FROM {source}")  # noqa: S608 - our own
    op.execute(f"""
        CREATE FUNCTION note_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' OR (OLD.starts_at, OLD.ends_at) IS DISTINCT FROM (NEW.starts_at, NEW.ends_at) THEN
                INSERT INTO {table} ({columns}) VALUES (NEW.id, NEW.starts_at, NEW.ends_at);
            END IF;
            RETURN NULL;
        END $$
    """)  # noqa: S608 - our own
    op.execute(f"""
        CREATE TRIGGER {source}_is_dated AFTER INSERT OR UPDATE OF starts_at, ends_at ON {source}
        FOR EACH ROW EXECUTE FUNCTION note_{table}()
    """)
