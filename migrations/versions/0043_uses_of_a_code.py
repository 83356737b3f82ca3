"""How often a person used a code is found without reading everybody's uses of it."""

from __future__ import annotations

from alembic import op

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    """Add the index."""
    # Serves funding.vouchers: the uses of one code by one person, asked under the lock of the code.
    op.create_index("ix_voucher_redemption_person_id", "voucher_redemption", ["person_id", "voucher_id"])
