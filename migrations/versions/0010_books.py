"""The ledger learns whose an amount is and for which run; terms by which a sale is shared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0010"
down_revision = "0009"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Widen the ledger over what is posted, and set the first terms."""
    _widen_ledger()
    _create_terms()


def _widen_ledger() -> None:
    op.add_column("ledger_transaction", sa.Column("run_id", sa.BigInteger))
    op.add_column("ledger_transaction", sa.Column("details", pg.JSONB, nullable=False, server_default=sa.text("'{}'")))
    op.create_foreign_key("fk_ledger_transaction_run_id", "ledger_transaction", "course_run", ["run_id"], ["id"])
    op.add_column("ledger_entry", sa.Column("organisation_id", sa.BigInteger))
    # Written from the funding room's facts, whose tables are made later than this one.
    op.add_column("ledger_entry", sa.Column("programme_id", sa.BigInteger))
    op.create_foreign_key(
        "fk_ledger_entry_organisation_id", "ledger_entry", "organisation", ["organisation_id"], ["id"]
    )
    # The one change of what is posted: the run was in the order all the time.
    op.execute("ALTER TABLE ledger_transaction DISABLE TRIGGER ledger_transaction_is_append_only")
    op.execute("""
        UPDATE ledger_transaction SET run_id = line.run_id
          FROM (SELECT DISTINCT ON (order_id) order_id, run_id FROM order_line ORDER BY order_id, id) AS line
         WHERE line.order_id = ledger_transaction.order_id
    """)
    op.execute("ALTER TABLE ledger_transaction ENABLE TRIGGER ledger_transaction_is_append_only")
    op.alter_column("ledger_transaction", "details", server_default=None)
    # Serves what a run brought in, and what of it is still unearned.
    op.create_index("ix_ledger_transaction_run_id", "ledger_transaction", ["run_id"])
    # Serves the journal and the trial balance of a period.
    op.create_index("ix_ledger_transaction_occurred_at", "ledger_transaction", ["occurred_at", "id"])
    owned = sa.text("organisation_id IS NOT NULL")
    # Serves what is owed to each provider and by each sponsor.
    op.create_index("ix_ledger_entry_owner", "ledger_entry", ["account", "organisation_id"], postgresql_where=owned)


def _create_terms() -> None:
    terms = op.create_table(
        "revenue_terms",
        sa.Column("version", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("valid_from", MOMENT, nullable=False),
        sa.Column("platform_fee", sa.Integer, nullable=False),
        sa.Column("tax", sa.Integer, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("recorded_by_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("version", name="pk_revenue_terms"),
        sa.ForeignKeyConstraint(["recorded_by_id"], ["person.id"], name="fk_revenue_terms_recorded_by_id"),
        sa.CheckConstraint("platform_fee BETWEEN 0 AND 10000 AND tax BETWEEN 0 AND 10000", name="shares"),
    )
    # Ten per cent for the platform, and the six per cent of value-added tax on services of living.
    op.execute(
        terms.insert().values(
            version=1, valid_from=sa.text("'2000-01-01Z'"), platform_fee=1000, tax=600, recorded_at=sa.text("now()")
        )
    )
    op.execute("""
        CREATE TRIGGER revenue_terms_is_append_only BEFORE UPDATE OR DELETE ON revenue_terms
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)
