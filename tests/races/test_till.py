"""Orders that come in at the same moment are placed together, and each is answered as if it had come alone."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DataError

from marketplace.catalog import pricing
from marketplace.catalog.models import CourseRun
from marketplace.catalog.pricing_rules import Rule, RuleKind
from marketplace.enrolment import orders, placing, till
from marketplace.enrolment.models import Order, OrderLine, SeatHold
from marketplace.enrolment.till import Till
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Statements, db, locked, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.money import Money
from tests.factories import make_person, make_run

PRICE = Money(128000, "CNY")


def make(app, people, **run):
    with app.app_context(), transaction():
        return make_run(**run).id, [make_person().id for _ in range(people)]


def place(app, run_id, person_id, key=None, price=PRICE):
    with app.app_context():
        try:
            return orders.place(
                run_id, person_id, shown_price=price, request_key=key or ids.public_id(), locale="zh", now=clock.now()
            )
        except Refused as refusal:
            return refusal.code


@pytest.fixture
def served(monkeypatch):
    """How many turns each call served."""
    sizes = []
    serve = till._serve
    monkeypatch.setattr(till, "_serve", lambda turns: (sizes.append(len(turns)), serve(turns)))
    return sizes


@contextmanager
def all_at_once(app, monkeypatch):
    """A function that starts an order each time it is called; all wait behind one and are served together at the end.

    Gives the answers, in the order of the calls, when the block is over.
    """
    came, go = Event(), Event()
    take = Till.take
    answers, pool = [], ThreadPoolExecutor(32)

    def first(_turns):
        came.set()
        go.wait(20)

    def start(*arguments, **named):
        waiting = len(till.of(app)._waiting)
        answers.append(pool.submit(place, app, *arguments, **named))
        while len(till.of(app)._waiting) == waiting:
            go.wait(0.001)

    blocker = Thread(target=lambda: take(till.of(app), till._Turn(placing.Wanted(0, 0, "", "zh"), None, None), first))
    blocker.start()
    came.wait(20)
    results = []
    try:
        yield start, results
    finally:
        go.set()
        blocker.join(20)
        results += [answer.result(20) for answer in answers]
        pool.shutdown()


def rows(app, run_id):
    """Seats counted, live holds, orders and lines of a run."""
    with app.app_context():
        seats = db.session.get(CourseRun, run_id).seats_taken
        holds = select(func.count()).select_from(SeatHold).where(SeatHold.run_id == run_id, SeatHold.ended_at.is_(None))
        lines = select(func.count()).select_from(OrderLine).where(OrderLine.run_id == run_id)
        made = select(func.count()).select_from(Order).join(OrderLine).where(OrderLine.run_id == run_id)
        return (seats, *(db.session.scalar(query) for query in (holds, made, lines)))


def test_those_who_wait_are_placed_with_one_statement_each_with_an_order_of_their_own(race_app, monkeypatch, served):
    first, people = make(race_app, 8)
    second, _ = make(race_app, 0)

    with all_at_once(race_app, monkeypatch) as (start, answers):
        for number, person in enumerate(people):
            start((first, second)[number % 2], person)

    assert served == [8]
    assert len(set(answers)) == 8
    assert rows(race_app, first) == rows(race_app, second) == (4, 4, 4, 4)
    with race_app.app_context():
        of = {order.public_id: (order.person_id, order.lines[0].run_id) for order in db.session.scalars(select(Order))}
    assert [of[answer] for answer in answers] == [
        (person, (first, second)[number % 2]) for number, person in enumerate(people)
    ]


def test_the_last_seats_go_to_those_who_came_first(race_app, monkeypatch):
    run_id, people = make(race_app, 6, capacity=4)

    with all_at_once(race_app, monkeypatch) as (start, answers):
        for person in people:
            start(run_id, person)

    assert answers[4:] == ["run_full", "run_full"]
    assert len(set(answers)) == 5
    assert rows(race_app, run_id) == (4, 4, 4, 4)


def test_two_clicks_and_two_tabs_of_one_person_make_one_order(race_app, monkeypatch):
    run_id, [person, other] = make(race_app, 2)

    with all_at_once(race_app, monkeypatch) as (start, answers):
        start(run_id, person, key="form")
        start(run_id, other)
        start(run_id, person, key="form")
        start(run_id, person, key="another tab")

    assert answers[0] == answers[2] == answers[3] != answers[1]
    assert rows(race_app, run_id) == (2, 2, 2, 2)


def test_each_is_refused_for_reasons_of_its_own(race_app, monkeypatch):
    run_id, [good, late, wrong] = make(race_app, 3)
    closed, _ = make(race_app, 0, enrol_closes_at=clock.now() - timedelta(minutes=1))

    with all_at_once(race_app, monkeypatch) as (start, answers):
        start(closed, late)
        start(run_id, wrong, price=Money(1, "CNY"))
        start(0, wrong)
        start(run_id, good)

    assert answers[:3] == ["enrolment_closed", "price_changed", NotFound().code]
    assert rows(race_app, run_id) == (1, 1, 1, 1)


def test_a_price_by_count_is_decided_for_each_seat_anew(race_app, monkeypatch):
    run_id, people = make(race_app, 3)
    first_seat = Rule(rule_id=0, kind=RuleKind.FIRST_SEATS, currency="CNY", percent_off=50, first_seats=1)
    with race_app.app_context():
        pricing.add_rule(run_id, first_seat, actor_id=None, now=clock.now())

    with all_at_once(race_app, monkeypatch) as (start, answers):
        for person in people:
            start(run_id, person, price=Money(64000, "CNY"))

    assert sorted(answers, key=len)[1:] == ["price_changed", "price_changed"]
    assert rows(race_app, run_id) == (1, 1, 1, 1)


@pytest.mark.parametrize("why", ["price rules", "starts soon"])
def test_what_can_change_without_a_mark_is_placed_under_the_lock(race_app, monkeypatch, why):
    soon = {"starts_at": clock.now() + timedelta(days=2)} if why == "starts soon" else {}
    run_id, [person] = make(race_app, 1, **soon)
    if why == "price rules":
        rule = Rule(rule_id=0, kind=RuleKind.FIRST_SEATS, currency="CNY", percent_off=50, first_seats=9)
        with race_app.app_context():
            pricing.add_rule(run_id, rule, actor_id=None, now=clock.now())
    look, sent = Statements.rows, []
    monkeypatch.setattr(Statements, "rows", lambda *told: (sent.append(told[1]), look(*told))[1])

    assert len(place(race_app, run_id, person, price=Money(64000, "CNY") if why == "price rules" else PRICE)) == 12
    assert sent == [till._LOOK]
    assert rows(race_app, run_id) == (1, 1, 1, 1)


def test_a_fault_in_one_decision_is_nobody_elses(race_app, monkeypatch):
    run_id, people = make(race_app, 3)
    decide = placing.decide

    def fail(wanted, *facts, **named):
        if wanted.person_id == people[1]:
            db.session.execute(text("SELECT 1 / 0"))
        return decide(wanted, *facts, **named)

    monkeypatch.setattr(placing, "decide", fail)
    with pytest.raises(DataError), all_at_once(race_app, monkeypatch) as (start, answers):
        for person in people:
            start(run_id, person)
    assert answers == []
    assert rows(race_app, run_id) == (2, 2, 2, 2)


def test_the_key_of_a_form_is_its_persons_own(race_app, monkeypatch):
    run_id, people = make(race_app, 3)

    with all_at_once(race_app, monkeypatch) as (start, answers):
        for person in people[:2]:
            start(run_id, person, key="one key for two")
    answers.append(place(race_app, run_id, people[2], key="one key for two"))

    assert len(set(answers)) == 3
    assert rows(race_app, run_id) == (3, 3, 3, 3)


def test_what_changed_after_it_was_seen_is_decided_anew(race_app, monkeypatch):
    run_id, people = make(race_app, 2)
    look = Statements.rows

    def meddle(statements, statement, values):
        found = look(statements, statement, values)
        if statement is till._LOOK:
            with race_app.app_context(), transaction():
                locked(CourseRun, run_id).price_minor = 99000
        return found

    monkeypatch.setattr(Statements, "rows", meddle)
    assert place(race_app, run_id, people[0]) == "price_changed"
    assert rows(race_app, run_id) == (0, 0, 0, 0)


def test_a_run_that_is_locked_for_long_does_not_hold_up_the_others(race_app):
    slow, people = make(race_app, 2)
    quick, _ = make(race_app, 0)
    is_locked, may_end = Event(), Event()

    def hold():
        with race_app.app_context(), transaction():
            locked(CourseRun, slow)
            is_locked.set()
            may_end.wait(20)

    holder = Thread(target=hold)
    holder.start()
    is_locked.wait(20)
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(place, race_app, slow, people[0])
        assert len(pool.submit(place, race_app, quick, people[1]).result(20)) == ids.LENGTH
        assert not waiting.done()
        may_end.set()
        assert len(waiting.result(20)) == ids.LENGTH
    holder.join()
    assert rows(race_app, slow) == rows(race_app, quick) == (1, 1, 1, 1)


def test_when_the_statement_of_all_fails_each_goes_on_alone(race_app, monkeypatch):
    run_id, people = make(race_app, 3)
    look = Statements.rows

    def fail(statements, statement, values):
        if statement is till._PLACE:
            raise psycopg.OperationalError
        return look(statements, statement, values)

    monkeypatch.setattr(Statements, "rows", fail)
    with all_at_once(race_app, monkeypatch) as (start, answers):
        for person in people:
            start(run_id, person)

    assert len(set(answers)) == 3
    assert rows(race_app, run_id) == (3, 3, 3, 3)


def test_an_order_whose_commit_was_not_heard_of_is_found_again(race_app, monkeypatch):
    run_id, [person] = make(race_app, 1)
    look = Statements.rows

    def lose(statements, statement, values):
        found = look(statements, statement, values)
        if statement is till._PLACE:
            raise psycopg.OperationalError
        return found

    monkeypatch.setattr(Statements, "rows", lose)
    assert len(place(race_app, run_id, person)) == ids.LENGTH
    assert rows(race_app, run_id) == (1, 1, 1, 1)


def test_whoever_serves_and_breaks_leaves_the_queue_in_order(race_app, monkeypatch):
    run_id, [person, other] = make(race_app, 2)

    def broken(turns):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(till, "_serve", broken)
        with pytest.raises(ZeroDivisionError):
            place(race_app, run_id, person)

    assert len(place(race_app, run_id, other)) == ids.LENGTH
