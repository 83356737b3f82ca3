"""A provider writes a course in two languages with a cover and a run; a reviewer publishes it; a visitor finds it."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from marketplace.catalog.models import Category, Course
from marketplace.foundation import clock
from marketplace.foundation.database import db
from tests.factories import make_member, make_organisation, make_staff
from tests.journeys.visitor import DESK, PHONE, Visitor
from tests.pictures import photo

WAYS = pytest.mark.parametrize(
    ("language", "size", "scheme"), [("zh", PHONE, "light"), ("en", DESK, "dark")], ids=["zh phone", "en desk dark"]
)
SHOTS = os.environ.get("SHOTS")


def shoot(visitor, name):
    """Keep a picture where `SHOTS` says, to be looked at."""
    if SHOTS:
        visitor.page.screenshot(path=Path(SHOTS) / f"{name}-{visitor.language}.png", full_page=True)


def fill(visitor, **values):
    for name, value in values.items():
        visitor.page.locator(f"#{name}").fill(value)


def write_course(editor, desk, category, mark):
    """A draft in both languages: its public id."""
    editor.open(desk)
    editor.follow("New course")
    fill(editor, title_zh=f"数字{mark}修复", title_en=f"Digital {mark} repair")
    fill(editor, summary_zh="从扫描到修复。", summary_en="From scan to repair.")
    fill(editor, description_zh="第一段。", description_en="First paragraph.")
    fill(editor, outcomes_zh="扫描器物\n修补破洞", outcomes_en="Scan a vessel\nFill its holes")
    editor.page.locator("#category_id").select_option(str(category))
    shoot(editor, "edit-course")
    editor.press("Save")
    editor.sees("It has all a reviewer needs. Once approved, everyone can find it.")
    shoot(editor, "desk-course")
    return editor.page.url.rpartition("/")[2]


def illustrate(editor, course):
    """A cover with words, and a skill in own words."""
    editor.open(f"/desk/courses/{course}/cover")
    upload = {"name": "kiln.jpg", "mimeType": "image/jpeg", "buffer": photo(1600, 900)}
    editor.page.locator("#file").set_input_files(upload)
    fill(editor, alt_zh="窑火", alt_en="A kiln")
    editor.press("Save the cover")
    editor.sees_soon("Remove the picture")
    shoot(editor, "cover")
    editor.open(f"/desk/courses/{course}/skills")
    fill(editor, words="kiln repair")
    editor.press("Propose these words")


def plan_run(editor, course):
    """A scheduled run with three weekly sessions."""
    editor.open(f"/desk/courses/{course}/runs/new")
    now = clock.now()
    day = now + timedelta(days=40)
    fill(editor, starts_at=f"{day:%Y-%m-%d}T09:00", ends_at=f"{day + timedelta(days=30):%Y-%m-%d}T18:00")
    opens = now - timedelta(days=1)
    fill(editor, enrol_opens_at=f"{opens:%Y-%m-%d}T09:00", enrol_closes_on=f"{day - timedelta(days=2):%Y-%m-%d}")
    fill(editor, place_zh="陶瓷楼", place_en="Kiln house", capacity="12", price="880")
    shoot(editor, "edit-run")
    editor.press("Save")
    editor.follow("Add sessions week by week")
    fill(editor, starts_at=f"{day:%Y-%m-%d}T09:00", minutes="180", count="3", every="1")
    editor.press("Show the sessions")
    shoot(editor, "weekly")
    editor.press("Add these sessions")
    shoot(editor, "desk-run")
    editor.press("Schedule it")


@WAYS
def test_from_an_empty_form_to_a_course_somebody_finds(browser, live, language, size, scheme):
    with live.app.app_context():
        organisation = make_organisation()
        people = make_member(organisation, "owner", locale=language), make_staff("reviewer", locale=language)
        category = db.session.query(Category).order_by(Category.position).first().id
        desk = f"/providers/{organisation.public_id}/desk"
    editor, reviewer = (Visitor(browser, live, language, size).be(person) for person in people)
    for visitor in (editor, reviewer):
        visitor.page.emulate_media(color_scheme=scheme)

    mark = "Kiln" if language == "en" else "窑火"
    course = write_course(editor, desk, category, mark)
    illustrate(editor, course)
    plan_run(editor, course)
    editor.open(f"/desk/courses/{course}")
    editor.press("Send to review")
    editor.open(desk)
    shoot(editor, "desk")

    reviewer.open("/staff/skills")
    shoot(reviewer, "staff-skills")
    reviewer.open(f"/staff/reviews/{course}")
    shoot(reviewer, "review")
    reviewer.press("Approve and publish")
    with live.app.app_context():
        assert db.session.query(Course).filter_by(public_id=course).one().state == "published"

    visitor = Visitor(browser, live, language, size)
    visitor.open(f"/courses?q={mark}")
    visitor.page.locator(f"a[href='/courses/{course}']").first.click()
    visitor.look()
    visitor.sees("Kiln house" if language == "en" else "陶瓷楼")
    visitor.page.locator("picture source[type='image/avif']").first.wait_for(state="attached")
    shoot(visitor, "course")
