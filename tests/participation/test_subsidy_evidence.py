"""Attendance and completion earn subsidies, and their absence lets them lapse when the time is up."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from marketplace.enrolment import places
from marketplace.enrolment.models import Enrolment, OrderLine
from marketplace.enrolment.quotes import Asked
from marketplace.enrolment.subsidising import Agreed
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from marketplace.funding import subsidies
from marketplace.funding.subsidy_models import Subsidy, SubsidyEvent
from marketplace.funding.subsidy_rules import Consequence, Rule
from marketplace.funding.subsidy_states import State
from marketplace.participation import completions, registers, subsidy_evidence
from marketplace.participation.models import Completion
from marketplace.participation.registers import Mark
from tests.buying import place_order
from tests.factories import make_course, make_member, make_organisation, make_person, make_run, make_staff
from tests.funding.made import committed, make_programme

pytestmark = pytest.mark.usefixtures("app")
DAY = timedelta(days=1)


def buy(run, person, rule):
    programme = make_programme(rule=rule)
    order = place_order(
        run.id,
        person.id,
        shown_price=Money(128000, "CNY"),
        request_key=ids.public_id(),
        locale="zh",
        now=clock.now(),
        asked=Asked(programme=programme.public_id, agreed=Agreed(1, True), shown_due=Money(0, "CNY")),
    )
    return db.session.scalars(select(Subsidy).filter_by(order_line_id=order.lines[0].id)).one()


@pytest.fixture
def place():
    """A subsidised place in a run of four sessions, and someone who keeps its register."""
    provider = make_organisation()
    run = make_run(make_course(provider), sessions=4)
    subsidy = buy(run, make_person(), Rule(percent=100, attendance_percent=75, earn_within_days=30))
    return run, subsidy, make_member(provider, "instructor")


def attend(run, instructor, present):
    """Mark the first `present` of the run's sessions as attended, the others as missed; the run is over then."""
    enrolment = db.session.scalars(select(Enrolment).filter_by(run_id=run.id)).one()
    after = run.ends_at + timedelta(hours=1)
    for session in run.sessions:
        status = "present" if session.position <= present else "absent"
        registers.mark(session.id, {enrolment.public_id: Mark(status)}, actor_id=instructor.id, now=after)
    completions.record_due(run.id, now=after)
    return after


def last_step(subsidy):
    query = select(SubsidyEvent).filter_by(subsidy_id=subsidy.id).order_by(SubsidyEvent.id.desc())
    return db.session.scalars(query).first()


def test_who_came_and_completed_has_earned_it(place):
    run, subsidy, instructor = place
    after = attend(run, instructor, 4)

    assert subsidy_evidence.take_up(now=after) == {"earned": 1, "lapsed": 0}
    assert subsidy_evidence.take_up(now=after) == {"earned": 0, "lapsed": 0}

    assert subsidy.state == State.EARNED
    evidence = last_step(subsidy).evidence
    assert (evidence["present"], evidence["sessions"], evidence["attendance_percent"]) == (4, 4, 100)
    assert evidence["completed_at"] == run.ends_at.isoformat()


def test_who_came_too_rarely_keeps_it_until_the_last_moment_of_the_deadline(place):
    run, subsidy, instructor = place
    after = attend(run, instructor, 2)

    assert subsidy_evidence.take_up(now=after) == {"earned": 0, "lapsed": 0}
    assert subsidy_evidence.take_up(now=subsidy.earn_by - timedelta(seconds=1)) == {"earned": 0, "lapsed": 0}
    assert subsidy_evidence.take_up(now=subsidy.earn_by) == {"earned": 0, "lapsed": 1}

    assert (subsidy.state, subsidy.owed_minor) == (State.LAPSED, 128000)
    assert last_step(subsidy).evidence["attendance_percent"] == 50


