"""Runs planned: never fewer seats than are taken, prices that bind later orders alone, sessions, copies."""

from datetime import UTC, date, datetime, timedelta

import pytest

from marketplace.catalog import runs, search, timetable, trail
from marketplace.catalog.authoring import EditedMeanwhile
from marketplace.catalog.models import CourseRun, Session
from marketplace.catalog.run_rules import Meeting
from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.money import Money
from marketplace.participation.models import Attendance
from tests.buying import place_order
from tests.factories import make_course, make_member, make_person, make_run

TEXTS = dict.fromkeys(timetable.TEXTS, "")


@pytest.fixture
def registrar(app):
    course = make_course()
    person = make_member(course.providers[0].organisation, "registrar")
    person.course = course
    return person


def values(**changes):
    empty = dict.fromkeys(("starts_at", "ends_at", "enrol_opens_at", "enrol_closes_at"))
    given = {
        "zone": "Asia/Shanghai",
        "mode": "online",
        "place_zh": "",
        "place_en": "",
        "language": "zh",
        "capacity": 20,
    }
    money = {"price_minor": 128000, "currency": "CNY", "completion_attendance_percent": 80}
    return empty | given | money | {"completion_needs_pass": False} | changes


def saved(run):
    return {name: getattr(run, name) for name in runs.SAVED}


def begin(registrar, **changes):
    return runs.create_run(registrar.course.id, values(**changes), actor=registrar, now=clock.now())


def save(run, registrar, version=None, **changes):
    return runs.save_run(run.id, saved(run) | changes, version=version or run.version, actor=registrar, now=clock.now())


def meeting(day, hours=3):
    start = datetime(2027, 3, day, 1, tzinfo=UTC)
    return Meeting(start, start + timedelta(hours=hours))


def plan(run, registrar, *meetings):
    timetable.add_sessions(run.id, meetings, TEXTS, actor=registrar, now=clock.now())


def kinds(run):
    return [event.kind for event in trail.list_events(run.course_id)[0]]


def test_a_draft_is_planned_and_scheduled(registrar):
    run = begin(registrar)
    with pytest.raises(Invalid):
        runs.schedule_run(run.id, actor=registrar, now=clock.now())

    plan(run, registrar, meeting(10), meeting(3))
    assert [session.starts_at.day for session in run.sessions] == [3, 10]
    assert [session.position for session in run.sessions] == [1, 2]
    assert (run.starts_at, run.ends_at) == (meeting(3).starts_at, meeting(10).ends_at)
    opens = clock.now() - timedelta(days=1)
    save(run, registrar, enrol_opens_at=opens, enrol_closes_at=datetime(2027, 3, 1, tzinfo=UTC))
    assert runs.missing(run) == []
    runs.schedule_run(run.id, actor=registrar, now=clock.now())

    [card] = search.find_courses(search.Wish(provider_id=run.course.lead_ids[0])).courses
    assert card.run.id == run.id
    assert kinds(run) == ["run_scheduled", "run_changed", "sessions_added", "run_created"]
    with pytest.raises(Refused):
        runs.schedule_run(run.id, actor=registrar, now=clock.now())


def test_a_run_has_never_fewer_seats_than_are_taken(registrar):
    run = make_run(registrar.course, seats_taken=5)

    with pytest.raises(Invalid) as refused:
        save(run, registrar, capacity=4)
    assert refused.value.code == "below_taken"
    assert save(run, registrar, capacity=5)
    assert save(run, registrar, capacity=9)

    facts = [event for event in trail.list_events(run.course_id)[0] if event.kind == "capacity_changed"]
    assert [(fact.run_id, fact.details["changed"]["capacity"]) for fact in facts] == [
        (run.id, [5, 9]),
        (run.id, [20, 5]),
    ]


def test_the_second_of_two_planners_is_told(registrar):
    run = make_run(registrar.course)
    save(run, registrar, capacity=30)

    with pytest.raises(EditedMeanwhile) as told:
        save(run, registrar, version=1, capacity=40)
    assert told.value.changed == {"capacity": 30}


