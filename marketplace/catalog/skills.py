"""Concepts of published frameworks, which courses are aligned to after review."""

from __future__ import annotations

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from marketplace.catalog.models import Skill
from marketplace.foundation.csv_files import table_of
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy

ESCO = "ESCO 1.2.0"
COLUMNS = {"conceptUri", "preferredLabel", "description"}


def import_esco(content: bytes) -> int:
    """Take in a collection of ESCO skills (CSV as the Commission publishes it); returns how many it holds.

    A skill is known by its URI: sent again, labels and descriptions are brought up to date and nothing is doubled.
    Raises Invalid for anything else.
    """
    names, found = table_of(content)
    if not COLUMNS.issubset(names):
        raise Invalid("import_unreadable", lazy("This is no collection of ESCO skills."))
    rows = {
        row["conceptUri"]: {
            "framework": ESCO,
            "uri": row["conceptUri"],
            "label_en": row["preferredLabel"].strip(),
            "description_en": row["description"].strip(),
        }
        for row in found
    }
    if rows:
        statement = insert(Skill).values(list(rows.values()))
        newer = {name: statement.excluded[name] for name in ("label_en", "description_en")}
        with transaction():
            db.session.execute(statement.on_conflict_do_update(index_elements=[Skill.framework, Skill.uri], set_=newer))
    return len(rows)


def count_skills() -> int:
    """How many skills are known."""
    return db.session.query(func.count(Skill.id)).scalar() or 0
