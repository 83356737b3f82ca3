"""People, organisations, memberships, sign-ins and the throttle's counters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

MOMENT = sa.DateTime(timezone=True)
STAFF_ROLES = "role IN ('reviewer', 'funding_officer', 'finance_officer', 'analyst', 'administrator')"
MEMBER_ROLES = "role IN ('owner', 'editor', 'registrar', 'instructor', 'finance')"


def upgrade() -> None:
    """Create what the accounts room keeps."""
    _create_people()
    _create_organisations()
    _create_traces()
    _create_throttle()


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


def _create_people() -> None:
    op.create_table(
        "person",
        *_public("person"),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("confirmed_at", MOMENT),
        sa.Column("password", sa.Text),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("fs_uniquifier", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.Text)
            for name in ("region", "district", "industry_code", "occupation", "employer", "experience_band")
        ),
        sa.Column("is_demo", sa.Boolean, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.UniqueConstraint("email", name="uq_person_email"),
        sa.UniqueConstraint("fs_uniquifier", name="uq_person_fs_uniquifier"),
        sa.CheckConstraint("email = lower(btrim(email)) AND email LIKE '%_@_%'", name="email_is_normal"),
        sa.CheckConstraint("locale IN ('zh', 'en')", name="locale_is_known"),
        sa.CheckConstraint("district IS NULL OR region IS NOT NULL", name="district_is_in_region"),
    )
    op.create_table(
        "staff_appointment",
        *_to("staff_appointment", "person_id", "person"),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("appointed_at", MOMENT, nullable=False),
        *_to("staff_appointment", "appointed_by_id", "person", is_optional=True),
        sa.PrimaryKeyConstraint("person_id", "role", name="pk_staff_appointment"),
        sa.CheckConstraint(STAFF_ROLES, name="role_is_known"),
    )


def _create_organisations() -> None:
    names = ("name_zh", "name_en", "summary_zh", "summary_en", "country", "city_zh", "city_en")
    op.create_table(
        "organisation",
        *_public("organisation"),
        sa.Column("kind", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in names),
        sa.Column("website", sa.Text),
        sa.Column("is_demo", sa.Boolean, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('university', 'industry_partner', 'employer')", name="kind_is_known"),
        sa.CheckConstraint("name_zh <> '' OR name_en <> ''", name="has_a_name"),
    )
    op.create_table(
        "membership",
        *_key("membership"),
        *_to("membership", "person_id", "person"),
        *_to("membership", "organisation_id", "organisation"),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.UniqueConstraint(
            "person_id", "organisation_id", "role", name="uq_membership_person_id_organisation_id_role"
        ),
        sa.CheckConstraint(MEMBER_ROLES, name="role_is_known"),
    )
    op.create_index("ix_membership_organisation_id", "membership", ["organisation_id"])
    op.create_table(
        "invitation",
        *_public("invitation"),
        *_to("invitation", "organisation_id", "organisation"),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("key_hash", sa.Text, nullable=False),
        *_to("invitation", "invited_by_id", "person"),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("accepted_at", MOMENT),
        sa.Column("withdrawn_at", MOMENT),
        sa.UniqueConstraint("key_hash", name="uq_invitation_key_hash"),
        sa.CheckConstraint(MEMBER_ROLES, name="role_is_known"),
    )
    op.create_index(
        "uq_invitation_open",
        "invitation",
        ["organisation_id", "email", "role"],
        unique=True,
        postgresql_where=sa.text("accepted_at IS NULL AND withdrawn_at IS NULL"),
    )


def _create_traces() -> None:
    op.create_table(
        "sign_in",
        *_public("sign_in"),
        *_to("sign_in", "person_id", "person"),
        sa.Column("key_hash", sa.Text, nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("is_remembered", sa.Boolean, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.UniqueConstraint("key_hash", name="uq_sign_in_key_hash"),
    )
    # Serves the list of a person's sign-ins, and ending them all at once.
    op.create_index("ix_sign_in_open", "sign_in", ["person_id"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_table(
        "mailed_link",
        *_key("mailed_link"),
        *_to("mailed_link", "person_id", "person"),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("key_hash", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.UniqueConstraint("key_hash", name="uq_mailed_link_key_hash"),
        sa.CheckConstraint("purpose IN ('confirm', 'reset', 'change_email')", name="purpose_is_known"),
    )
    op.create_index("ix_mailed_link_person_id", "mailed_link", ["person_id"])
    op.create_table(
        "account_event",
        *_key("account_event"),
        *_to("account_event", "person_id", "person", is_optional=True),
        *_to("account_event", "organisation_id", "organisation", is_optional=True),
        *_to("account_event", "actor_id", "person", is_optional=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("details", sa.dialects.postgresql.JSONB, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
    )
    op.create_index("ix_account_event_person_id_occurred_at", "account_event", ["person_id", "occurred_at"])
    op.execute("""
        CREATE FUNCTION refuse_change_of_account_event() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'account_event is append-only';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER account_event_is_append_only BEFORE UPDATE OR DELETE ON account_event
        FOR EACH ROW EXECUTE FUNCTION refuse_change_of_account_event()
    """)


def _create_throttle() -> None:
    # UNLOGGED: losing the counters in a crash forgives some attempts, and counting stays cheap.
    op.create_table(
        "throttle_hit",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_throttle_hit"),
        prefixes=["UNLOGGED"],
    )
    op.create_index("ix_throttle_hit_expires_at", "throttle_hit", ["expires_at"])
