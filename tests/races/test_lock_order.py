"""Whoever locks several things does it in the order in which orders are placed: run, voucher, programme."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from marketplace.enrolment import cancellations, orders, places
from marketplace.enrolment.subsidising import Agreed
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.foundation.money import Money
from marketplace.funding import voucher_batches
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidy_rules import Rule
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_models import Voucher
from marketplace.funding.voucher_rules import Terms, ValueKind
from marketplace.payments import refunds
from marketplace.payments.models import PaymentAttempt
from tests.buying import buy_as_quoted
from tests.factories import make_person, make_run, make_staff
from tests.funding.made import make_programme


def bought(app):
    """A place paid by its learner, a voucher and a programme: the ids of enrolment, order, run and officer."""
    with app.app_context():
        run, person, now = make_run(is_subsidised=True), make_person(region="310000"), clock.now()
        terms = Terms(ValueKind.AMOUNT, "CNY", amount=30000, use_cap=3, money_cap=90000)
        batch = voucher_batches.issue(NewBatch("order of locks", terms), actor_id=None, now=now)
        [voucher] = voucher_batches.list_vouchers(batch.id)
        programme = make_programme(rule=Rule(percent=40))
        given = {"voucher_code": voucher_batches.code_of(voucher), "programme": programme.public_id}
        given["agreed"] = Agreed(1, is_given=True)
        order = buy_as_quoted(run, person, now=now, **given)
        with transaction():
            attempt = PaymentAttempt(
                order_id=order.id,
                state="paid",
                amount_minor=order.total_minor,
                currency="CNY",
                expires_at=now,
                paid_at=now,
            )
            db.session.add(attempt)
        orders.confirm_payment(order.id, attempt_public_id=attempt.public_id, amount=order.total, now=now)
        return places.find_of_order(order.id).id, order.id, run.id, make_staff("finance_officer").id


@contextmanager
def blocked(app, lock, act):
    """Run `act` on a thread while `lock` is held here, until it waits for it; gives the connection that holds it."""

    def run():
        with app.app_context():
            act()

    with app.app_context(), db.engine.connect() as holder, ThreadPoolExecutor(1) as pool:
        holder.execute(text(lock))
        waiting = pool.submit(run)
        try:
            with db.engine.connect() as watcher:
                query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                             " AND datname = current_database()")  # fmt: skip
                ends = time.monotonic() + 10
                while not watcher.execute(query).scalar() and not waiting.done() and time.monotonic() < ends:
                    watcher.rollback()
                    time.sleep(0.01)
            assert not waiting.done()
            yield holder
        finally:
            holder.rollback()
            waiting.result()


def is_free(holder, table):
    """Whether nobody else holds a row of this table; from then on `holder` does."""
    try:
        holder.execute(text(f"SELECT FROM {table} FOR NO KEY UPDATE NOWAIT"))
    except OperationalError:
        return False
    return True


def test_a_refund_that_ends_the_place_locks_the_run_before_the_voucher(race_app):
    _enrolment_id, order_id, run_id, officer_id = bought(race_app)

    def give_back():
        amount, now = Money(20000, "CNY"), clock.now()
        refunds.request_refund(order_id, amount, reason="x", ends_place=True, actor_id=officer_id, now=now)

    run = f"SELECT FROM course_run WHERE id = {run_id} FOR NO KEY UPDATE"
    with blocked(race_app, run, give_back) as holder:
        assert is_free(holder, Voucher.__tablename__)


def test_a_cancellation_locks_the_voucher_before_the_programme(race_app):
    enrolment_id, _order_id, _run_id, officer_id = bought(race_app)

    def cancel():
        now = clock.now()
        with transaction():
            place = places.lock(enrolment_id)
            statement = cancellations.state(place, now=now)
            cancellations.carry_out(place, statement, actor_id=officer_id, reason="", now=now)

    voucher = f"SELECT FROM {Voucher.__tablename__} FOR NO KEY UPDATE"
    with blocked(race_app, voucher, cancel) as holder:
        assert is_free(holder, FundingProgramme.__tablename__)