@pytest.mark.parametrize("needs_review", [False, True])
def test_where_the_provider_asks_for_nothing_any_more_the_learner_owes_nothing(needs_review):
    run = make_run(sessions=4)
    subsidy = buy(run, make_person(locale="en"), Rule(percent=100, needs_review=needs_review))
    run.completion_attendance_percent = None

    assert subsidy_evidence.take_up(now=subsidy.earn_by) == {"earned": 0, "lapsed": 1}

    assert (subsidy.state, subsidy.owed_minor, committed(subsidy.programme)) == (State.LAPSED, 0, 128000)
    assert (last_step(subsidy).owed_minor, last_step(subsidy).borne_minor) == (0, 128000)
    mail = db.session.scalars(select(OutgoingMail).filter_by(message="funding/ended")).one()
    assert "asks for nothing that would complete the course" in mail.text
    assert "You owe nothing: the programme bears it." in mail.text


def test_nothing_lapses_in_a_run_that_is_off(place):
    """Whoever is still in it is settled later: a bank decides about their payment, say."""
    run, subsidy, _instructor = place
    with transaction():
        run.state = "cancelled"

    assert subsidy_evidence.take_up(now=subsidy.earn_by) == {"earned": 0, "lapsed": 0}
    assert (subsidy.state, subsidy.owed_minor) == (State.RESERVED, 0)


def test_no_programme_that_asks_for_a_completion_pays_where_nobody_can_complete():
    run = make_run()
    with transaction():
        run.completion_attendance_percent = None
    with pytest.raises(Refused, match="subsidy_refused"):
        buy(run, make_person(), Rule(percent=100))
    assert buy(run, make_person(), Rule(percent=100, attendance_percent=50, needs_completion=False))
    with transaction():
        run.completion_needs_pass = True
    assert buy(run, make_person(), Rule(percent=100))


def suspend(run, *, is_suspended, now):
    enrolment = db.session.scalars(select(Enrolment).filter_by(run_id=run.id)).one()
    places.suspend_of_order(enrolment.sources[0].order_line.order_id, is_suspended=is_suspended, now=now)


def test_a_suspended_place_completes_and_earns_when_it_is_resumed_however_late(place):
    run, subsidy, instructor = place
    suspend(run, is_suspended=True, now=run.ends_at)
    after = attend(run, instructor, 4)
    late = subsidy.earn_by + 20 * DAY

    assert subsidy_evidence.take_up(now=late) == {"earned": 0, "lapsed": 0}
    assert (db.session.query(Completion).count(), subsidy.state) == (0, State.RESERVED)

    suspend(run, is_suspended=False, now=late)
    assert subsidy_evidence.take_up(now=late) == {"earned": 1, "lapsed": 0}
    completion = db.session.query(Completion).one()
    assert (completion.completed_at, completion.recorded_at, after < late) == (run.ends_at, late, True)


def test_nothing_is_weighed_while_the_run_goes_on(place):
    run, subsidy, _instructor = place

    assert subsidy_evidence.take_up(now=run.ends_at - DAY) == {"earned": 0, "lapsed": 0}
    assert subsidy.state == State.RESERVED


def test_a_run_that_was_moved_takes_the_deadline_along(place):
    run, subsidy, _instructor = place
    before = subsidy.earn_by
    with transaction():
        for session in run.sessions:
            session.starts_at += 90 * DAY
            session.ends_at += 90 * DAY
        run.starts_at, run.ends_at = run.starts_at + 90 * DAY, run.ends_at + 90 * DAY

    assert subsidy_evidence.take_up(now=before) == {"earned": 0, "lapsed": 0}
    assert (subsidy.state, subsidy.earn_by) == (State.RESERVED, before + 90 * DAY)
    assert last_step(subsidy).act == "extend"


