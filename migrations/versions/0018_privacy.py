"""Requests to be forgotten, copies of one's data, and the one change a mark in a register may see."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

MOMENT = sa.DateTime(timezone=True)
OPEN = sa.text("done_at IS NULL AND cancelled_at IS NULL")


def upgrade() -> None:
    """Create both tables; let a mark's reason be blanked and nothing else."""
    op.add_column("person", sa.Column("erased_at", MOMENT))
    op.add_column("outgoing_mail", sa.Column("reader_id", sa.BigInteger))
    op.execute("UPDATE outgoing_mail SET reader_id = person.id FROM person WHERE person.email = recipient")
    op.execute("ALTER TABLE mailed_link DROP CONSTRAINT ck_mailed_link_purpose_is_known")
    op.create_check_constraint(
        "purpose_is_known", "mailed_link", "purpose IN ('confirm', 'reset', 'change_email', 'delete')"
    )
    op.create_table(
        "erasure",
        *_owned_by_person("erasure"),
        sa.Column("ground", sa.Text, nullable=False),
        sa.Column("asked_by_id", sa.BigInteger),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("cancelled_at", MOMENT),
        sa.Column("done_at", MOMENT),
        sa.ForeignKeyConstraint(["asked_by_id"], ["person.id"], name="fk_erasure_asked_by_id"),
        sa.CheckConstraint("ground IN ('self', 'letter', 'authority')", name="ground_is_known"),
        sa.CheckConstraint("cancelled_at IS NULL OR done_at IS NULL", name="ends_one_way"),
    )
    # One open plan per person.
    op.create_index("uq_erasure_open", "erasure", ["person_id"], unique=True, postgresql_where=OPEN)
    # Serves the hourly job.
    op.create_index("ix_erasure_due_at", "erasure", ["due_at"], postgresql_where=OPEN)
    op.create_table(
        "data_copy",
        *_owned_by_person("data_copy"),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.CheckConstraint("(finished_at IS NULL) = (content IS NULL)", name="finished_with_content"),
    )
    # Serves the list of one's own copies.
    op.create_index("ix_data_copy_person_id", "data_copy", ["person_id"])
    _let_reasons_be_blanked()


def _owned_by_person(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=f"fk_{table}_person_id"),
    ]


def _let_reasons_be_blanked() -> None:
    """A reason beside a mark may tell of illness: a person who is forgotten takes it along. The mark stays a fact."""
    op.execute("""
        CREATE FUNCTION refuse_change_but_blanking() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' AND to_jsonb(NEW) ->> TG_ARGV[0] = ''
               AND to_jsonb(NEW) - TG_ARGV[0] = to_jsonb(OLD) - TG_ARGV[0] THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
        END $$
    """)
    op.execute("DROP TRIGGER attendance_is_append_only ON attendance")
    op.execute("""
        CREATE TRIGGER attendance_is_append_only BEFORE UPDATE OR DELETE ON attendance
        FOR EACH ROW EXECUTE FUNCTION refuse_change_but_blanking('reason')
    """)
