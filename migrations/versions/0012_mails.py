"""What mails carry besides words, and which kinds a person does not want."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the columns and the table; mails written before carry nothing and are kept."""
    op.add_column("outgoing_mail", sa.Column("calendar", sa.Text))
    op.add_column("outgoing_mail", sa.Column("unsubscribe_url", sa.Text))
    op.add_column("outgoing_mail", sa.Column("is_kept", sa.Boolean, nullable=False, server_default=sa.true()))
    op.alter_column("outgoing_mail", "is_kept", server_default=None)
    op.create_table(
        "mail_opt_out",
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "kind", name="pk_mail_opt_out"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_mail_opt_out_person_id"),
    )
