"""Pools and waiting lists under a crowd: what is kept or offered is never sold past its people, nor twice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import func, select

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import offers, orders, pools, seats, waiting
from marketplace.enrolment.models import Order, SeatHold
from marketplace.enrolment.pools import PoolWish
from marketplace.enrolment.rules import RunFull
from marketplace.enrolment.seat_models import SeatPool, WaitingEntry
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.money import Money
from tests.buying import place_order
from tests.factories import make_member, make_organisation, make_person, make_run

HANDS = 16
PRICE = Money(128000, "CNY")


def at_once(app, acts):
    """Do all acts at the same time on 16 connections; counts what they answer."""
    barrier = Barrier(HANDS)

    def work(share):
        with app.app_context():
            db.session.connection()
            db.session.rollback()
        barrier.wait()
        answers = []
        for act in share:
            with app.app_context():
                try:
                    answers.append(act() or "done")
                except Refused as refused:
                    answers.append(refused.code)
        return answers

    with ThreadPoolExecutor(HANDS) as pool:
        shares = [acts[start::HANDS] for start in range(HANDS)]
        return Counter(answer for answers in pool.map(work, shares) for answer in answers)


def take(run_id, person_id):
    def act():
        place_order(run_id, person_id, shown_price=PRICE, request_key=ids.public_id(), locale="zh", now=clock.now())

    return act


def counted(app, run_id):
    """Seats taken and kept, live holds, and the same seats as the pools count them."""
    with app.app_context():
        run = db.session.get_one(CourseRun, run_id)
        holds = select(func.count()).select_from(SeatHold).where(SeatHold.ended_at.is_(None))
        rows = db.session.scalars(select(SeatPool)).all()
        kept = sum(pool.unused for pool in rows)
        pooled = db.session.scalar(holds.where(SeatHold.pool_id.is_not(None)))
        assert (run.seats_kept, sum(pool.taken for pool in rows)) == (kept, pooled)
        return run.seats_taken, run.seats_kept, db.session.scalar(holds)


def test_a_pool_is_released_while_everyone_enrols(race_app):
    now = clock.now()
    with race_app.app_context(), transaction():
        run, sponsor = make_run(capacity=40), make_organisation(kind="employer")
        run_id = run.id
        members = [make_member(sponsor, "registrar").id for _ in range(15)]
        others = [make_person().id for _ in range(60)]
        wish = PoolWish("sponsor", "organisation", 20, now + timedelta(days=1), organisation_id=sponsor.id)
        pool_id = pools.create_pool(run_id, wish, actor_id=None, now=now).id

    acts = [take(run_id, person_id) for person_id in others[:30] + members + others[30:]]
    acts.insert(45, lambda: pools.release_pool(pool_id, actor_id=None, now=clock.now()) and None)
    answers = at_once(race_app, acts)

    assert answers == {"done": 41, "run_full": 35}
    assert counted(race_app, run_id) == (40, 0, 40)


@pytest.mark.parametrize("_round", range(3))
def test_two_pools_made_at_once_keep_no_more_than_there_is(race_app, _round):
    now = clock.now()
    with race_app.app_context(), transaction():
        run_id = make_run(capacity=10).id
        sponsor_id = make_organisation(kind="employer").id
    wish = PoolWish("sponsor", "organisation", 3, now + timedelta(days=1), organisation_id=sponsor_id)

    answers = at_once(race_app, [lambda: pools.create_pool(run_id, wish, actor_id=None, now=now) and None] * HANDS)

    assert answers == {"done": 3, Invalid("too_many_kept", "").code: HANDS - 3}
    assert counted(race_app, run_id) == (0, 9, 0)


def test_seats_given_up_go_to_those_who_wait_and_to_nobody_else(race_app):
    with race_app.app_context(), transaction():
        run_id = make_run(capacity=20).id
        buyers, waiters, others = ([make_person().id for _ in range(size)] for size in (20, 12, 100))
    assert at_once(race_app, [take(run_id, person_id) for person_id in buyers]) == {"done": 20}
    with race_app.app_context():
        for person_id in waiters:
            waiting.join(run_id, person_id, seat_code=None, now=clock.now())
        order_ids = list(db.session.scalars(select(Order.id).order_by(Order.id)))

    cancels = [
        lambda order_id=order_id: orders.cancel_order(order_id, actor_id=None, now=clock.now()) and None
        for order_id in order_ids[:10]
    ]
    sweeps = [lambda: offers.offer_all(now=clock.now()) and None] * 4
    mixed = [
        act
        for pair in zip(cancels * 10, [take(run_id, person_id) for person_id in others], strict=True)
        for act in pair
    ]
    answers = at_once(race_app, mixed + sweeps)

    assert answers == {"done": 104, RunFull().code: 100}
    with race_app.app_context():
        states = Counter(db.session.scalars(select(WaitingEntry.state).order_by(WaitingEntry.id)))
        offered = list(db.session.scalars(select(WaitingEntry.person_id).filter_by(state="offered")))
        assert (states, sorted(offered)) == ({"offered": 10, "waiting": 2}, sorted(waiters[:10]))
    assert counted(race_app, run_id) == (20, 0, 20)


@pytest.mark.parametrize("_round", range(3))
def test_an_offer_is_taken_declined_and_swept_at_once(race_app, _round):
    with race_app.app_context(), transaction():
        run_id = make_run(capacity=1).id
        buyer, *waiters = (make_person().id for _ in range(6))
    at_once(race_app, [take(run_id, buyer)])
    with race_app.app_context():
        entries = {
            person_id: waiting.join(run_id, person_id, seat_code=None, now=clock.now()).public_id
            for person_id in waiters
        }
        orders.cancel_order(db.session.scalars(select(Order.id)).one(), actor_id=None, now=clock.now())

    acts = []
    for person_id, public_id in entries.items():
        acts.append(take(run_id, person_id))
        acts.append(
            lambda person_id=person_id, public_id=public_id: (
                waiting.leave(public_id, person_id, now=clock.now()) and None
            )
        )
        acts.append(lambda: seats.sweep_expired_holds(now=clock.now()) and None)
    at_once(race_app, acts)

    taken, _kept, holds = counted(race_app, run_id)
    assert taken == holds <= 1
    with race_app.app_context():
        states = Counter(db.session.scalars(select(WaitingEntry.state)))
    assert states["waiting"] == 0 or taken == 1


def test_nobody_joins_more_lists_at_once_than_allowed(race_app):
    with race_app.app_context(), transaction():
        run_ids = [make_run(capacity=0).id for _ in range(HANDS)]
        person_id = make_person().id

    answers = at_once(
        race_app,
        [
            lambda run_id=run_id: waiting.join(run_id, person_id, seat_code=None, now=clock.now()) and None
            for run_id in run_ids
        ],
    )

    assert answers == {"done": waiting.MOST_AT_ONCE, "too_many_lists": HANDS - waiting.MOST_AT_ONCE}
