"""Funding programmes, their subsidies and claims; and the size of a person's employer, which rules may ask for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0014"
down_revision = "0013"

MOMENT = sa.DateTime(timezone=True)
STATES = (
    "'applied', 'reserved', 'earned', 'claimed', 'paid', 'rejected', 'lapsed', 'clawed_back', 'cancelled', 'released'"
)
APPEND_ONLY = (
    "funding_deposit",
    "programme_event",
    "subsidy_consent",
    "subsidy_attempt",
    "subsidy_event",
    "subsidy_file",
)


def upgrade() -> None:
    """Create what the funding room keeps of programmes."""
    op.add_column("person", sa.Column("employer_size", sa.Text))
    op.create_check_constraint("employer_size", "person", "employer_size IN ('micro', 'small', 'medium', 'large')")
    _create_programmes()
    _create_rules()
    _create_asking()
    _create_subsidies()
    _create_events()
    for table in APPEND_ONLY:
        op.execute(f"""
            CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """)


def _key(table: str, *, is_public: bool = False) -> list[sa.schema.SchemaItem]:
    found: list[sa.schema.SchemaItem] = [
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    ]
    if is_public:
        found += [
            sa.Column("public_id", sa.Text, nullable=False),
            sa.UniqueConstraint("public_id", name=f"uq_{table}_public_id"),
        ]
    return found


def _to(table: str, column: str, target: str, *, is_optional: bool = False) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(column, sa.BigInteger, nullable=is_optional),
        sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}"),
    ]


def _texts(*names: str) -> list[sa.schema.SchemaItem]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _create_programmes() -> None:
    op.create_table(
        "funding_programme",
        *_key("funding_programme", is_public=True),
        *_texts("name_zh", "name_en", "terms_zh", "terms_en"),
        *_to("funding_programme", "funder_id", "organisation", is_optional=True),
        *_texts("funder_zh", "funder_en", "currency", "zone"),
        sa.Column("applications_from", sa.Date, nullable=False),
        sa.Column("applications_until", sa.Date, nullable=False),
        sa.Column("runs_from", sa.Date),
        sa.Column("runs_until", sa.Date),
        sa.Column("deposited_minor", sa.BigInteger, nullable=False),
        sa.Column("committed_minor", sa.BigInteger, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT),
        # The last word on the budget: whatever the code does, a fen more than was deposited is refused.
        sa.CheckConstraint("committed_minor BETWEEN 0 AND deposited_minor", name="within_budget"),
        sa.CheckConstraint(
            "applications_from <= applications_until AND (runs_from <= runs_until) IS NOT FALSE", name="days_in_order"
        ),
        sa.CheckConstraint("name_zh <> '' OR name_en <> ''", name="has_name"),
        sa.CheckConstraint("funder_id IS NOT NULL OR funder_zh <> '' OR funder_en <> ''", name="has_funder"),
    )
    # Serves the programmes one may apply to today.
    op.create_index("ix_funding_programme_applications_until", "funding_programme", ["applications_until"])
    op.create_index("ix_funding_programme_funder_id", "funding_programme", ["funder_id"])
    op.create_table(
        "funding_deposit",
        *_key("funding_deposit"),
        *_to("funding_deposit", "programme_id", "funding_programme"),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        *_texts("reference", "note"),
        sa.Column("recorded_at", MOMENT, nullable=False),
        *_to("funding_deposit", "recorded_by_id", "person", is_optional=True),
        sa.UniqueConstraint("programme_id", "reference", name="uq_funding_deposit_programme_id_reference"),
        sa.CheckConstraint("amount_minor <> 0", name="is_not_nothing"),
    )
    op.create_table(
        "programme_event",
        *_key("programme_event"),
        *_to("programme_event", "programme_id", "funding_programme"),
        *_texts("kind"),
        sa.Column("occurred_at", MOMENT, nullable=False),
        *_to("programme_event", "actor_id", "person", is_optional=True),
        sa.Column("details", pg.JSONB, nullable=False),
    )
    op.create_index("ix_programme_event_programme_id", "programme_event", ["programme_id"])


def _create_rules() -> None:
    op.create_table(
        "funding_rule",
        *_key("funding_rule"),
        *_to("funding_rule", "programme_id", "funding_programme"),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content", pg.JSONB, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("published_at", MOMENT),
        *_to("funding_rule", "published_by_id", "person", is_optional=True),
        sa.UniqueConstraint("programme_id", "version", name="uq_funding_rule_programme_id_version"),
    )
    # One draft at a time.
    draft = sa.text("published_at IS NULL")
    op.create_index("uq_funding_rule_draft", "funding_rule", ["programme_id"], unique=True, postgresql_where=draft)
    # What was published is frozen: lines keep the version they were decided by.
    op.execute("""
        CREATE TRIGGER funding_rule_is_frozen BEFORE UPDATE OR DELETE ON funding_rule
        FOR EACH ROW WHEN (OLD.published_at IS NOT NULL) EXECUTE FUNCTION refuse_change()
    """)


def _create_asking() -> None:
    op.create_table(
        "subsidy_consent",
        *_key("subsidy_consent"),
        *_to("subsidy_consent", "person_id", "person"),
        *_to("subsidy_consent", "programme_id", "funding_programme"),
        sa.Column("text_version", sa.Integer, nullable=False),
        *_texts("locale", "text"),
        sa.Column("facts", pg.JSONB, nullable=False),
        sa.Column("given_at", MOMENT, nullable=False),
    )
    op.create_index("ix_subsidy_consent_person_id", "subsidy_consent", ["person_id"])
    op.create_table(
        "subsidy_attempt",
        *_key("subsidy_attempt"),
        *_to("subsidy_attempt", "programme_id", "funding_programme"),
        *_to("subsidy_attempt", "rule_id", "funding_rule", is_optional=True),
        *_to("subsidy_attempt", "person_id", "person"),
        *_to("subsidy_attempt", "order_line_id", "order_line", is_optional=True),
        *_texts("outcome", "refusal"),
        sa.Column("price_minor", sa.BigInteger, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        *_texts("currency"),
        sa.Column("buyer", pg.JSONB, nullable=False),
        sa.Column("offer", pg.JSONB, nullable=False),
        sa.Column("reasons", pg.JSONB, nullable=False),
        sa.Column("attempted_at", MOMENT, nullable=False),
        sa.CheckConstraint("outcome IN ('accepted', 'refused')", name="outcome"),
        sa.CheckConstraint("(outcome = 'accepted') = (order_line_id IS NOT NULL)", name="accepted_has_line"),
    )
    newest = sa.text("id DESC")
    # Serves the list of a programme's refusals, newest first.
    op.create_index("ix_subsidy_attempt_programme_id", "subsidy_attempt", ["programme_id", newest])
    op.create_index("ix_subsidy_attempt_person_id", "subsidy_attempt", ["person_id"])
    op.create_index("ix_subsidy_attempt_rule_id", "subsidy_attempt", ["rule_id"])


def _create_subsidies() -> None:
    op.create_table(
        "claim_batch",
        *_key("claim_batch", is_public=True),
        *_to("claim_batch", "programme_id", "funding_programme"),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        *_to("claim_batch", "made_by_id", "person", is_optional=True),
        sa.Column("paid_at", MOMENT),
        *_texts("bank_reference"),
        sa.UniqueConstraint("programme_id", "number", name="uq_claim_batch_programme_id_number"),
        sa.CheckConstraint("(paid_at IS NULL) = (bank_reference = '')", name="paid_by_reference"),
    )
    op.create_table(
        "subsidy",
        *_key("subsidy", is_public=True),
        *_to("subsidy", "programme_id", "funding_programme"),
        *_to("subsidy", "rule_id", "funding_rule"),
        *_to("subsidy", "attempt_id", "subsidy_attempt"),
        *_to("subsidy", "consent_id", "subsidy_consent"),
        *_to("subsidy", "person_id", "person"),
        *_to("subsidy", "order_line_id", "order_line"),
        *_texts("order_number", "title_zh", "title_en", "state"),
        *(
            sa.Column(f"{name}_minor", sa.BigInteger, nullable=False)
            for name in ("amount", "committed", "owed")
        ),
        *_texts("currency"),
        sa.Column("applied_at", MOMENT, nullable=False),
        sa.Column("earn_by", MOMENT, nullable=False),
        sa.Column("claim_by", MOMENT),
        *_to("subsidy", "batch_id", "claim_batch", is_optional=True),
        sa.UniqueConstraint("order_line_id", name="uq_subsidy_order_line_id"),
        sa.CheckConstraint(f"state IN ({STATES})", name="state"),
        sa.CheckConstraint(
            "amount_minor > 0 AND owed_minor >= 0 AND committed_minor >= 0"
            " AND committed_minor + owed_minor <= amount_minor",
            name="amounts",
        ),
        sa.CheckConstraint("state NOT IN ('claimed', 'paid') OR batch_id IS NOT NULL", name="claimed_in_a_batch"),
    )  # fmt: skip
    newest = sa.text("id DESC")
    # Serve the applications of a programme, all or in one state, newest first.
    op.create_index("ix_subsidy_programme_id_state", "subsidy", ["programme_id", "state", newest])
    op.create_index("ix_subsidy_programme_id", "subsidy", ["programme_id", newest])
    # Serves the cap per person and year, and a person's own list.
    op.create_index("ix_subsidy_person_id", "subsidy", ["person_id", newest])
    # Serves the job that looks for evidence.
    op.create_index("ix_subsidy_reserved", "subsidy", ["id"], postgresql_where=sa.text("state = 'reserved'"))
    # Serves the job that lets unclaimed ones lapse.
    op.create_index("ix_subsidy_claim_by", "subsidy", ["claim_by"], postgresql_where=sa.text("state = 'earned'"))
    op.create_index("ix_subsidy_batch_id", "subsidy", ["batch_id"])


def _create_events() -> None:
    op.create_table(
        "subsidy_event",
        *_key("subsidy_event"),
        *_to("subsidy_event", "subsidy_id", "subsidy"),
        *_texts("act"),
        sa.Column("from_state", sa.Text),
        *_texts("to_state"),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        *_to("subsidy_event", "actor_id", "person", is_optional=True),
        *(sa.Column(f"{name}_minor", sa.BigInteger, nullable=False) for name in ("amount", "owed", "borne")),
        sa.Column("deadline", MOMENT),
        sa.Column("evidence", pg.JSONB, nullable=False),
        sa.CheckConstraint(f"to_state IN ({STATES})", name="to_state"),
    )
    op.create_index("ix_subsidy_event_subsidy_id", "subsidy_event", ["subsidy_id"])
    op.create_table(
        "subsidy_file",
        *_key("subsidy_file", is_public=True),
        *_to("subsidy_file", "subsidy_id", "subsidy"),
        *_texts("file_name", "sha256"),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("added_at", MOMENT, nullable=False),
        *_to("subsidy_file", "added_by_id", "person", is_optional=True),
    )
    op.create_index("ix_subsidy_file_subsidy_id", "subsidy_file", ["subsidy_id"])
