"""Sponsors of vouchers pay what they owe: by bank transfer, above the limit seen by two officers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make room for the payments; there were none, as nothing took them in."""
    table = "sponsor_payment"
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.BigInteger, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("bank_reference", sa.Text, nullable=False),
        sa.Column("received_on", sa.Date, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("proposed_by_id", sa.BigInteger, nullable=False),
        sa.Column("proposed_at", MOMENT, nullable=False),
        sa.Column("decided_by_id", sa.BigInteger),
        sa.Column("decided_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=f"fk_{table}_organisation_id"),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["person.id"], name=f"fk_{table}_proposed_by_id"),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name=f"fk_{table}_decided_by_id"),
        sa.CheckConstraint("state IN ('proposed', 'settled', 'declined')", name="state"),
        sa.CheckConstraint("amount_minor > 0", name="amount_is_positive"),
        # Four eyes: whoever proposed it is never the one who is noted as having decided about it.
        sa.CheckConstraint("decided_by_id <> proposed_by_id", name="four_eyes"),
    )
    # One transfer is entered once; one that was turned down makes room for another.
    op.create_index(
        f"uq_{table}_bank_reference",
        table,
        ["bank_reference"],
        unique=True,
        postgresql_where=sa.text("state <> 'declined'"),
    )
    # Serves what a sponsor paid lately.
    op.create_index(f"ix_{table}_organisation_id", table, ["organisation_id", "proposed_at"])
    # Serves the queue of the second officer.
    op.create_index(f"ix_{table}_waiting", table, ["id"], postgresql_where=sa.text("state = 'proposed'"))
