"""Runs cancelled, moved or merged, with everyone's answer; minimums to decide about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0033"
down_revision = "0032"

MOMENT = sa.DateTime(timezone=True)


def _public(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"),
    ]


def _to(table: str, column: str, target: str, *, is_optional: bool = False) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(column, sa.BigInteger, nullable=is_optional),
        sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}"),
    ]


def upgrade() -> None:
    """Create changes of runs, the answers to them, and minimums."""
    op.create_table(
        "run_change",
        *_public("run_change"),
        *_to("run_change", "run_id", "course_run"),
        sa.Column("kind", sa.Text, nullable=False),
        *_to("run_change", "target_run_id", "course_run", is_optional=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("default_choice", sa.Text, nullable=False),
        sa.Column("answer_by", MOMENT, nullable=False),
        sa.Column("before", pg.JSONB, nullable=False),
        sa.Column("decided_at", MOMENT, nullable=False),
        *_to("run_change", "decided_by_id", "person", is_optional=True),
        *(sa.Column(f"people_{name}", sa.Integer, nullable=False) for name in ("in_all", "told", "settled")),
        sa.Column("finished_at", MOMENT),
        sa.CheckConstraint("kind IN ('cancelled', 'moved', 'merged')", name="kind"),
        sa.CheckConstraint("default_choice IN ('refund', 'stay', 'move')", name="default_choice"),
        sa.CheckConstraint("(kind = 'merged') = (target_run_id IS NOT NULL)", name="merged_into_a_run"),
        sa.CheckConstraint("people_settled <= people_in_all AND people_told <= people_in_all", name="counts"),
    )
    op.create_index("ix_run_change_run_id", "run_change", ["run_id"])
    # Serves the job that goes on with what is not finished.
    unfinished = sa.text("finished_at IS NULL")
    op.create_index("ix_run_change_unfinished", "run_change", ["answer_by"], postgresql_where=unfinished)
    op.create_table(
        "run_change_answer",
        *_public("run_change_answer"),
        *_to("run_change_answer", "run_change_id", "run_change"),
        *_to("run_change_answer", "enrolment_id", "enrolment"),
        # Also serves the people of a change.
        sa.UniqueConstraint("run_change_id", "enrolment_id", name="uq_run_change_answer_run_change_id_enrolment_id"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("choice", sa.Text),
        sa.Column("chosen_at", MOMENT),
        *_to("run_change_answer", "target_run_id", "course_run", is_optional=True),
        sa.Column("problem", sa.Text),
        sa.Column("settled_at", MOMENT),
        sa.CheckConstraint("state IN ('waiting', 'told', 'settled', 'failed')", name="state"),
        sa.CheckConstraint("choice IN ('refund', 'stay', 'move')", name="choice"),
    )
    op.create_index("ix_run_change_answer_enrolment_id", "run_change_answer", ["enrolment_id"])
    op.create_table(
        "run_minimum",
        *_to("run_minimum", "run_id", "course_run"),
        sa.PrimaryKeyConstraint("run_id", name="pk_run_minimum"),
        sa.Column("minimum", sa.Integer, nullable=False),
        sa.Column("decide_by", MOMENT, nullable=False),
        sa.Column("reminded_at", MOMENT),
        sa.Column("decided_at", MOMENT),
        sa.Column("decision", sa.Text),
        *_to("run_minimum", "decided_by_id", "person", is_optional=True),
        sa.CheckConstraint("minimum > 0", name="minimum"),
        sa.CheckConstraint("decision IN ('confirmed', 'merged', 'cancelled')", name="decision"),
    )
    # Serves the list of runs to decide about and the reminders.
    op.create_index("ix_run_minimum_open", "run_minimum", ["decide_by"], postgresql_where=sa.text("decided_at IS NULL"))
