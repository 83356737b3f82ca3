"""After the sale under a crowd: money goes back once, a place moves once, the last seat is taken once."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import cancellations, changes, orders, places, returns, transfers
from marketplace.enrolment.models import Enrolment, RefundDue
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.money import Money
from marketplace.payments import refunds
from marketplace.payments.models import PaymentAttempt
from tests.buying import place_order
from tests.enrolment.test_changes import offered
from tests.factories import make_course, make_person, make_run, make_staff

WHOLE = Money(128000, "CNY")


def at_once(app, *acts):
    """Run each act on a thread of its own, all starting together; counts the answers, refusals by their code."""
    barrier = Barrier(len(acts))

    def run(act):
        with app.app_context():
            db.session.connection()
            db.session.rollback()
            barrier.wait()
            try:
                act()
            except Refused as refusal:
                return refusal.code
            return "done"

    with ThreadPoolExecutor(len(acts)) as pool:
        return Counter(pool.map(run, acts))


def buy(run):
    """A paid place: the ids of enrolment, order and person."""
    person, now = make_person(), clock.now()
    order = place_order(run.id, person.id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now)
    with transaction():
        db.session.add(
            PaymentAttempt(
                public_id=f"attempt-{order.id}",
                order_id=order.id,
                state="paid",
                paid_at=now,
                amount_minor=run.price_minor,
                currency="CNY",
                expires_at=now,
                payment_intent_id=f"pi_{order.id}",
            )
        )
    orders.confirm_payment(order.id, attempt_public_id=f"attempt-{order.id}", amount=run.price, now=now)
    return places.find_of_order(order.id).id, order.id, person.id


def given_back(app, order_id):
    with app.app_context():
        return sum(fact.amount_minor for fact in returns.list_facts(order_id))


def seats_taken(app, *run_ids):
    with app.app_context():
        return [db.session.get(CourseRun, run_id).seats_taken for run_id in run_ids]


def test_a_double_click_cancels_once(race_app):
    with race_app.app_context():
        run = make_run(capacity=1)
        run_id, (place, order, person) = run.id, buy(run)

    def cancel():
        cancellations.cancel_place(place, shown=WHOLE, actor_id=person, reason="", now=clock.now())

    assert at_once(race_app, *[cancel] * 8) == {"done": 1, "place_ended": 7}
    assert (given_back(race_app, order), seats_taken(race_app, run_id)) == (128000, [0])


def test_cancelling_and_refunding_at_once_give_back_no_more_than_was_paid(race_app):
    for _ in range(5):
        with race_app.app_context():
            place, order, person = buy(make_run())
            officer = make_staff("finance_officer").id

        def cancel(place=place, person=person):
            cancellations.cancel_place(place, shown=WHOLE, actor_id=person, reason="", now=clock.now())

        def refund(order=order, officer=officer):
            refunds.request_refund(order, WHOLE, reason="x", ends_place=False, actor_id=officer, now=clock.now())

        answers = at_once(race_app, cancel, refund, refund)
        assert answers["done"] == 1, answers
        assert given_back(race_app, order) == 128000


def test_many_move_to_the_last_seat_and_one_gets_it(race_app):
    with race_app.app_context():
        course = make_course()
        run, target = make_run(course), make_run(course, capacity=1)
        run_id, target_id = run.id, target.id
        mine = [buy(run) for _ in range(8)]

    def defer(place, person):
        return lambda: changes.defer(
            place, target_id, shown=Money(0, "CNY"), actor_id=person, locale="zh", now=clock.now()
        )

    answers = at_once(race_app, *[defer(place, person) for place, _order, person in mine])
    assert answers == {"done": 1, "run_full": 7}
    assert seats_taken(race_app, run_id, target_id) == [7, 1]


def test_two_who_swap_runs_do_not_wait_for_each_other(race_app):
    with race_app.app_context():
        course = make_course()
        first, second = make_run(course), make_run(course)
        first_id, second_id = first.id, second.id
        mine = [(buy(first), second_id) if index % 2 else (buy(second), first_id) for index in range(8)]

    def defer(place, person, to):
        return lambda: changes.defer(place, to, shown=Money(0, "CNY"), actor_id=person, locale="zh", now=clock.now())

    answers = at_once(race_app, *[defer(place, person, to) for (place, _order, person), to in mine])
    assert answers == {"done": 8}
    assert seats_taken(race_app, first_id, second_id) == [4, 4]


def test_an_offer_pressed_twice_and_a_cancellation_leave_one_outcome(race_app):
    for _ in range(3):
        with race_app.app_context():
            run = make_run(capacity=1)
            run_id, (place, order, person) = run.id, buy(run)
            other = make_person()
            other_id = other.id
            key = offered(db.session.get(Enrolment, place), other.email, now=clock.now())

        def accept(key=key, other_id=other_id):
            transfers.accept(key, person=db.session.get(Person, other_id), now=clock.now())

        def cancel(place=place, person=person):
            cancellations.cancel_place(place, shown=WHOLE, actor_id=person, reason="", now=clock.now())

        answers = at_once(race_app, accept, accept, cancel)
        assert answers["done"] == 1, answers
        with race_app.app_context():
            active = db.session.query(Enrolment).filter_by(run_id=run_id, ended_at=None).count()
            due = db.session.query(RefundDue).filter_by(order_id=order).count()
        assert (active, due) in {(1, 0), (0, 1)}
        assert seats_taken(race_app, run_id) == [active]


def test_a_difference_waits_for_a_refund_of_what_it_adds_to(race_app):
    """Else the money goes back and counts towards the dearer date as well."""
    with race_app.app_context():
        course = make_course()
        run, target = make_run(course), make_run(course, price_minor=150000)
        run_id, target_id = run.id, target.id
        place, order, person = buy(run)
        named = {"shown": Money(22000, "CNY"), "actor_id": person, "locale": "zh", "now": clock.now()}
        difference = changes.defer(place, target_id, **named).order_id
        officer = make_staff("finance_officer").id
    has_refunded, verdicts = Event(), []

    def refund():
        with transaction():
            amount = Money(28000, "CNY")
            refunds.request_refund(order, amount, reason="x", ends_place=False, actor_id=officer, now=clock.now())
            has_refunded.set()
            time.sleep(0.5)

    def pay():
        has_refunded.wait(10)
        paid = {"attempt_public_id": "difference", "amount": Money(22000, "CNY"), "now": clock.now()}
        verdicts.append(orders.confirm_payment(difference, **paid))

    assert at_once(race_app, refund, pay) == {"done": 2}
    assert (verdicts, seats_taken(race_app, run_id, target_id)) == (["refund_due"], [1, 0])
    assert given_back(race_app, order) == 28000
