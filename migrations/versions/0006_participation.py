"""Attendance, assessments and completions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0006"
down_revision = "0005"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create what the participation room keeps; nothing in it is ever changed."""
    _create_attendance()
    _create_assessments()
    _create_completions()
    for table in ("attendance", "assessment", "completion"):
        op.execute(f"""
            CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """)


def _facts_of(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.Column("enrolment_id", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["enrolment_id"], ["enrolment.id"], name=f"fk_{table}_enrolment_id"),
        sa.Column("recorded_at", MOMENT, nullable=False),
    ]


def _recorded_by(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("recorded_by_id", sa.BigInteger),
        sa.ForeignKeyConstraint(["recorded_by_id"], ["person.id"], name=f"fk_{table}_recorded_by_id"),
    ]


def _create_attendance() -> None:
    op.create_table(
        "attendance",
        *_facts_of("attendance"),
        sa.Column("session_id", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["run_session.id"], name="fk_attendance_session_id"),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        *_recorded_by("attendance"),
        sa.Column("reason", sa.Text, nullable=False),
        sa.CheckConstraint("status IN ('present', 'absent', 'excused')", name="status"),
        sa.CheckConstraint("source IN ('register', 'upload', 'import')", name="source"),
    )
    # Serves the latest mark of each person and session, now or as of a moment.
    latest: list[str | sa.TextClause] = ["enrolment_id", "session_id", sa.text("recorded_at DESC"), sa.text("id DESC")]
    op.create_index("ix_attendance_latest", "attendance", latest)
    op.create_index("ix_attendance_session_id", "attendance", ["session_id"])
    op.execute("""
        CREATE FUNCTION refuse_foreign_session() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT EXISTS (
                SELECT FROM enrolment JOIN run_session USING (run_id)
                WHERE enrolment.id = NEW.enrolment_id AND run_session.id = NEW.session_id
            ) THEN
                RAISE EXCEPTION 'session % is not of the run of enrolment %', NEW.session_id, NEW.enrolment_id;
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER attendance_is_of_one_run BEFORE INSERT ON attendance
        FOR EACH ROW EXECUTE FUNCTION refuse_foreign_session()
    """)


def _create_assessments() -> None:
    op.create_table(
        "assessment",
        *_facts_of("assessment"),
        sa.Column("passed", sa.Boolean, nullable=False),
        *_recorded_by("assessment"),
    )
    latest: list[str | sa.TextClause] = ["enrolment_id", sa.text("recorded_at DESC"), sa.text("id DESC")]
    op.create_index("ix_assessment_latest", "assessment", latest)


def _create_completions() -> None:
    op.create_table(
        "completion",
        *_facts_of("completion"),
        sa.Column("completed_at", MOMENT, nullable=False),
        sa.Column("rule_version", sa.Integer, nullable=False),
        sa.Column("evidence", pg.JSONB, nullable=False),
        sa.UniqueConstraint("enrolment_id", name="uq_completion_enrolment_id"),
        sa.CheckConstraint("completed_at <= recorded_at", name="recorded_after_it_happened"),
    )
    # Serves the figures by month.
    op.create_index("ix_completion_completed_at", "completion", ["completed_at"])
