"""Skills of courses: who proposed each, who decided, and what words a mapped skill stood for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Record decisions; what was reviewed before stays reviewed, by nobody in particular."""
    for name in ("proposed_by_id", "decided_by_id"):
        op.add_column("course_skill", sa.Column(name, sa.BigInteger))
        op.create_foreign_key(f"fk_course_skill_{name}", "course_skill", "person", [name], ["id"])
    for name in ("proposed_at", "decided_at"):
        op.add_column("course_skill", sa.Column(name, MOMENT))
    op.add_column("course_skill", sa.Column("mapped_from", sa.Text))
    op.execute("ALTER TABLE course_skill DROP CONSTRAINT ck_course_skill_state")
    op.create_check_constraint("state", "course_skill", "state IN ('proposed', 'reviewed', 'rejected')")
    # Serves the reviewers' queue, oldest first.
    op.create_index("ix_course_skill_proposed", "course_skill", ["id"], postgresql_where=sa.text("state = 'proposed'"))
    # Serve the search for a skill by its label, and suggestions for words.
    for language in ("zh", "en"):
        op.create_index(
            f"ix_skill_label_{language}",
            "skill",
            [f"label_{language}"],
            postgresql_using="gin",
            postgresql_ops={f"label_{language}": "gin_trgm_ops"},
        )
