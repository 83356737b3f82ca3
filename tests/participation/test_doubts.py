"""Marks that are corrected after they earned a subsidy put it in doubt; nothing is taken away by itself."""

import pytest
from sqlalchemy import text

from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.funding import claims, doubts, subsidies
from marketplace.funding.subsidy_rules import Rule
from marketplace.funding.subsidy_states import State
from marketplace.participation import registers, subsidy_evidence
from marketplace.participation.doubts import weigh_run
from marketplace.participation.registers import Mark
from marketplace.payments import postings
from tests.factories import make_course, make_member, make_organisation, make_person, make_run, make_staff, sign_in
from tests.participation.test_subsidy_evidence import attend, buy

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def earned():
    """A subsidy that was earned by three of four sessions, its run, and a function that marks the third anew."""
    provider = make_organisation()
    run, instructor = make_run(make_course(provider), sessions=4), make_member(provider, "instructor")
    subsidy = buy(run, make_person(), Rule(percent=100, attendance_percent=75, needs_completion=False))
    after = attend(run, instructor, 3)
    subsidy_evidence.take_up(now=after)
    clock.set_to(after)
    assert subsidy.state == State.EARNED

    def correct(status):
        enrolment = db.session.query(Enrolment).filter_by(run_id=run.id).one()
        mark = {enrolment.public_id: Mark(status, "wrong list")}
        registers.mark(run.sessions[2].id, mark, actor_id=instructor.id, now=after)
        jobs.run_pending()
        db.session.expire_all()

    return subsidy, run, correct


def last_step(subsidy):
    return subsidy.events[-1]


def test_a_correction_puts_an_earned_subsidy_in_doubt_and_another_restores_it(earned):
    subsidy, run, correct = earned
    assert weigh_run(run.id, now=clock.now()) == 0

    correct("absent")
    assert (subsidy.state, subsidy.is_doubted) == (State.EARNED, True)
    assert (last_step(subsidy).act, last_step(subsidy).evidence["attendance_percent"]) == ("doubted", 50)
    assert doubts.list_doubted(subsidy.programme_id) == [subsidy]
    assert weigh_run(run.id, now=clock.now()) == 0

    correct("present")
    assert (subsidy.is_doubted, last_step(subsidy).act) == (False, "restored")
    assert doubts.list_doubted(subsidy.programme_id) == []


def test_a_doubt_is_nothing_to_the_books(earned):
    _subsidy, _run, correct = earned
    correct("absent")
    correct("present")

    postings.post_facts()
    # What is found there and never posted would be looked at for ever, before anything newer.
    assert [fact for find in postings.SOURCES for fact in find(postings.ALWAYS)] == []


def test_what_is_in_doubt_is_claimed_only_knowing_that(earned, client):
    subsidy, _run, correct = earned
    correct("absent")
    officer = make_staff("funding_officer")
    for names in (None, {subsidy.public_id}):
        with pytest.raises(Refused, match="nothing_earned"):
            claims.make_batch(subsidy.programme_id, names, actor_id=officer.id, now=clock.now())

    sign_in(client, officer)
    address = f"/staff/funding/{subsidy.programme.public_id}/claims"
    page = client.get(f"{address}?lang=en").text
    assert "their conditions are not met any more" in page
    assert f'name="doubted" value="{subsidy.public_id}" aria-label' in page
    # A page that was made before the correction names it as any other.
    client.post(address, data={"subsidy": subsidy.public_id})
    db.session.refresh(subsidy)
    assert subsidy.state == State.EARNED

    client.post(address, data={"doubted": subsidy.public_id})
    db.session.refresh(subsidy)
    assert (subsidy.state, subsidy.is_doubted) == (State.CLAIMED, True)
    batch = client.get(f"/staff/claims/{subsidy.batch.public_id}?lang=en").text
    assert "In doubt" in batch
    assert "In doubt since" in client.get(f"/staff/claims/{subsidy.batch.public_id}.csv?lang=en").text


def test_what_an_officer_has_decided_about_is_not_in_doubt(earned):
    subsidy, _run, correct = earned
    correct("absent")
    subsidies.reject(subsidy.id, reason="50 %", actor_id=make_staff("funding_officer").id, now=clock.now())

    assert (subsidy.is_doubted, doubts.list_doubted(subsidy.programme_id)) == (False, [])
    correct("present")
    assert (subsidy.state, last_step(subsidy).act) == (State.REJECTED, "reject")


def test_a_register_taken_in_time_asks_for_nothing():
    provider = make_organisation()
    run, instructor = make_run(make_course(provider), sessions=4), make_member(provider, "instructor")
    buy(run, make_person(), Rule(percent=100))
    enrolment = db.session.query(Enrolment).filter_by(run_id=run.id).one()
    first = run.sessions[0]
    registers.mark(first.id, {enrolment.public_id: Mark("present")}, actor_id=instructor.id, now=first.starts_at)
    waiting = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'participation.look_again'")
    assert db.session.scalar(waiting) == 0
