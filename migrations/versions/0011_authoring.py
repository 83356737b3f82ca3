"""Courses written by their providers: review, versions, partners who must accept, and a history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0011"
down_revision = "0010"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add what writing courses needs; courses that are there count as approved as they stand."""
    _extend_courses()
    _create_events()
    _create_invitations()


def _extend_courses() -> None:
    op.add_column("course", sa.Column("original_language", sa.Text, nullable=False, server_default="zh"))
    op.add_column("course", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.add_column("course", sa.Column("approved_version", sa.Integer))
    op.execute("UPDATE course SET original_language = 'en' WHERE title_zh = ''")
    op.execute("UPDATE course SET approved_version = 1 WHERE state <> 'draft'")
    op.execute("ALTER TABLE course DROP CONSTRAINT ck_course_state, DROP CONSTRAINT ck_course_published_has_title")
    op.create_check_constraint("state", "course", "state IN ('draft', 'in_review', 'published', 'withdrawn')")
    op.create_check_constraint(
        "published_has_title",
        "course",
        "state IN ('draft', 'in_review') OR (published_at IS NOT NULL AND title_zh || title_en <> '')",
    )
    op.create_check_constraint("original_language", "course", "original_language IN ('zh', 'en')")
    # Serves the reviewers' queue.
    op.create_index("ix_course_in_review", "course", ["updated_at"], postgresql_where=sa.text("state = 'in_review'"))
    changed = sa.text("state = 'published' AND version > coalesce(approved_version, 1)")
    # Serves the reviewers' list of courses changed since somebody read them.
    op.create_index("ix_course_changed", "course", ["updated_at"], postgresql_where=changed)
    for name in ("duties_zh", "duties_en"):
        op.add_column("course_provider", sa.Column(name, sa.Text, nullable=False, server_default=""))


def _create_events() -> None:
    op.create_table(
        "course_event",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("course_id", sa.BigInteger, nullable=False),
        sa.Column("run_id", sa.BigInteger),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("actor_id", sa.BigInteger),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("details", pg.JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_course_event"),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name="fk_course_event_course_id"),
        sa.ForeignKeyConstraint(["run_id"], ["course_run.id"], name="fk_course_event_run_id"),
        sa.ForeignKeyConstraint(["actor_id"], ["person.id"], name="fk_course_event_actor_id"),
    )
    # Serves the history of a course.
    op.create_index("ix_course_event_course_id", "course_event", ["course_id", "id"])
    # Serves those who pick up facts of one kind, as a waiting list does raised capacities.
    op.create_index("ix_course_event_kind", "course_event", ["kind", "id"])
    op.execute("""
        CREATE TRIGGER course_event_is_append_only BEFORE UPDATE OR DELETE ON course_event
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)


def _create_invitations() -> None:
    targets = {"course_id": "course", "organisation_id": "organisation", "invited_by_id": "person"}
    op.create_table(
        "provider_invitation",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in targets),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("duties_zh", "duties_en")),
        sa.Column("invited_at", MOMENT, nullable=False),
        sa.Column("answered_by_id", sa.BigInteger),
        sa.Column("answered_at", MOMENT),
        sa.Column("answer", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_provider_invitation"),
        sa.UniqueConstraint("public_id", name="uq_provider_invitation_public_id"),
        *(
            sa.ForeignKeyConstraint([column], [f"{table}.id"], name=f"fk_provider_invitation_{column}")
            for column, table in {**targets, "answered_by_id": "person"}.items()
        ),
        sa.CheckConstraint("answer IN ('accepted', 'declined', 'withdrawn')", name="answer"),
        sa.CheckConstraint("(answer IS NULL) = (answered_at IS NULL)", name="answered_at_a_time"),
    )
    waiting = sa.text("answered_at IS NULL")
    # One open question per course and organisation.
    op.create_index(
        "uq_provider_invitation_open",
        "provider_invitation",
        ["course_id", "organisation_id"],
        unique=True,
        postgresql_where=waiting,
    )
    # Serves the desk of the organisation that was asked.
    op.create_index(
        "ix_provider_invitation_organisation_id", "provider_invitation", ["organisation_id"], postgresql_where=waiting
    )
