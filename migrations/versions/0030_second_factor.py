"""Second factors and their recovery codes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "second_factor",
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("confirmed_at", MOMENT),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("person_id", name="pk_second_factor"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_second_factor_person_id"),
    )
    op.create_table(
        "recovery_code",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("code_hash", sa.Text, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_code"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_recovery_code_person_id"),
        # Serves the look-up of a code, and the count of those that are left.
        sa.UniqueConstraint("person_id", "code_hash", name="uq_recovery_code_person_id_code_hash"),
    )
