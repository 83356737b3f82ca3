"""The reason of an officer's act may be emptied and nothing else: a person who is forgotten is named nowhere."""

from __future__ import annotations

from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """Put the narrower trigger in the place of the one that refuses every change."""
    # Where a word is asked for, "…" stands for the ones that were taken out.
    op.execute("""
        CREATE OR REPLACE FUNCTION refuse_change_but_blanking() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' AND to_jsonb(NEW) ->> TG_ARGV[0] IN ('', '…')
               AND to_jsonb(NEW) - TG_ARGV[0] = to_jsonb(OLD) - TG_ARGV[0] THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
        END $$
    """)
    op.execute("DROP TRIGGER staff_act_is_append_only ON staff_act")
    op.execute("""
        CREATE TRIGGER staff_act_is_append_only BEFORE UPDATE OR DELETE ON staff_act
        FOR EACH ROW EXECUTE FUNCTION refuse_change_but_blanking('reason')
    """)
