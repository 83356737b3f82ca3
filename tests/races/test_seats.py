"""Seats under a crowd: real connections, real commits, one row everybody wants."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import func, select

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import seats
from marketplace.enrolment.models import Enrolment, Order, SeatHold
from marketplace.enrolment.rules import RunFull
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.money import Money
from tests.buying import place_order
from tests.factories import make_person, make_run

CONNECTIONS = 32


def crowd(app, act, arguments):
    """Run `act(argument)` for all arguments on 32 threads with a connection each; counts the answers."""
    barrier = Barrier(CONNECTIONS)

    def work(share):
        with app.app_context():
            db.session.connection()
            db.session.rollback()
        barrier.wait()
        answers = []
        for argument in share:
            with app.app_context():
                answers.append(act(argument))
        return answers

    shares = [arguments[start::CONNECTIONS] for start in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return Counter(answer for answers in pool.map(work, shares) for answer in answers)


def make_crowd(app, size, **run):
    with app.app_context(), transaction():
        run_id = make_run(**run).id
        people = [make_person().id for _ in range(size)]
    return run_id, people


def counts(app, run_id):
    """Seats the run counts, live holds, orders and enrolments."""
    with app.app_context():
        holds = select(func.count()).select_from(SeatHold).where(SeatHold.ended_at.is_(None))
        return (
            db.session.get(CourseRun, run_id).seats_taken,
            db.session.scalar(holds),
            db.session.scalar(select(func.count()).select_from(Order)),
            db.session.scalar(select(func.count()).select_from(Enrolment)),
        )


def place(run_id, *, price=128000):
    def act(person_id):
        try:
            place_order(
                run_id,
                person_id,
                shown_price=Money(price, "CNY"),
                request_key=ids.public_id(),
                locale="zh",
                now=clock.now(),
            )
        except RunFull:
            return "full"
        return "taken"

    return act


@pytest.mark.parametrize("price", [128000, 0])
def test_500_people_at_once_for_100_seats_sell_exactly_100(race_app, price):
    run_id, people = make_crowd(race_app, 500, capacity=100, price_minor=price)

    answers = crowd(race_app, place(run_id, price=price), people)

    assert answers == {"taken": 100, "full": 400}
    paid = (100, 100, 100, 0)
    free = (100, 0, 100, 100)
    assert counts(race_app, run_id) == (free if price == 0 else paid)


def test_two_tabs_and_a_double_click_make_one_order(race_app):
    run_id, [person] = make_crowd(race_app, 1, capacity=100)

    answers = crowd(race_app, place(run_id), [person] * 64)

    assert answers == {"taken": 64}
    assert counts(race_app, run_id) == (1, 1, 1, 0)


def test_expired_holds_are_swept_while_others_take_their_seats(race_app):
    run_id, people = make_crowd(race_app, 200, capacity=50)
    with race_app.app_context():
        for person_id in people[:50]:
            seats.hold_seat(run_id, person_id, now=clock.now() - timedelta(hours=1))

    def act(person_id):
        if person_id % 5 == 0:
            seats.sweep_expired_holds(now=clock.now())
        try:
            seats.hold_seat(run_id, person_id, now=clock.now())
        except RunFull:
            return "full"
        return "taken"

    answers = crowd(race_app, act, people[50:])

    assert answers == {"taken": 50, "full": 100}
    assert counts(race_app, run_id)[:2] == (50, 50)


def test_holding_and_giving_up_at_once_leaks_no_seat(race_app):
    run_id, people = make_crowd(race_app, 64, capacity=10)

    def act(person_id):
        for _ in range(3):
            try:
                hold = seats.hold_seat(run_id, person_id, now=clock.now())
                seats.release_hold(hold.id, now=clock.now())
            except Refused:
                continue
        return "done"

    crowd(race_app, act, people)

    assert counts(race_app, run_id)[:2] == (0, 0)
