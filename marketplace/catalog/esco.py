"""Imports the skills of ESCO, the European classification; free text stays free text until a person maps it.

This service uses the ESCO classification of the European Commission. https://esco.ec.europa.eu/
"""

from __future__ import annotations

import csv
import io

from sqlalchemy import select

from marketplace.catalog.import_readers import FileFault
from marketplace.catalog.models import Skill
from marketplace.foundation.database import db, transaction

FRAMEWORK = "esco-1.2"


def import_skills(content: bytes) -> tuple[int, int]:
    """Insert or update the skills of one ESCO collection by their URI; (new, changed). Raises FileFault."""
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    if not {"conceptUri", "preferredLabel"} <= set(reader.fieldnames or ()):
        raise FileFault("missing columns: conceptUri, preferredLabel")
    new = changed = 0
    with transaction():
        known = {skill.uri: skill for skill in db.session.scalars(select(Skill).filter_by(framework=FRAMEWORK))}
        for row in reader:
            label, description = row["preferredLabel"].strip(), (row.get("description") or "").strip()
            skill = known.get(row["conceptUri"])
            if skill is None:
                skill = Skill(framework=FRAMEWORK, uri=row["conceptUri"], label_en=label, description_en=description)
                known[skill.uri] = skill
                db.session.add(skill)
                new += 1
            elif (skill.label_en, skill.description_en) != (label, description):
                skill.label_en, skill.description_en = label, description
                changed += 1
    return new, changed
