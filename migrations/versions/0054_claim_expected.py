"""By when a funder is expected to pay a batch of claims: thirty days after it was made, unless it has more time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"


def upgrade() -> None:
    """Add the moment, fill it from when each batch was made, and serve the list of what is overdue."""
    op.add_column("claim_batch", sa.Column("pay_by", sa.DateTime(timezone=True)))
    # The end of the thirtieth day after, in the zone of the programme, if PostgreSQL knows it by that name.
    op.execute("""
        UPDATE claim_batch
           SET pay_by = (date_trunc('day', made_at AT TIME ZONE zone) + interval '31 days') AT TIME ZONE zone
          FROM (SELECT programme.id, coalesce(known.name, 'Asia/Shanghai') AS zone
                  FROM funding_programme AS programme LEFT JOIN pg_timezone_names AS known ON known.name = zone
               ) AS days
         WHERE days.id = claim_batch.programme_id
    """)
    op.alter_column("claim_batch", "pay_by", nullable=False)
    unpaid = sa.text("paid_at IS NULL")
    op.create_index("ix_claim_batch_pay_by", "claim_batch", ["pay_by"], postgresql_where=unpaid)
