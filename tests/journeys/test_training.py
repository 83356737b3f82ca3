"""After the seat: it is attended, completed and counted, in each language."""

from datetime import timedelta

from playwright.sync_api import expect

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import orders
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, transaction
from marketplace.foundation.money import Money
from marketplace.participation import completions
from tests.factories import make_course, make_member, make_organisation, make_person, make_run, make_staff
from tests.journeys.test_seat import BOTH
from tests.journeys.visitor import Visitor


def taught(language):
    """A free run that is over, whose one learner has not been marked yet: (its sessions, learner, provider)."""
    provider, learner = make_organisation(), make_person(locale=language)
    run = make_run(make_course(provider), price_minor=0, completion_attendance_percent=50)
    free, now = Money(0, "CNY"), clock.now()
    orders.place_order(run.id, learner.id, shown_price=free, request_key=ids.public_id(), locale=language, now=now)
    with transaction():
        # What time does to a run, done at once.
        back = run.ends_at - now + timedelta(minutes=1)
        run.enrol_opens_at -= back
        run.starts_at, run.ends_at = run.starts_at - back, run.ends_at - back
        for session in run.sessions:
            session.starts_at, session.ends_at = session.starts_at - back, session.ends_at - back
    return run, learner, provider


@BOTH
def test_from_the_register_to_the_figures(browser, live, language, size):
    with live.app.app_context():
        run, learner, provider = taught(language)
        run_id, public_id, provider_id = run.id, run.public_id, provider.public_id
        registers = [f"/sessions/{session.public_id}/register" for session in run.sessions]
        instructor = make_member(provider, "instructor", locale=language)
        analyst = make_staff("analyst", locale=language)

    teacher = Visitor(browser, live, language, size).be(instructor)
    teacher.open("/teaching")
    teacher.open(f"/runs/{public_id}/roster")
    for register in registers:
        teacher.open(register)
        teacher.page.check("input[value=present]")
        teacher.press("Save the register")
    with live.app.app_context():
        completions.record_due(run_id, now=clock.now())
        assert db.session.get(CourseRun, run_id).seats_taken == 1

    student = Visitor(browser, live, language, size).be(learner)
    student.open("/my")
    student.page.get_by_role("main").locator(".course-card a").first.click()
    student.look()
    student.sees("Completed")

    reader = Visitor(browser, live, language, size).be(analyst)
    reader.open(f"/staff/figures?provider={provider_id}")
    numbers = reader.page.locator(".stat-number")
    expect(numbers).to_have_text(["1", "1", "¥0.00", "100%", "100%", "6"])
    expect(reader.page.locator("[data-chart] svg")).to_have_count(6)
