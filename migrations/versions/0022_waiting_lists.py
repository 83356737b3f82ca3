"""Waiting lists with their rules, and wishes for runs that do not exist yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

MOMENT = sa.DateTime(timezone=True)
STATES = "('waiting', 'offered', 'accepted', 'declined', 'expired', 'left', 'lapsed')"
LIVE = sa.text("state IN ('waiting', 'offered')")
OPEN = sa.text("told_at IS NULL AND removed_at IS NULL")


def upgrade() -> None:
    """Create the lists, their rules and the wishes."""
    _create_entries()
    op.create_table(
        "waiting_rule",
        sa.Column("run_id", sa.BigInteger, nullable=False),
        sa.Column("first", sa.Text, nullable=False),
        sa.Column("offer_hours", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_waiting_rule"),
        sa.ForeignKeyConstraint(["run_id"], ["course_run.id"], name="fk_waiting_rule_run_id"),
        sa.CheckConstraint("first IN ('time', 'pool_audience')", name="first"),
        sa.CheckConstraint("offer_hours BETWEEN 1 AND 168", name="offer_hours_within_a_week"),
    )
    op.create_table(
        "wish",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("course_id", sa.BigInteger, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("wished_at", MOMENT, nullable=False),
        sa.Column("told_at", MOMENT),
        sa.Column("removed_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_wish"),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name="fk_wish_course_id"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_wish_person_id"),
        sa.CheckConstraint("told_at IS NULL OR removed_at IS NULL", name="told_or_removed"),
    )
    # One open wish per person and course; serves the job that tells, and the demand for a course.
    op.create_index("uq_wish_open", "wish", ["course_id", "person_id"], unique=True, postgresql_where=OPEN)
    # Serves my learning.
    op.create_index("ix_wish_person_id", "wish", ["person_id"])


def _create_entries() -> None:
    op.create_table(
        "waiting_entry",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.BigInteger, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("code_hash", sa.Text),
        sa.Column("joined_at", MOMENT, nullable=False),
        sa.Column("offered_at", MOMENT),
        sa.Column("hold_id", sa.BigInteger),
        sa.Column("ended_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_waiting_entry"),
        sa.UniqueConstraint("public_id", name="uq_waiting_entry_public_id"),
        sa.ForeignKeyConstraint(["run_id"], ["course_run.id"], name="fk_waiting_entry_run_id"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_waiting_entry_person_id"),
        sa.ForeignKeyConstraint(["hold_id"], ["seat_hold.id"], name="fk_waiting_entry_hold_id"),
        sa.CheckConstraint(f"state IN {STATES}", name="state"),
        sa.CheckConstraint("(state IN ('waiting', 'offered')) = (ended_at IS NULL)", name="ended_at_a_time"),
        sa.CheckConstraint("state <> 'offered' OR hold_id IS NOT NULL", name="offered_holds_a_seat"),
    )
    # One live place per person and run; finds it.
    op.create_index(
        "uq_waiting_entry_live", "waiting_entry", ["run_id", "person_id"], unique=True, postgresql_where=LIVE
    )
    # Serves the order of the list: who is next, and how many are before one.
    op.create_index(
        "ix_waiting_entry_queue",
        "waiting_entry",
        ["run_id", "rank", "joined_at", "id"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    # Serves my learning.
    op.create_index("ix_waiting_entry_person_id", "waiting_entry", ["person_id"])
    # Serves the end of offers whose hold expired.
    op.create_index(
        "ix_waiting_entry_hold_id", "waiting_entry", ["hold_id"], postgresql_where=sa.text("state = 'offered'")
    )
