"""Orders that a funding programme pays a part of: reserved with the order, let go with it, refused without it."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from marketplace.enrolment import orders, places, quotes, subsidising
from marketplace.enrolment.models import Order
from marketplace.enrolment.quotes import Asked
from marketplace.enrolment.rules import Settlement
from marketplace.enrolment.subsidising import Agreed
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.money import Money
from marketplace.funding.subsidies import SubsidyRefused
from marketplace.funding.subsidy_models import Subsidy, SubsidyAttempt
from marketplace.funding.subsidy_rules import Rule
from marketplace.funding.subsidy_states import State
from tests.buying import place_order
from tests.factories import make_person, make_run
from tests.funding.made import committed, make_programme

pytestmark = pytest.mark.usefixtures("app")
PRICE, HALF = Money(128000, "CNY"), Money(64000, "CNY")
AGREED = Agreed(1, True)


def place(run, person, programme, *, due=HALF, agreed=AGREED, now=None):
    return place_order(
        run.id,
        person.id,
        shown_price=PRICE,
        request_key=ids.public_id(),
        locale="zh",
        now=now or clock.now(),
        asked=Asked(programme=programme.public_id, agreed=agreed, shown_due=due),
    )


def subsidy_of(order):
    return db.session.scalars(select(Subsidy).filter_by(order_line_id=order.lines[0].id)).one()


def test_a_subsidised_order_freezes_who_pays_what():
    run, person = make_run(), make_person(region="310000")
    programme = make_programme(rule=Rule(percent=50, regions=("310000",)))

    order = place(run, person, programme)

    line, subsidy = order.lines[0], subsidy_of(order)
    assert (order.total, line.price_minor, line.subsidy_minor, line.due_minor) == (HALF, 128000, 64000, 64000)
    assert line.price_rule["explanation"][1] == [
        "subsidy", {"programme": programme.public_id, "version": 1}, -64000
    ]  # fmt: skip
    assert (subsidy.state, subsidy.order_number, subsidy.title_en) == (State.RESERVED, order.public_id, line.title_en)
    assert (subsidy.consent.text_version, subsidy.consent.facts) == (1, ["regions"])
    assert subsidy.attempt.buyer["person_id"] == person.id
    assert subsidy.attempt.offer["run_id"] == run.id


def test_a_seat_that_is_paid_in_full_is_confirmed_at_once():
    order = place(make_run(), make_person(), make_programme(rule=Rule(percent=100)), due=Money(0, "CNY"))

    assert (order.state, subsidy_of(order).state) == ("confirmed", State.RESERVED)


@pytest.mark.parametrize(
    ("rule", "values", "code"),
    [
        (Rule(percent=50, regions=("110000",)), {}, "subsidy_refused"),
        (Rule(percent=50, industries=("R",)), {}, "subsidy_refused"),
        (Rule(percent=50), {"agreed": None}, "consent_needed"),
        (Rule(percent=50), {"agreed": Agreed(1, False)}, "consent_needed"),
        (Rule(percent=50), {"agreed": Agreed(7, True)}, "subsidy_changed"),
    ],
)
def test_a_refusal_orders_nothing_and_is_kept(rule, values, code):
    run, person, programme = make_run(), make_person(region="310000"), make_programme(rule=rule)

    with pytest.raises(SubsidyRefused, match=code):
        place(run, person, programme, **values)

    assert db.session.scalars(select(Order)).all() == []
    assert (run.seats_taken, committed(programme)) == (0, 0)
    [attempt] = db.session.scalars(select(SubsidyAttempt)).all()
    assert (attempt.outcome, attempt.refusal, attempt.person_id) == ("refused", code, person.id)
    assert attempt.buyer["region"] == "310000"


def test_an_amount_other_than_the_one_shown_is_shown_first():
    run, programme = make_run(), make_programme(rule=Rule(percent=40))

    with pytest.raises(orders.PriceChanged) as caught:
        place(run, make_person(), programme)
    assert caught.value.quote.due == Money(76800, "CNY")


def test_a_programme_that_is_not_there_is_refused():
    run, person, programme = make_run(), make_person(), make_programme()
    programme.closed_at = clock.now()

    with pytest.raises(Refused, match="programme_closed"):
        place(run, person, programme)


@pytest.mark.parametrize("end", ["cancel", "expire"])
def test_an_order_that_ends_unpaid_gives_the_subsidy_back(end):
    programme = make_programme()
    order = place(make_run(), make_person(), programme)

    if end == "cancel":
        orders.cancel_order(order.id, actor_id=order.person_id, now=clock.now())
    else:
        orders.expire_orders(now=clock.now() + timedelta(minutes=16))

    assert (subsidy_of(order).state, committed(programme)) == (State.RELEASED, 0)


def test_after_a_rush_every_unpaid_order_gives_its_part_of_the_budget_back_at_once(monkeypatch):
    monkeypatch.setattr(orders, "SWEEP_BATCH", 2)
    programme, run = make_programme(), make_run()
    for _ in range(5):
        place(run, make_person(), programme)

    clock.set_to(clock.now() + timedelta(minutes=16))
    orders.expire(timestamp=0)

    assert committed(programme) == 0


@pytest.mark.parametrize(("budget", "verdict", "state"), [
    (128000, Settlement.REHOLD_AND_CONFIRM, "reserved"), (64000, Settlement.REFUND_DUE, "released")
])  # fmt: skip
def test_late_money_takes_the_subsidy_again_if_it_is_still_there(budget, verdict, state):
    programme, run = make_programme(budget=budget), make_run()
    late = place(run, make_person(), programme)
    after = clock.now() + timedelta(minutes=16)
    orders.expire_orders(now=after)
    place(run, make_person(), programme)

    assert orders.confirm_payment(late.id, attempt_public_id="late", amount=HALF, now=after) is verdict
    assert subsidy_of(late).state == state


def test_a_refunded_order_lets_its_subsidy_go():
    programme = make_programme()
    order = place(make_run(), make_person(), programme)
    orders.confirm_payment(order.id, attempt_public_id="one", amount=HALF, now=clock.now())

    places.end_of_order(order.id, "refunded", now=clock.now(), actor_id=None)

    assert (subsidy_of(order).state, committed(programme)) == (State.RELEASED, 0)


def choices(run, person, wanted=None):
    buyer, offer = quotes.buyer_of(person.id), quotes.offer_of(run.id)
    return subsidising.choices(wanted, buyer, offer, run.price, now=clock.now())


def test_a_buyer_chooses_among_what_is_granted_and_sees_what_is_near():
    run, person = make_run(), make_person(region="310000")
    small, large = make_programme(rule=Rule(percent=20)), make_programme(rule=Rule(percent=50))
    unsure = make_programme(rule=Rule(percent=90, industries=("R",)))
    elsewhere = make_programme(rule=Rule(percent=90, regions=("110000",)))
    make_programme(rule=Rule(percent=90, modes=("online",)))

    found = choices(run, person)

    assert [one.programme.id for one in found.granted] == [large.id, small.id]
    assert [one.programme.id for one in found.others] == [unsure.id, elsewhere.id]
    assert found.chosen.programme.id == large.id
    assert choices(run, person, small.public_id).chosen.programme.id == small.id
    assert choices(run, person, unsure.public_id).chosen.programme.id == large.id
    assert choices(run, person, subsidising.NOBODY).chosen is None


def test_visitors_are_told_the_best_programme_as_conditions():
    run = make_run()
    programme = make_programme(rule=Rule(percent=50, regions=("310000",)))
    make_programme(rule=Rule(percent=90, modes=("online",)))

    [best] = subsidising.for_visitors([(quotes.offer_of(run.id), run.price)], now=clock.now())

    assert (best.programme.id, best.amount) == (programme.id, HALF)
