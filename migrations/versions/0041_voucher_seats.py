"""Seats kept for the codes of a batch of vouchers, which name the pool themselves."""

from __future__ import annotations

from alembic import op

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    """Let a pool have the holders of vouchers as its audience, and a batch name a pool of its own."""
    op.drop_constraint("audience_is_named", "seat_pool", type_="check")
    op.create_check_constraint(
        "audience_is_named",
        "seat_pool",
        "(audience = 'organisation') = (organisation_id IS NOT NULL)"
        " AND (audience = 'email_domain') = (email_domain IS NOT NULL)"
        " AND (audience = 'code') = (code_hash IS NOT NULL)"
        " AND audience IN ('organisation', 'email_domain', 'code', 'voucher')",
    )
    # Serves the page of a run's seats; a pool belongs to one batch.
    op.create_index("uq_voucher_batch_seat_pool_id", "voucher_batch", ["seat_pool_id"], unique=True)