def test_dates_that_people_bought_are_not_written_over(registrar):
    run = make_run(registrar.course, seats_taken=1)

    for change in ({"starts_at": run.starts_at - timedelta(days=1)}, {"zone": "UTC"}, {"currency": "USD"}):
        with pytest.raises(Refused) as refused:
            save(run, registrar, **change)
        assert refused.value.code == "run_has_people"
    assert save(run, registrar, place_zh="别处")


def test_a_new_price_holds_for_later_orders_alone(registrar):
    run = make_run(registrar.course)
    old = _order(run, 128000)
    save(run, registrar, price_minor=99000)

    assert _order(run, 99000).total_minor == 99000
    assert (old.total_minor, old.lines[0].price_minor) == (128000, 128000)


def _order(run, price):
    return place_order(
        run.id,
        make_person().id,
        shown_price=Money(price, "CNY"),
        request_key=ids.public_id(),
        locale="zh",
        now=clock.now(),
    )


def test_another_rule_of_completion_is_another_version(registrar):
    run = make_run(registrar.course)

    save(run, registrar, completion_needs_pass=True)
    save(run, registrar, place_zh="楼上")

    assert run.completion_rule_version == 2


@pytest.mark.parametrize("changes", [{"ends": -1}, {"closes": -1}])
def test_dates_come_in_order(registrar, changes):
    now = clock.now()
    dates = {"starts_at": now, "ends_at": now + timedelta(days=changes.get("ends", 1))}
    window = {"enrol_opens_at": now, "enrol_closes_at": now + timedelta(days=changes.get("closes", 1))}

    with pytest.raises(Invalid):
        begin(registrar, **dates, **window)


def test_two_sessions_are_never_at_the_same_time(registrar):
    run = begin(registrar)
    plan(run, registrar, meeting(3))

    with pytest.raises(Invalid):
        plan(run, registrar, meeting(4), meeting(3, hours=1))
    assert db.session.query(Session).count() == 1


def test_sessions_are_moved_renumbered_and_removed(registrar):
    run = begin(registrar)
    plan(run, registrar, meeting(3), meeting(5), meeting(7))
    first, second, third = run.sessions

    timetable.save_session(first.id, meeting(9), TEXTS | {"title_zh": "总结"}, actor=registrar, now=clock.now())
    assert [session.id for session in run.sessions] == [second.id, third.id, first.id]
    timetable.remove_session(second.id, actor=registrar, now=clock.now())
    assert [(session.id, session.position) for session in run.sessions] == [(third.id, 1), (first.id, 2)]
    assert kinds(run)[:2] == ["session_removed", "session_changed"]


def test_a_session_with_attendance_stays(registrar):
    run = make_run(registrar.course)
    with transaction():
        person = make_person()
        enrolment = Enrolment(run_id=run.id, person_id=person.id, enrolled_at=clock.now())
        db.session.add(enrolment)
        db.session.flush()
        db.session.add(Attendance(enrolment_id=enrolment.id, session_id=run.sessions[0].id, status="present"))

    with pytest.raises(Refused) as refused:
        timetable.remove_session(run.sessions[0].id, actor=registrar, now=clock.now())
    assert refused.value.code == "fk_attendance_session_id"
    assert db.session.query(Session).count() == 2


def test_a_scheduled_run_keeps_its_last_session(registrar):
    run = make_run(registrar.course, sessions=1)

    with pytest.raises(Refused):
        timetable.remove_session(run.sessions[0].id, actor=registrar, now=clock.now())


def test_a_copy_is_a_draft_at_the_same_time_of_day(registrar):
    run = make_run(registrar.course, seats_taken=3)
    day = (run.starts_at + timedelta(days=28)).date()

    copy = runs.copy_run(run.id, starts_on=_local(day, run), actor=registrar, now=clock.now())

    assert (copy.state, copy.seats_taken, copy.capacity) == ("draft", 0, run.capacity)
    moved = [session.starts_at - timedelta(days=28) for session in copy.sessions]
    assert moved == [session.starts_at for session in run.sessions]
    assert copy.enrol_closes_at - run.enrol_closes_at == timedelta(days=28)
    assert db.session.query(CourseRun).count() == 2


def _local(day, run):
    return date.fromordinal((run.starts_at.astimezone(run.tzinfo).date() + timedelta(days=28)).toordinal())
