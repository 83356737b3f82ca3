"""What people agree to: versions, moments, acts and withdrawals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table; of a row nothing but its withdrawal is ever written again."""
    op.create_table(
        "consent",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.BigInteger),
        sa.Column("given_at", MOMENT, nullable=False),
        sa.Column("withdrawn_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_consent"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_consent_person_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name="fk_consent_organisation_id"),
        sa.CheckConstraint("language IN ('zh', 'en')", name="language_is_known"),
        sa.CheckConstraint("(document = 'sharing') = (organisation_id IS NOT NULL)", name="sharing_says_with_whom"),
        sa.CheckConstraint("withdrawn_at >= given_at", name="withdrawn_after_given"),
    )
    # Serves the list of what a person agreed to.
    op.create_index("ix_consent_person_id", "consent", ["person_id"])
    # One open consent per person and organisation; also serves the employer's list.
    op.create_index(
        "uq_consent_open_sharing",
        "consent",
        ["organisation_id", "person_id"],
        unique=True,
        postgresql_where=sa.text("document = 'sharing' AND withdrawn_at IS NULL"),
    )
    op.execute("""
        CREATE FUNCTION refuse_change_of_consent() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' AND OLD.withdrawn_at IS NULL
               AND to_jsonb(NEW) - 'withdrawn_at' = to_jsonb(OLD) - 'withdrawn_at' THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'consent is append-only but for its withdrawal';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER consent_is_append_only BEFORE UPDATE OR DELETE ON consent
        FOR EACH ROW EXECUTE FUNCTION refuse_change_of_consent()
    """)
