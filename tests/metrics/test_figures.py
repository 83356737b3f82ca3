"""Every figure is computed a second time here, in plain Python from the facts, and must agree."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text

from marketplace.accounts.models import Organisation
from marketplace.catalog.models import Category, Course, CourseRun, Session
from marketplace.enrolment.models import Enrolment, Order, OrderLine
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.money import Money
from marketplace.metrics import computation, indicators
from marketplace.metrics.computation import Scope
from marketplace.participation.models import Attendance, Completion
from marketplace.payments import ledger
from tests.factories import make_course, make_organisation, make_person, make_run, make_staff, sign_in

MARCH = datetime(2026, 3, 10, 2, tzinfo=UTC)
LATER = datetime(2026, 11, 1, tzinfo=UTC)
SCOPE = Scope(first=date(2026, 1, 1), last=date(2026, 12, 1), as_of=LATER)


def enrol(run, person, *, at, ended_at=None):
    enrolment = Enrolment(run_id=run.id, person_id=person.id, enrolled_at=at, recorded_at=at, ended_at=ended_at)
    return add(enrolment)


def mark(enrolment, session, status, *, at):
    return add(Attendance(enrolment_id=enrolment.id, session_id=session.id, status=status, recorded_at=at))


def receive(run, person, minor, *, at):
    order = add(
        Order(
            person_id=person.id,
            state="confirmed",
            confirmed_at=at,
            locale="zh",
            currency="CNY",
            total_minor=abs(minor),
            placed_at=at,
            request_key=f"k{person.id}{run.id}{minor}",
        )
    )
    add(OrderLine(order_id=order.id, run_id=run.id, price_minor=0, due_minor=0, title_zh="", title_en=""))
    amount = Money(minor, "CNY")
    entries = {ledger.STRIPE_BALANCE: amount, ledger.UNEARNED_REVENUE: -amount}
    posted = ledger.post(f"t{order.id}", "payment", entries, order_id=order.id, occurred_at=at)
    assert posted is not None


@pytest.fixture
def world(app):
    """Two courses of two providers, three people, marks corrected afterwards, one refund, one place given up."""
    clock.set_to(MARCH)
    with transaction():
        heritage = add(Category(code="heritage", name_zh="遗产", name_en="Heritage", position=1))
        murals, games = make_course(category_id=heritage.id), make_course()
        first = make_run(murals, starts_at=MARCH, ends_at=MARCH + timedelta(days=7, hours=3))
        second = make_run(games, starts_at=MARCH + timedelta(days=30), ends_at=MARCH + timedelta(days=37, hours=3))
        wen, li, sam = make_person(), make_person(), make_person()
        clock.set_to(MARCH + timedelta(days=60))
        taken = [enrol(first, someone, at=MARCH - timedelta(days=2)) for someone in (wen, li)]
        taken.append(enrol(second, wen, at=MARCH))
        enrol(second, sam, at=MARCH, ended_at=MARCH + timedelta(days=3))
        # Half past midnight on 1 April in Shanghai is still March in UTC.
        enrol(second, li, at=datetime(2026, 3, 31, 16, 30, tzinfo=UTC))
        for enrolment in taken[:2]:
            for session in first.sessions:
                mark(enrolment, session, "present", at=session.ends_at)
        mark(taken[1], first.sessions[1], "absent", at=first.ends_at + timedelta(days=1))
        mark(taken[2], second.sessions[0], "excused", at=second.ends_at)
        done = first.ends_at
        add(Completion(enrolment_id=taken[0].id, completed_at=done, recorded_at=done, rule_version=1, evidence={}))
        receive(first, wen, 128000, at=MARCH)
        receive(second, sam, 90000, at=MARCH)
        receive(second, li, -30000, at=MARCH + timedelta(days=30))
        # What a commit would do: the placements of the courses are noted.
        db.session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    return {"first": first, "second": second}


def places(enrolments):
    """Month, provider and category of each enrolment, looked up row by row."""
    for enrolment in enrolments:
        run = db.session.get(CourseRun, enrolment.run_id)
        course = db.session.get(Course, run.course_id)
        month = (enrolment.enrolled_at + timedelta(hours=8)).date().replace(day=1)
        yield (month, course.providers[0].organisation_id, course.category_id), enrolment.person_id


def counted(scope):
    rows = db.session.query(Enrolment).filter(Enrolment.recorded_at <= scope.as_of)
    return [row for row in rows if row.ended_at is None or row.ended_at > scope.as_of]


def test_enrolments_and_persons_agree_with_a_count_by_hand(world):
    by_hand = defaultdict(list)
    for cell, person_id in places(counted(SCOPE)):
        by_hand[cell].append(person_id)

    enrolments = computation.compute(indicators.ENROLMENTS, SCOPE, computation.DIMENSIONS)
    people = computation.compute(indicators.PEOPLE, SCOPE, computation.DIMENSIONS)
    assert {cell: figure.value for cell, figure in enrolments.items()} == {c: len(p) for c, p in by_hand.items()}
    assert {cell: figure.value for cell, figure in people.items()} == {c: len(set(p)) for c, p in by_hand.items()}
    assert computation.compute(indicators.ENROLMENTS, SCOPE)[()].value == 4
    assert computation.compute(indicators.PEOPLE, SCOPE)[()].value == 2


def test_a_month_begins_at_midnight_in_shanghai(world):
    by_month = computation.compute(indicators.ENROLMENTS, SCOPE, ["month"])

    assert {cell[0]: figure.value for cell, figure in by_month.items()} == {date(2026, 3, 1): 3, date(2026, 4, 1): 1}


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (datetime(2026, 2, 28, 15, 59, 59, 999999, tzinfo=UTC), date(2026, 2, 1)),
        (datetime(2026, 2, 28, 16, tzinfo=UTC), date(2026, 3, 1)),
        (datetime(2028, 2, 29, 15, 59, 59, 999999, tzinfo=UTC), date(2028, 2, 1)),
        (datetime(2028, 2, 29, 16, tzinfo=UTC), date(2028, 3, 1)),
        (datetime(2026, 12, 31, 15, 59, 59, 999999, tzinfo=UTC), date(2026, 12, 1)),
        (datetime(2026, 12, 31, 16, tzinfo=UTC), date(2027, 1, 1)),
    ],
)
def test_a_month_ends_with_its_last_moment_in_shanghai_wherever_the_run_is(app, moment, month):
    clock.set_to(moment)
    with transaction():
        run = make_run(zone="America/New_York")
        enrol(run, make_person(), at=moment)
        receive(run, make_person(), 100, at=moment)
        db.session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    scope = Scope(first=date(2026, 1, 1), last=date(2028, 12, 1), as_of=moment + timedelta(days=1))

    for indicator in (indicators.ENROLMENTS, indicators.PEOPLE, indicators.PAID_REVENUE):
        assert [cell[0] for cell in computation.compute(indicator, scope, ["month"])] == [month]
    before = Scope(first=scope.first, last=scope.last, as_of=moment - timedelta(microseconds=1))
    assert computation.compute(indicators.ENROLMENTS, before, ["month"]) == {}


def test_attendance_and_hours_agree_with_the_latest_marks(world):
    latest = {}
    for row in db.session.query(Attendance).order_by(Attendance.recorded_at, Attendance.id):
        latest[row.enrolment_id, row.session_id] = row.status
    minutes = 0
    for (_enrolment, session_id), status in latest.items():
        session = db.session.get(Session, session_id)
        minutes += (status == "present") * int((session.ends_at - session.starts_at).total_seconds() // 60)

    rate = computation.compute(indicators.ATTENDANCE_RATE, SCOPE)[()]
    hours = computation.compute(indicators.TRAINING_HOURS, SCOPE)[()]
    assert (rate.value, rate.of, rate.number) == (3, 4, 75.0)
    assert (hours.value, hours.number) == (minutes, 9.0)


def test_completion_counts_the_runs_that_ended(world):
    rate = computation.compute(indicators.COMPLETION_RATE, SCOPE, ["month"])

    assert {cell[0]: (figure.value, figure.of) for cell, figure in rate.items()} == {
        date(2026, 3, 1): (1, 2),
        date(2026, 4, 1): (0, 2),
    }


def test_revenue_is_what_the_ledger_says(world):
    by_month = computation.compute(indicators.PAID_REVENUE, SCOPE, ["month"])

    assert {cell[0]: figure.number for cell, figure in by_month.items()} == {
        date(2026, 3, 1): 2180.0,
        date(2026, 4, 1): -300.0,
    }


def test_a_figure_of_the_past_does_not_change(world):
    before_correction = Scope(SCOPE.first, SCOPE.last, as_of=world["first"].ends_at + timedelta(hours=1))

    rate = computation.compute(indicators.ATTENDANCE_RATE, before_correction)[()]
    assert (rate.value, rate.of) == (4, 4)
    before_giving_up = Scope(SCOPE.first, SCOPE.last, as_of=MARCH + timedelta(days=1))
    assert computation.compute(indicators.ENROLMENTS, before_giving_up)[()].value == 4


def test_a_course_moved_to_another_shelf_or_provider_leaves_the_past_as_it_was(world):
    before = [computation.compute(one, SCOPE, computation.DIMENSIONS) for one in indicators.INDICATORS]
    with transaction():
        games = add(Category(code="games", name_zh="游戏", name_en="Games", position=2))
        course = world["first"].course
        course.category_id = games.id
        course.providers[0].organisation_id = make_organisation().id

    after = [computation.compute(one, SCOPE, computation.DIMENSIONS) for one in indicators.INDICATORS]
    assert after == before
    afterwards = Scope(SCOPE.first, SCOPE.last, as_of=datetime.now(UTC) + timedelta(hours=1), category_id=games.id)
    assert computation.compute(indicators.ENROLMENTS, afterwards)[()].value == 2


def test_a_session_or_run_moved_later_leaves_the_past_as_it_was(world):
    counted_by_time = (indicators.ATTENDANCE_RATE, indicators.COMPLETION_RATE, indicators.TRAINING_HOURS)
    before = [computation.compute(one, SCOPE, ["month"]) for one in counted_by_time]
    with transaction():
        run = world["first"]
        run.ends_at += timedelta(days=60)
        for session in run.sessions:
            session.starts_at += timedelta(days=60)
            session.ends_at += timedelta(days=60, hours=2)

    assert [computation.compute(one, SCOPE, ["month"]) for one in counted_by_time] == before
    afterwards = Scope(SCOPE.first, SCOPE.last, as_of=datetime.now(UTC) + timedelta(hours=1))
    moved = computation.compute(indicators.TRAINING_HOURS, afterwards, ["month"])
    assert {cell[0]: figure.number for cell, figure in moved.items()} == {date(2026, 5, 1): 15}


@pytest.mark.parametrize("indicator", indicators.INDICATORS, ids=lambda one: one.code)
def test_parts_add_up_to_the_whole_where_they_should(world, indicator):
    whole = computation.compute(indicator, SCOPE)[()]
    for dimension in computation.DIMENSIONS:
        parts = computation.compute(indicator, SCOPE, [dimension]).values()
        total = sum(part.value for part in parts)
        assert total == whole.value if indicator.is_additive else total >= whole.value


def test_one_provider_is_only_its_own(world):
    provider = db.session.get(Organisation, world["first"].course.providers[0].organisation_id)
    scope = Scope(SCOPE.first, SCOPE.last, SCOPE.as_of, provider_id=provider.id)

    assert computation.compute(indicators.ENROLMENTS, scope)[()].value == 2


def test_the_page_shows_totals_and_definitions_to_staff_alone(client, world):
    clock.set_to(LATER)
    address = "/staff/figures?lang=en&first=2026-01&last=2026-12"
    sign_in(client, make_staff("analyst"))
    page = client.get(address).text
    assert "¥1,880.00" in page
    assert "75%" in page
    assert "One person in two runs counts twice." in page

    sign_in(client, make_person())
    assert client.get(address).status_code == 403


@pytest.mark.parametrize(
    "wish", ["first=x&last=2026-13&by=moon&as_of=99", "provider=none&category=none", "last=0001-01", "as_of=9999-12-31"]
)
def test_an_address_edited_by_hand_is_answered(client, world, wish):
    sign_in(client, make_staff("analyst"))

    assert client.get(f"/staff/figures?{wish}").status_code == 200


def test_the_file_opens_in_excel_with_its_chinese(client, world):
    clock.set_to(LATER)
    sign_in(client, make_staff("analyst"))

    answer = client.get("/staff/figures.csv?lang=zh&first=2026-01&last=2026-12")
    assert answer.data.startswith(b"\xef\xbb\xbf")
    lines = answer.data.decode("utf-8-sig").splitlines()
    assert lines[0].startswith("统计时点,2026-11-01T")
    header = next(line for line in lines if line.startswith("月份,"))
    assert header.startswith("月份,办学机构,领域分类,报名人次,人数,实收课程款 (元),出勤率 (%)")
    assert any(line.startswith("2026-03,") and ",遗产,2,2,1280.00,75.0,3,4," in line for line in lines)
