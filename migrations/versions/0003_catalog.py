"""Courses, runs, sessions, categories and skills."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0003"
down_revision = "0002"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create what the catalogue keeps."""
    _create_shelves()
    _create_courses()
    _create_course_links()
    _create_runs()
    _create_sessions()
    _create_indexes()


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


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _to(table: str, column: str, target: str, *, is_optional: bool = False) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(column, sa.BigInteger, nullable=is_optional),
        sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}"),
    ]


def _create_shelves() -> None:
    op.create_table(
        "category",
        *_key("category"),
        *_texts("code", "name_zh", "name_en"),
        sa.Column("position", sa.Integer, nullable=False),
        sa.UniqueConstraint("code", name="uq_category_code"),
    )
    op.create_table(
        "skill",
        *_key("skill"),
        *_texts("framework", "uri", "label_en"),
        sa.Column("label_zh", sa.Text),
        *_texts("description_en"),
        sa.UniqueConstraint("framework", "uri", name="uq_skill_framework_uri"),
    )


def _create_courses() -> None:
    both = [f"{name}_{lang}" for name in ("title", "summary", "description") for lang in ("zh", "en")]
    lists = [f"{name}_{lang}" for name in ("outcomes", "syllabus") for lang in ("zh", "en")]
    op.create_table(
        "course",
        *_public("course"),
        *_texts(*both),
        *(sa.Column(name, pg.ARRAY(sa.Text), nullable=False) for name in lists),
        sa.Column("translation_state", pg.JSONB, nullable=False),
        *_to("course", "category_id", "category", is_optional=True),
        *_texts("level", "state"),
        *(sa.Column(name, sa.Text) for name in ("source", "source_key", "source_url")),
        sa.Column("cover_seed", sa.Integer, nullable=False),
        sa.Column("is_demo", sa.Boolean, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("published_at", MOMENT),
        sa.Column("search", pg.TSVECTOR, nullable=False, server_default=""),
        sa.Column("search_text", sa.Text, nullable=False),
        sa.Column("facets", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("search_version", sa.Integer, nullable=False),
        sa.UniqueConstraint("source", "source_key", name="uq_course_source_source_key"),
        sa.CheckConstraint("level IN ('introductory', 'intermediate', 'advanced')", name="level"),
        sa.CheckConstraint("state IN ('draft', 'published', 'withdrawn')", name="state"),
        sa.CheckConstraint(
            "state = 'draft' OR (published_at IS NOT NULL AND title_zh || title_en <> '')",
            name="published_has_title",
        ),
    )


def _create_course_links() -> None:
    op.create_table(
        "course_provider",
        *_to("course_provider", "course_id", "course"),
        *_to("course_provider", "organisation_id", "organisation"),
        *_texts("role"),
        sa.Column("position", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("course_id", "organisation_id", name="pk_course_provider"),
        sa.CheckConstraint("role IN ('lead', 'co')", name="role"),
    )
    op.create_table(
        "course_skill",
        *_key("course_skill"),
        *_to("course_skill", "course_id", "course"),
        *_to("course_skill", "skill_id", "skill", is_optional=True),
        sa.Column("free_text", sa.Text),
        *_texts("state"),
        sa.UniqueConstraint("course_id", "skill_id", name="uq_course_skill_course_id_skill_id"),
        sa.CheckConstraint("num_nonnulls(skill_id, free_text) = 1", name="is_one_thing"),
        sa.CheckConstraint("state IN ('proposed', 'reviewed')", name="state"),
    )


def _create_runs() -> None:
    op.create_table(
        "course_run",
        *_public("course_run"),
        *_to("course_run", "course_id", "course"),
        *_texts("state", "zone", "mode", "place_zh", "place_en", "language", "currency"),
        *(sa.Column(name, MOMENT) for name in ("starts_at", "ends_at", "enrol_opens_at", "enrol_closes_at")),
        sa.Column("capacity", sa.Integer, nullable=False),
        sa.Column("seats_taken", sa.Integer, nullable=False),
        sa.Column("price_minor", sa.BigInteger, nullable=False),
        sa.Column("is_subsidised", sa.Boolean, nullable=False),
        sa.Column("completion_attendance_percent", sa.Integer),
        sa.Column("completion_needs_pass", sa.Boolean, nullable=False),
        sa.Column("completion_rule_version", sa.Integer, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("source_key", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.UniqueConstraint("source", "source_key", name="uq_course_run_source_source_key"),
        sa.CheckConstraint("seats_taken BETWEEN 0 AND capacity", name="seats_within_capacity"),
        sa.CheckConstraint("price_minor >= 0", name="price_is_not_negative"),
        sa.CheckConstraint("state IN ('draft', 'scheduled', 'cancelled')", name="state"),
        sa.CheckConstraint("mode IN ('in_person', 'online', 'blended')", name="mode"),
        sa.CheckConstraint("language IN ('zh', 'en', 'both')", name="language"),
        sa.CheckConstraint("completion_attendance_percent BETWEEN 0 AND 100", name="percent"),
        sa.CheckConstraint("starts_at <= ends_at AND enrol_opens_at < enrol_closes_at", name="dates_in_order"),
        sa.CheckConstraint(
            "state <> 'scheduled' OR num_nulls(starts_at, ends_at, enrol_opens_at, enrol_closes_at) = 0",
            name="scheduled_is_dated",
        ),
    )


def _create_sessions() -> None:
    op.create_table(
        "run_session",
        *_public("run_session"),
        *_to("run_session", "run_id", "course_run"),
        sa.Column("position", sa.Integer, nullable=False),
        *_texts("title_zh", "title_en", "place_zh", "place_en"),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.UniqueConstraint("run_id", "position", name="uq_run_session_run_id_position"),
        sa.CheckConstraint("starts_at < ends_at", name="ends_after_start"),
    )


def _create_indexes() -> None:
    # Serves catalog.search: words of a query.
    op.create_index("ix_course_search", "course", ["search"], postgresql_using="gin")
    # Serves catalog.search: nearest titles when no word matches.
    op.create_index(
        "ix_course_search_text",
        "course",
        ["search_text"],
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    # Serves the course list: narrowing by facets.
    op.create_index("ix_course_facets", "course", ["facets"], postgresql_using="gin")
    # Serves the course list: newest first, page by page.
    op.create_index(
        "ix_course_published",
        "course",
        [sa.text("published_at DESC"), sa.text("id DESC")],
        postgresql_where=sa.text("state = 'published'"),
    )
    op.create_index("ix_course_category_id", "course", ["category_id"])
    # Serves a provider's page and the list of a provider's own courses.
    op.create_index("ix_course_provider_organisation_id", "course_provider", ["organisation_id", "course_id"])
    # Serves a course's page: its runs in time.
    op.create_index("ix_course_run_course_id", "course_run", ["course_id", "starts_at"])
    # Serves the home page and figures: runs by time.
    op.create_index("ix_course_run_starts_at", "course_run", ["starts_at"])