@pytest.mark.parametrize(
    ("present", "rule", "owed", "held"),
    [
        # The conditions are not met: what was agreed for that follows, and the budget is free again.
        (2, {}, 128000, 0),
        (2, {"if_lapsed": Consequence.BORNE}, 0, 128000),
        # Only staff are late: that is never the learner's.
        (4, {}, 0, 128000),
        (4, {"if_rejected": Consequence.LEARNER_OWES}, 0, 128000),
    ],
)
def test_what_nobody_reviewed_in_time_ends_by_its_rule_and_is_told(present, rule, owed, held):
    provider = make_organisation()
    run, instructor = make_run(make_course(provider), sessions=4), make_member(provider, "instructor")
    values = {"percent": 100, "attendance_percent": 75, "needs_review": True}
    subsidy = buy(run, make_person(locale="en"), Rule(**values | rule))
    after = attend(run, instructor, present)

    assert subsidy_evidence.take_up(now=after) == {"earned": 0, "lapsed": 0}
    assert subsidy_evidence.take_up(now=subsidy.earn_by - timedelta(seconds=1)) == {"earned": 0, "lapsed": 0}
    assert subsidy.state == State.APPLIED
    assert [subsidy_evidence.take_up(now=subsidy.earn_by)["lapsed"] for _ in range(2)] == [1, 0]

    assert (subsidy.state, subsidy.owed_minor, committed(subsidy.programme)) == (State.LAPSED, owed, held)
    event = last_step(subsidy)
    assert (event.act, event.owed_minor, event.borne_minor) == ("lapse", owed, held)
    assert (event.evidence["reviewed"], event.actor_id) == (False, None)
    mail = db.session.scalars(select(OutgoingMail).filter_by(message="funding/ended")).one()
    assert ("nobody there looked at your application" in mail.text) is (present == 4)
    assert ("its conditions were not met in time" in mail.text) is (present == 2)
    assert ("You owe nothing" in mail.text) is (owed == 0)


def test_a_review_may_come_until_the_last_moment(place):
    run, _subsidy, _instructor = place
    subsidy = buy(make_run(run.course, sessions=4), make_person(), Rule(percent=100, needs_review=True))
    officer = make_staff("funding_officer")
    with pytest.raises(Refused, match="not_lapsed"):
        subsidies.lapse_unreviewed(subsidy.id, {}, is_earned=False, now=subsidy.earn_by - timedelta(seconds=1))
    subsidies.approve(subsidy.id, note="", actor_id=officer.id, now=subsidy.earn_by - timedelta(seconds=1))

    assert subsidies.lapse_unreviewed(subsidy.id, {}, is_earned=False, now=subsidy.earn_by).state == State.RESERVED


def test_a_moved_run_gives_the_review_more_time():
    provider = make_organisation()
    run = make_run(make_course(provider), sessions=4)
    subsidy = buy(run, make_person(), Rule(percent=100, needs_review=True))
    before = subsidy.earn_by
    with transaction():
        run.ends_at += 10 * DAY

    assert subsidy_evidence.take_up(now=before) == {"earned": 0, "lapsed": 0}
    assert (subsidy.state, subsidy.earn_by) == (State.APPLIED, before + 10 * DAY)


def told():
    return db.session.query(OutgoingMail).filter_by(message="funding/lapses_soon").count()


def test_nobody_is_told_of_a_deadline_that_a_moved_run_takes_along(place):
    run, subsidy, _instructor = place
    before = subsidy.earn_by
    with transaction():
        run.starts_at, run.ends_at = run.starts_at + 90 * DAY, run.ends_at + 90 * DAY

    subsidy_evidence.take_up(now=before - 7 * DAY)
    subsidy_evidence.tell_of_lapsing(now=before - 7 * DAY)
    assert (subsidy.earn_by, told()) == (before + 90 * DAY, 0)

    subsidy_evidence.tell_of_lapsing(now=subsidy.earn_by - 7 * DAY)
    assert told() == 1


@pytest.mark.parametrize("what", ["suspended", "off"])
def test_nobody_is_told_of_a_subsidy_that_does_not_lapse(place, what):
    run, subsidy, _instructor = place
    with transaction():
        if what == "off":
            run.state = "cancelled"
        else:
            order_id = db.session.get_one(OrderLine, subsidy.order_line_id).order_id
            places.suspend_of_order(order_id, is_suspended=True, now=clock.now())

    subsidy_evidence.tell_of_lapsing(now=subsidy.earn_by - DAY)
    assert told() == 0
