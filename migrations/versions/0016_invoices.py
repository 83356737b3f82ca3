"""Sellers, invoices with their credit notes and number series, and requests for a fapiao."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0016"
down_revision = "0015"

MOMENT = sa.DateTime(timezone=True)
STANDING = sa.text("state IN ('requested', 'issued', 'reversal_needed')")
OPEN = sa.text("state IN ('requested', 'reversal_needed')")


def upgrade() -> None:
    """Create the tables; what was issued, noted or filed is never changed."""
    _create_sellers()
    _create_invoices()
    _create_fapiao()
    for table in ("invoice", "fapiao_event", "fapiao_file"):
        op.execute(f"""
            CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """)


def _key(table: str, *, is_public: bool = True) -> list[sa.schema.SchemaItem]:
    items: list[sa.schema.SchemaItem] = [
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    ]
    if is_public:
        items.append(sa.Column("public_id", sa.Text, nullable=False))
        items.append(sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"))
    return items


def _to(table: str, column: str, target: str, *, is_optional: bool = False) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(column, sa.BigInteger, nullable=is_optional),
        sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}"),
    ]


def _texts(*names: str, is_optional: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=is_optional) for name in names]


def _create_sellers() -> None:
    op.create_table(
        "seller",
        *_key("seller", is_public=False),
        *_to("seller", "organisation_id", "organisation", is_optional=True),
        *_texts("name_zh", "name_en", "tax_number", "address_zh", "address_en", "prefix", "zone"),
        # One seller an organisation, and one without: the programme itself.
        sa.UniqueConstraint("organisation_id", name="uq_seller_organisation_id", postgresql_nulls_not_distinct=True),
        sa.UniqueConstraint("prefix", name="uq_seller_prefix"),
    )
    op.create_table(
        "invoice_series",
        *_to("invoice_series", "seller_id", "seller"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("last_number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("seller_id", "kind", "year", name="pk_invoice_series"),
    )


def _create_invoices() -> None:
    op.create_table(
        "invoice",
        *_key("invoice"),
        *_to("invoice", "seller_id", "seller"),
        *_texts("kind"),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        *_to("invoice", "order_id", "order"),
        *_to("invoice", "corrects_id", "invoice", is_optional=True),
        *_to("invoice", "refund_id", "refund", is_optional=True),
        sa.Column("issued_at", MOMENT, nullable=False),
        *_to("invoice", "issued_by_id", "person", is_optional=True),
        sa.Column("recorded_at", MOMENT, nullable=False),
        *_texts("currency"),
        sa.Column("total_minor", sa.BigInteger, nullable=False),
        sa.Column("tax_minor", sa.BigInteger, nullable=False),
        sa.Column("billed_to", pg.JSONB, nullable=False),
        *_texts("payer", "remitter"),
        sa.Column("seller_facts", pg.JSONB, nullable=False),
        sa.Column("lines", pg.JSONB, nullable=False),
        sa.UniqueConstraint("seller_id", "kind", "year", "number", name="uq_invoice_seller_id_kind_year_number"),
        # A refund is credited once, however often the job runs.
        sa.UniqueConstraint("refund_id", name="uq_invoice_refund_id"),
        sa.CheckConstraint("kind IN ('invoice', 'credit_note')", name="kind"),
        sa.CheckConstraint("(kind = 'credit_note') = (corrects_id IS NOT NULL)", name="only_a_credit_note_corrects"),
        sa.CheckConstraint("total_minor > 0 AND tax_minor BETWEEN 0 AND total_minor", name="amounts"),
    )
    # Serves the page of an order's invoice, and the search for refunds to credit.
    op.create_index("ix_invoice_order_id", "invoice", ["order_id"])
    # Serves the sum credited of an invoice.
    op.create_index("ix_invoice_corrects_id", "invoice", ["corrects_id"])


def _create_fapiao() -> None:
    op.create_table(
        "fapiao_request",
        *_key("fapiao_request"),
        *_to("fapiao_request", "order_id", "order"),
        *_texts("state", "kind", "title", "email", "currency"),
        *_texts("tax_number", "number", "reversal_number", "note", is_optional=True),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("issued_on", sa.Date),
        sa.CheckConstraint(
            "state IN ('requested', 'issued', 'reversal_needed', 'reversed', 'rejected', 'withdrawn')", name="state"
        ),
        sa.CheckConstraint("kind IN ('personal', 'company')", name="kind"),
        sa.CheckConstraint("(kind = 'company') = (tax_number IS NOT NULL)", name="company_has_tax_number"),
        sa.CheckConstraint("amount_minor > 0", name="amount_is_positive"),
    )
    # One request an order at a time; also finds it, for the gate that refunds pass.
    op.create_index(
        "uq_fapiao_request_standing", "fapiao_request", ["order_id"], unique=True, postgresql_where=STANDING
    )
    # Serves the queue of finance staff.
    op.create_index("ix_fapiao_request_open", "fapiao_request", ["id"], postgresql_where=OPEN)
    op.create_index("ix_fapiao_request_order_id", "fapiao_request", ["order_id"])
    op.create_table(
        "fapiao_event",
        *_key("fapiao_event", is_public=False),
        *_to("fapiao_event", "request_id", "fapiao_request"),
        *_texts("act", "state"),
        sa.Column("occurred_at", MOMENT, nullable=False),
        *_to("fapiao_event", "actor_id", "person", is_optional=True),
        sa.Column("details", pg.JSONB, nullable=False),
    )
    op.create_index("ix_fapiao_event_request_id", "fapiao_event", ["request_id"])
    op.create_table(
        "fapiao_file",
        *_key("fapiao_file"),
        *_to("fapiao_file", "request_id", "fapiao_request"),
        *_texts("purpose", "file_name", "media_type"),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("uploaded_at", MOMENT, nullable=False),
        sa.CheckConstraint("purpose IN ('fapiao', 'reversal')", name="purpose"),
    )
    op.create_index("ix_fapiao_file_request_id", "fapiao_file", ["request_id"])
