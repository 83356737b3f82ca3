"""Files of marks that a job takes in, and what became of each row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0024"
down_revision = "0023"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "attendance_upload",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.BigInteger, nullable=False),
        sa.Column("person_id", sa.BigInteger),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("rows_in_all", sa.Integer, nullable=False),
        sa.Column("rows_done", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_attendance_upload"),
        sa.UniqueConstraint("public_id", name="uq_attendance_upload_public_id"),
        sa.ForeignKeyConstraint(["run_id"], ["course_run.id"], name="fk_attendance_upload_run_id"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_attendance_upload_person_id"),
        sa.CheckConstraint("rows_done BETWEEN 0 AND rows_in_all", name="rows_done"),
    )
    # Serves the uploads of a run, and the night's search for old ones.
    op.create_index("ix_attendance_upload_run_id", "attendance_upload", ["run_id"])
    op.create_index("ix_attendance_upload_created_at", "attendance_upload", ["created_at"])
    op.create_table(
        "attendance_upload_row",
        sa.Column("upload_id", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("refusal", pg.JSONB),
        sa.PrimaryKeyConstraint("upload_id", "number", name="pk_attendance_upload_row"),
        sa.ForeignKeyConstraint(["upload_id"], ["attendance_upload.id"], name="fk_attendance_upload_row_upload_id"),
    )
