"""Papers about what is kept: an invoice and a fapiao for a paid debt, a credit note for all that went back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"

STANDING = sa.text("state IN ('requested', 'issued', 'reversal_needed')")


def upgrade() -> None:
    """Know of a debt's papers, and credit by the fact that money went back instead of by our sending it."""
    op.drop_constraint(op.f("ck_invoice_kind"), "invoice")
    op.create_check_constraint("kind", "invoice", "kind IN ('invoice', 'debt_invoice', 'credit_note')")
    op.add_column("invoice", sa.Column("refund_due_id", sa.BigInteger))
    # The same fact in other words: a refund has exactly one.
    op.execute("ALTER TABLE invoice DISABLE TRIGGER invoice_is_append_only")
    op.execute("""
        UPDATE invoice SET refund_due_id = refund.refund_due_id FROM refund WHERE refund.id = invoice.refund_id
    """)
    op.execute("ALTER TABLE invoice ENABLE TRIGGER invoice_is_append_only")
    op.drop_column("invoice", "refund_id")
    op.create_foreign_key("fk_invoice_refund_due_id", "invoice", "refund_due", ["refund_due_id"], ["id"])
    # What went back is credited once, however often the job runs.
    op.create_unique_constraint("uq_invoice_refund_due_id", "invoice", ["refund_due_id"])

    op.add_column("fapiao_request", sa.Column("purpose", sa.Text, nullable=False, server_default="order"))
    op.alter_column("fapiao_request", "purpose", server_default=None)
    op.create_check_constraint("purpose", "fapiao_request", "purpose IN ('order', 'debt')")
    op.drop_index("uq_fapiao_request_standing", "fapiao_request")
    op.create_index(
        "uq_fapiao_request_standing", "fapiao_request", ["order_id", "purpose"], unique=True, postgresql_where=STANDING
    )
