"""Seat pools: parts of a capacity kept for an audience, counted by the database itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

MOMENT = sa.DateTime(timezone=True)
KEPT = sa.text("released_at IS NULL")


def upgrade() -> None:
    """Add the kept seats to the run's CHECK, then the pools that they are the sum of."""
    op.add_column("course_run", sa.Column("seats_kept", sa.Integer, nullable=False, server_default="0"))
    op.drop_constraint("seats_within_capacity", "course_run", type_="check")
    op.create_check_constraint(
        "seats_within_capacity",
        "course_run",
        "seats_taken >= 0 AND seats_kept >= 0 AND seats_taken + seats_kept <= capacity",
    )
    _watch_fullness()
    _create_pools()
    for table in ("seat_hold", "enrolment"):
        op.add_column(table, sa.Column("pool_id", sa.BigInteger))
        op.create_foreign_key(f"fk_{table}_pool_id", table, "seat_pool", ["pool_id"], ["id"])


def _watch_fullness() -> None:
    """A run whose last public seats are kept is as full, to the catalogue, as one whose seats are taken."""
    op.execute("DROP TRIGGER course_run_fullness ON course_run")
    op.execute("""
        CREATE TRIGGER course_run_fullness AFTER UPDATE OF seats_taken, seats_kept, capacity ON course_run FOR EACH ROW
        WHEN ((OLD.seats_taken + OLD.seats_kept >= OLD.capacity) <> (NEW.seats_taken + NEW.seats_kept >= NEW.capacity))
        EXECUTE FUNCTION mark_stale_course()
    """)


def _create_pools() -> None:
    op.create_table(
        "seat_pool",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.BigInteger),
        sa.Column("email_domain", sa.Text),
        sa.Column("code_hash", sa.Text),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("taken", sa.Integer, nullable=False),
        sa.Column("release_at", MOMENT, nullable=False),
        sa.Column("released_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_seat_pool"),
        sa.UniqueConstraint("public_id", name="uq_seat_pool_public_id"),
        sa.ForeignKeyConstraint(["run_id"], ["course_run.id"], name="fk_seat_pool_run_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name="fk_seat_pool_organisation_id"),
        sa.ForeignKeyConstraint(["created_by_id"], ["person.id"], name="fk_seat_pool_created_by_id"),
        sa.CheckConstraint("kind IN ('sponsor', 'co_provider', 'campaign')", name="kind"),
        sa.CheckConstraint("taken BETWEEN 0 AND size", name="taken_within_size"),
        sa.CheckConstraint(
            "(audience = 'organisation') = (organisation_id IS NOT NULL)"
            " AND (audience = 'email_domain') = (email_domain IS NOT NULL)"
            " AND (audience = 'code') = (code_hash IS NOT NULL)"
            " AND audience IN ('organisation', 'email_domain', 'code')",
            name="audience_is_named",
        ),
    )
    # Serves find_entitled, the list of a run's pools, and release_due_of.
    op.create_index("ix_seat_pool_run_id", "seat_pool", ["run_id"])
    # Serves the job that releases pools.
    op.create_index("ix_seat_pool_release_at", "seat_pool", ["release_at"], postgresql_where=KEPT)
    op.execute("""
        CREATE FUNCTION count_kept_seats() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            more integer := 0;
        BEGIN
            IF TG_OP <> 'DELETE' AND NEW.released_at IS NULL THEN
                more := NEW.size - NEW.taken;
            END IF;
            IF TG_OP <> 'INSERT' AND OLD.released_at IS NULL THEN
                more := more - (OLD.size - OLD.taken);
            END IF;
            IF more <> 0 THEN
                UPDATE course_run SET seats_kept = seats_kept + more WHERE id = coalesce(NEW.run_id, OLD.run_id);
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER seat_pool_is_counted AFTER INSERT OR UPDATE OR DELETE ON seat_pool
        FOR EACH ROW EXECUTE FUNCTION count_kept_seats()
    """)
