"""The demo's unfinished work, by the verbs themselves: drafts, a course in review, translations missing, covers, logos.

Pictures are uploads like any other: the job that draws them runs once the demo is loaded.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from marketplace.accounts import organisations as accounts
from marketplace.accounts.models import Person
from marketplace.catalog import authoring, covers, partners
from marketplace.catalog.authoring_rules import PAIRED, Step
from marketplace.catalog.models import Category, Course
from marketplace.demo import content_files, paintings
from marketplace.demo.chance import public_id, seeded
from marketplace.demo.population import DOMAIN, EMPLOYER_OF_ACCOUNTS
from marketplace.foundation.database import db

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from marketplace.accounts.models import Organisation

COVERS = (
    ("site-monitoring", paintings.mountains, "水墨远山，一轮红日", "Ranges of mountains in ink under a red sun"),
    ("projection-mapping", paintings.lanterns, "夜色里虚焦的灯火", "Lights of a street at night, out of focus"),
    ("spatial-audio", paintings.waves, "层层声波的线条", "Lines of a sound, one behind the other"),
)
LOGOS = (("chengjiang", (20, 80, 107)), ("yunjian", (150, 60, 44)))
# A course of the catalogue whose Chinese text was written anew: its English is out of date, a reviewer has not read it.
REWRITTEN = ("photogrammetry", "用一台普通相机，为一件器物做出可测量、可存档、可复核的三维模型。")


def write_publishing(organisations: dict[str, Organisation], *, now: datetime) -> None:
    """Write drafts, change a course, upload covers and logos; call inside a transaction."""
    chance = seeded("publishing")
    editor = db.session.scalars(select(Person).filter_by(email=f"editor@{DOMAIN}")).one()
    for number, row in enumerate(content_files.read("drafts")["course"]):
        _write_draft(row, organisations, editor, chance, begun=now - timedelta(days=20 - 6 * number), now=now)
    _rewrite(editor, now=now - timedelta(days=1))
    for key, paint, alt_zh, alt_en in COVERS:
        words = {"alt_zh": alt_zh, "alt_en": alt_en, "focus_x": 50, "focus_y": 50}
        covers.set_cover(_course(key).id, paint(chance), words, actor=editor, now=now - timedelta(days=2))
    for key, colour in LOGOS:
        accounts.set_logo(organisations[key], paintings.seal(chance, colour), actor=editor, now=now)


def _write_draft(
    row: dict[str, Any],
    organisations: dict[str, Organisation],
    editor: Person,
    chance: Random,
    *,
    begun: datetime,
    now: datetime,
) -> None:
    values = _values(row)
    leader = organisations[EMPLOYER_OF_ACCOUNTS].id
    course = authoring.create_course(leader, values, translations={}, actor=editor, now=begun)
    course.public_id, course.is_demo = public_id(chance), True
    if "rewritten" in row:
        later = begun + timedelta(days=2)
        changed = values | row["rewritten"]
        authoring.save_course(
            course.id, changed, translations={}, version=course.version, actor=editor, now=later
        )  # fmt: skip
    if "invites" in row:
        asked = organisations[row["invites"]].public_id
        duties = {
            "duties_zh": "提供多光谱设备与两次实验课",
            "duties_en": "Provides the equipment and two laboratory days",
        }
        partners.invite(course.id, asked, duties, actor=editor, now=begun + timedelta(days=1))
    if row["state"] == "in_review":
        authoring.take_step(course.id, Step.SUBMIT, actor=editor, now=now - timedelta(hours=20))


def _values(row: dict[str, Any]) -> dict[str, Any]:
    category = db.session.scalars(select(Category.id).filter_by(code=row["category"])).one()
    plain = {f"{name}_{lang}": row[name][lang] for name in PAIRED if name in row for lang in ("zh", "en")}
    lists = {f"{name}_{lang}": row[f"{name}_{lang}"] for name in ("outcomes", "syllabus") for lang in ("zh", "en")}
    return plain | lists | {"category_id": category, "level": row["level"], "original_language": row["original"]}


def _rewrite(editor: Person, *, now: datetime) -> None:
    key, summary = REWRITTEN
    course = _course(key)
    course.approved_version = course.version
    values = {name: getattr(course, name) for name in authoring.SAVED} | {"summary_zh": summary}
    authoring.save_course(course.id, values, translations={}, version=course.version, actor=editor, now=now)


def _course(key: str) -> Course:
    return db.session.scalars(select(Course).filter_by(source="demo", source_key=key)).one()
