"""From a paid seat to the figures: somebody learns, a teacher keeps the register, staff see every figure change."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from tests.factories import make_course, make_member, make_organisation, make_person, make_run, make_staff
from tests.journeys.test_seat import BOTH, pay, somebody, take_seat, words
from tests.journeys.visitor import Visitor

PAGE = pytest.mark.parametrize("breakdown", ["month", "provider", "category"])


def taught(live):
    """A provider with a run of two sessions that one can enrol in: their public ids."""
    with live.app.app_context(), transaction():
        provider = make_organisation()
        return provider.public_id, make_run(make_course(provider)).public_id, provider


def bring_to_its_end(live, run):
    """Let the run have ended an hour ago."""
    with live.app.app_context(), transaction():
        row = db.session.query(CourseRun).filter_by(public_id=run).one()
        back = row.ends_at - clock.now() + timedelta(hours=1)
        row.starts_at, row.enrol_opens_at = row.starts_at - back, row.enrol_opens_at - back
        row.ends_at, row.enrol_closes_at = row.ends_at - back, row.enrol_closes_at - back
        for session in row.sessions:
            session.starts_at, session.ends_at = session.starts_at - back, session.ends_at - back
        return [session.public_id for session in row.sessions]


def figures(staff, provider):
    """The six numbers of one provider."""
    staff.open(f"/staff/figures?provider={provider}")
    return staff.page.locator(".stats .stat-number").all_inner_texts()


@BOTH
def test_from_a_paid_seat_to_changed_figures(browser, live, language, size):
    provider, run, organisation = taught(live)
    with live.app.app_context():
        analyst = make_staff("analyst", locale=language)
        member = make_member(organisation, "instructor", locale=language)
    staff = Visitor(browser, live, language, size).be(analyst)
    teacher = Visitor(browser, live, language, size).be(member)
    assert figures(staff, provider) == ["0", "0", "¥0.00", "–", "–", "0"]

    learner, person = somebody(browser, live, language, size)
    take_seat(learner, run)
    pay(learner, words(learner)["pay"])
    learner.sees_soon("Your place is confirmed")
    assert figures(staff, provider) == ["1", "1", "¥1,280.00", "–", "–", "0"]

    first, last = bring_to_its_end(live, run)
    for session in (first, last):
        teacher.open("/teaching")
        teacher.page.get_by_role("main").locator(f"a[href='/runs/{run}/roster']").click()
        teacher.look()
        teacher.page.locator(f"a[href='/sessions/{session}/register']").click()
        group = teacher.page.get_by_role("group", name=person.name)
        group.get_by_label(teacher.say("Present")).check()
        teacher.press("Save the register")
        expect(group.get_by_label(teacher.say("Present"))).to_be_checked()

    learner.open("/my")
    with live.app.app_context():
        enrolment = db.session.query(Enrolment).filter_by(person_id=person.id).one().public_id
    learner.page.locator(f"a[href='/my/progress/{enrolment}']").click()
    learner.look()
    learner.sees("Completed")
    assert figures(staff, provider) == ["1", "1", "¥1,280.00", "100%", "100%", "6"]

    with staff.page.expect_download() as download:
        staff.page.get_by_role("link", name=staff.say("Save as CSV")).click()
    text = download.value.path().read_bytes()
    assert text.startswith(b"\xef\xbb\xbf")
    assert "1280.00" in text.decode("utf-8-sig")


@BOTH
def test_a_mark_is_corrected_with_a_reason_and_the_trail_shows_it(browser, live, language, size):
    provider, run, organisation = taught(live)
    with live.app.app_context(), transaction():
        member = make_member(organisation, "registrar", locale=language)
        person = make_person(name="李小满")
        run_id = db.session.query(CourseRun.id).filter_by(public_id=run).scalar()
        db.session.add(Enrolment(run_id=run_id, person_id=person.id, enrolled_at=clock.now()))
    first, _last = bring_to_its_end(live, run)
    teacher = Visitor(browser, live, language, size).be(member)

    teacher.open(f"/sessions/{first}/register")
    group = teacher.page.get_by_role("group", name="李小满")
    group.get_by_label(teacher.say("Absent")).check()
    teacher.press("Save the register")
    group.get_by_label(teacher.say("Present")).check()
    teacher.press("Save the register")
    teacher.sees("Say why you correct a mark that was made before.")
    teacher.page.locator("input[type=text][name^='reason-']").fill("来晚了 came late")
    teacher.press("Save the register")

    teacher.page.locator("main details summary").first.click()
    expect(teacher.page.locator("main details li")).to_have_count(2)
    expect(teacher.page.locator("main details li").last).to_contain_text("来晚了 came late")
    assert provider


@PAGE
def test_the_figures_draw_each_breakdown(browser, live, breakdown):
    with live.app.app_context():
        analyst = make_staff("analyst", locale="zh")
    staff = Visitor(browser, live, "zh", {"width": 1280, "height": 800}).be(analyst)
    taught(live)

    staff.open(f"/staff/figures?by={breakdown}")

    tables = staff.page.locator("table").count()
    assert staff.page.locator("[data-chart] svg").count() == (6 if tables else 0)
