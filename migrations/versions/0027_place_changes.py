"""Deferrals and transfers of places."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

MOMENT = sa.DateTime(timezone=True)
OPEN = sa.text("state IN ('offered', 'awaiting_payment')")


def _to(column: str, target: str, *, is_optional: bool = False) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(column, sa.BigInteger, nullable=is_optional),
        sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_enrolment_change_{column}"),
    ]


def upgrade() -> None:
    """Create the changes of places."""
    op.create_table(
        "enrolment_change",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_enrolment_change"),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.UniqueConstraint("public_id", name="uq_enrolment_change_public_id"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        *_to("enrolment_id", "enrolment"),
        *_to("new_enrolment_id", "enrolment", is_optional=True),
        *_to("to_run_id", "course_run"),
        sa.Column("to_email", sa.Text),
        sa.Column("key_hash", sa.Text),
        # Also finds the offer of a mailed link.
        sa.UniqueConstraint("key_hash", name="uq_enrolment_change_key_hash"),
        *_to("order_id", "order", is_optional=True),
        # Also finds the deferral that an order pays for.
        sa.UniqueConstraint("order_id", name="uq_enrolment_change_order_id"),
        sa.Column("difference_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        *_to("requested_by_id", "person", is_optional=True),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.CheckConstraint("kind IN ('deferral', 'transfer')", name="kind"),
        sa.CheckConstraint(
            "state IN ('offered', 'awaiting_payment', 'done', 'refused', 'withdrawn', 'expired')", name="state"
        ),
        sa.CheckConstraint("(state = 'done') = (new_enrolment_id IS NOT NULL)", name="done_has_a_place"),
    )
    # A place changes in one way at a time.
    op.create_index(
        "uq_enrolment_change_open", "enrolment_change", ["enrolment_id"], unique=True, postgresql_where=OPEN
    )
    # Serves the changes of a place.
    op.create_index("ix_enrolment_change_enrolment_id", "enrolment_change", ["enrolment_id"])
