"""Extensions, the job queue and outgoing mail."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

QUEUE = Path(__file__).parents[1] / "procrastinate.sql"


def upgrade() -> None:
    """Create what the ground floor keeps."""
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE EXTENSION IF NOT EXISTS unaccent")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    _create_queue()
    op.create_table(
        "outgoing_mail",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("html", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_outgoing_mail"),
        # Serves mail.send: one act writes once to one person.
        sa.UniqueConstraint("message", "recipient", "key", name="uq_outgoing_mail_message_recipient_key"),
    )


def _create_queue() -> None:
    """Apply procrastinate 3.10's schema, kept beside this file so that a later release cannot change this migration."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(QUEUE.read_text(encoding="utf-8"))
