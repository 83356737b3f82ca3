"""The database connection of a job is cut at each of its statements in turn: done again, it is done once."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import DBAPIError

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import run_changes
from marketplace.enrolment.models import Enrolment, RefundDue
from marketplace.enrolment.run_change_models import RunChange
from marketplace.enrolment.run_change_rules import RunChangeKind
from marketplace.enrolment.run_changes import Wanted
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, transaction
from marketplace.foundation.money import Money
from marketplace.payments import attempts, events, ledger, refunds
from marketplace.payments.models import PaymentAttempt, Refund, StripeEvent
from tests.buying import place_order
from tests.factories import make_course, make_person, make_run, make_staff
from tests.payments.conftest import running_sandbox

BACK = {"return_url": "http://localhost/back", "cancel_url": "http://localhost/cancel"}
PRICE = 128000
# More statements than any of these jobs has: a job that is never done is a fault too.
ENOUGH = 200


@pytest.fixture
def sandbox(race_app):
    with race_app.app_context(), running_sandbox(race_app) as sandbox:
        yield sandbox


class Cut:
    """Ends the session's connection from outside, by PostgreSQL itself, before the statement of this number."""

    def __init__(self, app, number):
        self.address = app.config["SETTINGS"].database_url.replace("+psycopg", "")
        self.left, self.has_cut = number, False

    def __enter__(self):
        event.listen(db.engine, "before_cursor_execute", self._strike)
        event.listen(db.engine, "commit", self._strike)
        return self

    def __exit__(self, *_error):
        event.remove(db.engine, "before_cursor_execute", self._strike)
        event.remove(db.engine, "commit", self._strike)

    def _strike(self, connection, *_rest):
        self.left -= 1
        if self.left == 0:
            self.has_cut = True
            victim = connection.connection.driver_connection.info.backend_pid
            with psycopg.connect(self.address, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (victim,))


def cut_everywhere(app, make, job, *, step=1):
    """Make anew, cut `job(made)` at each `step`th of its statements in turn, do it again; in how many places."""
    for times, number in enumerate(range(1, ENOUGH, step)):
        made = make()
        db.session.remove()
        with Cut(app, number) as cut:
            try:
                job(made)
            except DBAPIError:
                assert cut.has_cut
        db.session.remove()
        if not cut.has_cut:
            return times
        job(made)
        db.session.remove()
    raise AssertionError("the job has no end")


def paid(sandbox, run_id):
    """An order whose money is at Stripe; we have not heard of it yet."""
    person, now = make_person(), clock.now()
    named = {"request_key": ids.public_id(), "locale": "zh", "now": now}
    order = place_order(run_id, person.id, shown_price=Money(PRICE, "CNY"), **named)
    attempts.start_payment(order.id, **BACK, now=now)
    sandbox.pay(db.session.query(PaymentAttempt).filter_by(order_id=order.id).one())
    return order


def counts():
    """People who are in, payments that are booked, and seats that are taken."""
    active = db.session.scalar(select(func.count()).select_from(Enrolment).where(Enrolment.ended_at.is_(None)))
    return active, db.session.query(PaymentAttempt).filter_by(state="paid").count(), _seats()


def _seats():
    return db.session.scalar(select(func.sum(CourseRun.seats_taken)))


def test_a_payment_that_is_settled(race_app, sandbox):
    run_id = make_run(capacity=ENOUGH).id

    def make():
        paid(sandbox, run_id)
        told = [one for one in sandbox.events() if one["type"] == "checkout.session.completed"][-1]
        events.store(told, now=clock.now())
        return db.session.query(StripeEvent).filter_by(event_id=told["id"]).one().id

    places = cut_everywhere(race_app, make, lambda row_id: events.handle.func.inner(row_id=row_id))

    made = places + 1
    assert places > 20
    assert counts() == (made, made, made)
    assert ledger.balances() == {("stripe_balance", "CNY"): PRICE * made, ("unearned_revenue", "CNY"): -PRICE * made}
    assert {one.state for one in db.session.query(StripeEvent)} == {"handled"}


def test_a_refund_that_is_sent(race_app, sandbox):
    run_id, officer_id = make_run(capacity=ENOUGH).id, make_staff("finance_officer").id

    def make():
        order = paid(sandbox, run_id)
        attempts.settle_returned(order.id, now=clock.now())
        named = {"reason": "x", "ends_place": True, "actor_id": officer_id, "now": clock.now()}
        [refund] = refunds.request_refund(order.id, Money(PRICE, "CNY"), **named)
        return refund.id

    places = cut_everywhere(race_app, make, lambda refund_id: refunds.send.func.inner(refund_id=refund_id))

    assert places > 10
    assert {refund.state for refund in db.session.query(Refund)} == {"succeeded"}
    assert set(ledger.balances().values()) == {0}
    given_back = [charge["amount_refunded"] for charge in sandbox.store.list_kind("charge")]
    assert given_back == [PRICE] * (places + 1)
    assert counts()[0] == 0


def test_a_cancelled_run_whose_people_are_settled(race_app, sandbox):
    def make():
        run_id = make_run(make_course(), capacity=3).id
        for _ in range(2):
            attempts.settle_returned(paid(sandbox, run_id).id, now=clock.now())
        wanted = Wanted(RunChangeKind.CANCELLED, "flood")
        change = run_changes.announce(run_id, wanted, actor_id=None, now=clock.now())
        with transaction():
            change.answer_by = clock.now()
        return change.id

    def work(change_id):
        run_changes.work.func.inner(change_id=change_id)

    # Each round takes two payments: every seventh statement is one in each transaction.
    places = cut_everywhere(race_app, make, work, step=7)

    assert places > 6
    changes = db.session.query(RunChange).all()
    assert {(one.people_told, one.people_settled, one.finished_at is None) for one in changes} == {(2, 2, False)}
    assert counts() == (0, 2 * (places + 1), 0)
    assert [fact.amount_minor for fact in db.session.query(RefundDue)] == [PRICE] * 2 * (places + 1)
