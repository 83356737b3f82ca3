"""Price rules of runs; vouchers in batches, with what each code paid."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0013"
down_revision = "0012"

MOMENT = sa.DateTime(timezone=True)
IN_FORCE = sa.text("ended_at IS NULL")


def upgrade() -> None:
    """Create what catalogue and funding keep of prices."""
    _create_price_rules()
    _create_batches()
    _create_vouchers()
    _create_redemptions()
    _create_events()
    _guard()


def _key(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    ]


def _public(table: str) -> list[sa.schema.SchemaItem]:
    return [
        *_key(table),
        sa.Column("public_id", sa.Text, nullable=False),
        sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"),
    ]


def _to(table: str, column: str, target: str, *, is_optional: bool = False) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(column, sa.BigInteger, nullable=is_optional),
        sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}"),
    ]


def _create_price_rules() -> None:
    op.add_column(
        "course_run", sa.Column("has_price_rules", sa.Boolean, nullable=False, server_default=sa.text("false"))
    )
    op.alter_column("course_run", "has_price_rules", server_default=None)
    op.create_table(
        "price_rule",
        *_public("price_rule"),
        *_to("price_rule", "run_id", "course_run"),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("price_minor", sa.BigInteger),
        sa.Column("percent_off", sa.Integer),
        sa.Column("starts_on", sa.Date),
        sa.Column("ends_on", sa.Date),
        sa.Column("first_seats", sa.Integer),
        sa.Column("colleagues_from", sa.Integer),
        *_to("price_rule", "organisation_id", "organisation", is_optional=True),
        *_to("price_rule", "replaces_id", "price_rule", is_optional=True),
        sa.Column("created_at", MOMENT, nullable=False),
        *_to("price_rule", "created_by_id", "person", is_optional=True),
        sa.Column("ended_at", MOMENT),
        *_to("price_rule", "ended_by_id", "person", is_optional=True),
        # A version is followed by one version: two changes at once cannot both stand.
        sa.UniqueConstraint("replaces_id", name="uq_price_rule_replaces_id"),
        sa.CheckConstraint("num_nonnulls(price_minor, percent_off) = 1", name="one_effect"),
        sa.CheckConstraint("price_minor >= 0", name="price_is_not_negative"),
        sa.CheckConstraint("percent_off BETWEEN 1 AND 100", name="percent_off"),
        sa.CheckConstraint("first_seats > 0", name="first_seats"),
        sa.CheckConstraint("colleagues_from >= 2", name="colleagues_from"),
        sa.CheckConstraint("starts_on <= ends_on", name="days_in_order"),
        sa.CheckConstraint(
            "CASE kind WHEN 'early_bird' THEN ends_on IS NOT NULL WHEN 'first_seats' THEN first_seats IS NOT NULL"
            " WHEN 'colleagues' THEN colleagues_from IS NOT NULL WHEN 'members' THEN organisation_id IS NOT NULL"
            " ELSE false END",
            name="kind_has_its_condition",
        ),
    )
    # Serves every price: the rules in force of one run, or of the runs of a list.
    op.create_index("ix_price_rule_in_force", "price_rule", ["run_id", "position"], postgresql_where=IN_FORCE)
    # Serves the page of a run's rules, ended ones included.
    op.create_index("ix_price_rule_run_id", "price_rule", ["run_id"])


def _create_batches() -> None:
    numbers = pg.ARRAY(sa.BigInteger)
    op.create_table(
        "voucher_batch",
        *_public("voucher_batch"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("value_kind", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger),
        sa.Column("percent", sa.Integer),
        sa.Column("use_cap", sa.Integer),
        sa.Column("money_cap_minor", sa.BigInteger),
        sa.Column("person_cap", sa.Integer),
        sa.Column("uncapped_words", sa.Text, nullable=False),
        sa.Column("starts_on", sa.Date),
        sa.Column("ends_on", sa.Date),
        sa.Column("zone", sa.Text, nullable=False),
        *(sa.Column(name, numbers, nullable=False) for name in ("run_ids", "course_ids", "provider_ids", "person_ids")),
        sa.Column("email_domains", pg.ARRAY(sa.Text), nullable=False),
        *_to("voucher_batch", "sponsor_id", "organisation", is_optional=True),
        sa.Column("seat_pool_id", sa.BigInteger),
        sa.Column("is_demo", sa.Boolean, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        *_to("voucher_batch", "created_by_id", "person", is_optional=True),
        sa.CheckConstraint("size > 0", name="size"),
        sa.CheckConstraint(
            "CASE value_kind WHEN 'amount' THEN amount_minor > 0 AND percent IS NULL"
            " WHEN 'percent' THEN percent BETWEEN 1 AND 100 AND amount_minor IS NULL"
            " WHEN 'full' THEN percent IS NULL AND amount_minor IS NULL ELSE false END",
            name="value",
        ),
        sa.CheckConstraint("least(use_cap, person_cap, 1) = 1", name="caps_of_uses"),
        sa.CheckConstraint("money_cap_minor > 0", name="money_cap"),
        sa.CheckConstraint("starts_on <= ends_on", name="days_in_order"),
        # Never unlimited by accident.
        sa.CheckConstraint(
            "num_nonnulls(use_cap, money_cap_minor) = 2 OR uncapped_words <> ''", name="capped_or_asked_for"
        ),
    )


def _create_vouchers() -> None:
    op.create_table(
        "voucher",
        *_public("voucher"),
        *_to("voucher", "batch_id", "voucher_batch"),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("code_hash", sa.Text, nullable=False),
        sa.Column("code_tail", sa.Text, nullable=False),
        sa.Column("word", sa.Text),
        sa.Column("use_cap", sa.Integer),
        sa.Column("money_cap_minor", sa.BigInteger),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("spent_minor", sa.BigInteger, nullable=False),
        sa.Column("ended_at", MOMENT),
        *_to("voucher", "ended_by_id", "person", is_optional=True),
        sa.Column("end_reason", sa.Text),
        # Also finds a code.
        sa.UniqueConstraint("code_hash", name="uq_voucher_code_hash"),
        # Also serves the page and the sums of a batch.
        sa.UniqueConstraint("batch_id", "number", name="uq_voucher_batch_id_number"),
        sa.CheckConstraint("uses >= 0 AND (use_cap IS NULL OR uses <= use_cap)", name="uses_within_cap"),
        sa.CheckConstraint(
            "spent_minor >= 0 AND (money_cap_minor IS NULL OR spent_minor <= money_cap_minor)", name="spent_within_cap"
        ),
        sa.CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="ended_for_a_reason"),
    )


def _create_redemptions() -> None:
    op.create_table(
        "voucher_redemption",
        *_key("voucher_redemption"),
        *_to("voucher_redemption", "voucher_id", "voucher"),
        *_to("voucher_redemption", "order_line_id", "order_line"),
        *_to("voucher_redemption", "person_id", "person"),
        *_to("voucher_redemption", "sponsor_id", "organisation", is_optional=True),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("redeemed_at", MOMENT, nullable=False),
        # Two codes never pay for one line, and one code never twice.
        sa.UniqueConstraint("order_line_id", name="uq_voucher_redemption_order_line_id"),
        sa.CheckConstraint("amount_minor > 0", name="amount_is_positive"),
    )
    # Serves the page of a code, and a person's uses of it.
    op.create_index("ix_voucher_redemption_voucher_id", "voucher_redemption", ["voucher_id", "id"])
    op.create_table(
        "voucher_movement",
        *_key("voucher_movement"),
        *_to("voucher_movement", "redemption_id", "voucher_redemption"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "CASE kind WHEN 'returned' THEN amount_minor < 0 AND uses IN (-1, 0)"
            " WHEN 'redeemed' THEN amount_minor > 0 AND uses = 1"
            " WHEN 'redeemed_again' THEN amount_minor > 0 AND uses IN (0, 1) ELSE false END",
            name="direction",
        ),
    )
    # Serves what is kept of a redemption.
    op.create_index("ix_voucher_movement_redemption_id", "voucher_movement", ["redemption_id"])


def _create_events() -> None:
    op.create_table(
        "voucher_event",
        *_key("voucher_event"),
        *_to("voucher_event", "batch_id", "voucher_batch"),
        *_to("voucher_event", "voucher_id", "voucher", is_optional=True),
        sa.Column("kind", sa.Text, nullable=False),
        *_to("voucher_event", "actor_id", "person", is_optional=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('issued', 'downloaded', 'ended')", name="kind"),
    )
    # Serves the trail on the page of a batch.
    op.create_index("ix_voucher_event_batch_id", "voucher_event", ["batch_id", "id"])


def _guard() -> None:
    """Facts are added to, and terms never change: of a rule and a code only what says where it stands does."""
    for table in ("voucher_batch", "voucher_redemption", "voucher_movement", "voucher_event"):
        op.execute(f"""
            CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """)
    terms = {
        "price_rule": "run_id, position, kind, currency, price_minor, percent_off, starts_on, ends_on, first_seats,"
        " colleagues_from, organisation_id, replaces_id",
        "voucher": "batch_id, number, code_hash, word, use_cap, money_cap_minor",
    }
    for table, columns in terms.items():
        op.execute(f"""
            CREATE TRIGGER {table}_keeps_its_terms BEFORE DELETE OR UPDATE OF {columns} ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """)
