"""Budgets under a crowd: sixteen connections ask at once for what is enough for some of them."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import func, select

from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Refused
from marketplace.funding import claims, subsidies
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidy_models import ClaimBatch, Subsidy
from marketplace.funding.subsidy_rules import Rule
from tests.factories import make_person, make_staff
from tests.funding.made import ask, make_line, make_programme, make_subsidy

THREADS = 16
HALF = 64000


def together(app, act, arguments):
    """Run `act(argument)` on a thread and connection of its own for each argument, all at once; counts the answers."""
    barrier = Barrier(len(arguments))

    def work(argument):
        with app.app_context():
            db.session.connection()
            db.session.rollback()
            barrier.wait()
            try:
                return act(argument)
            except Refused as refusal:
                return refusal.code

    with ThreadPoolExecutor(len(arguments)) as pool:
        return Counter(pool.map(work, arguments))


def counters(programme_id):
    """What the programme says is committed, and the sum of its subsidies."""
    kept = db.session.get_one(FundingProgramme, programme_id).committed_minor
    summed = select(func.coalesce(func.sum(Subsidy.committed_minor), 0)).where(Subsidy.programme_id == programme_id)
    return kept, int(db.session.scalar(summed))


def prepared(app, *, people, **programme):
    with app.app_context(), transaction():
        made = make_programme(**programme)
        buyers = [make_person() for _ in range(people)] * (THREADS // people)
        return made.id, [(ask(made, person), make_line(person, subsidy=HALF)) for person in buyers]


def reserve(pair):
    subsidies.reserve(*pair, now=clock.now())
    return "reserved"


@pytest.mark.parametrize("places", [1, 7])
def test_a_budget_is_never_overspent(race_app, places):
    programme_id, asked = prepared(race_app, people=THREADS, budget=places * HALF + HALF - 1)

    answers = together(race_app, reserve, asked)

    assert answers == {"reserved": places, "subsidy_refused": THREADS - places}
    with race_app.app_context():
        assert counters(programme_id) == (places * HALF, places * HALF)


def test_the_cap_of_a_person_holds_in_sixteen_tabs(race_app):
    rule = Rule(percent=50, person_year_cap_minor=3 * HALF)
    programme_id, asked = prepared(race_app, people=1, budget=10_000_000, rule=rule)

    answers = together(race_app, reserve, asked)

    assert answers == {"reserved": 3, "subsidy_refused": THREADS - 3}
    with race_app.app_context():
        assert counters(programme_id) == (3 * HALF, 3 * HALF)


def test_what_is_released_while_others_ask_is_counted_once(race_app):
    """Eight subsidies are let go twice each while eight others are reserved: the counter equals the sum."""
    programme_id, asked = prepared(race_app, people=THREADS, budget=100 * HALF)
    with race_app.app_context():
        for pair in asked[:8]:
            reserve(pair)

    def act(number):
        if number < 8:
            reserve(asked[8 + number])
        else:
            subsidies.release(asked[number % 8][1].id, "expired", now=clock.now())
        return "done"

    assert together(race_app, act, range(THREADS)) == {"done": THREADS}
    with race_app.app_context():
        assert counters(programme_id) == (8 * HALF, 8 * HALF)


def test_a_subsidy_is_claimed_in_one_batch(race_app):
    with race_app.app_context(), transaction():
        programme = make_programme()
        officer_id = make_staff("funding_officer").id
        for _ in range(3):
            subsidies.earn(make_subsidy(programme).id, {}, now=clock.now())
        programme_id = programme.id

    def act(_number):
        claims.make_batch(programme_id, None, actor_id=officer_id, now=clock.now())
        return "made"

    assert together(race_app, act, range(THREADS)) == {"made": 1, "nothing_earned": THREADS - 1}
    with race_app.app_context():
        assert [batch.number for batch in db.session.scalars(select(ClaimBatch))] == [1]
