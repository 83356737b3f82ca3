"""A place that a programme or a code pays for moves to another date: they go along, as far as they pay there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from marketplace.enrolment import changes, orders, places, refund_rules, returns
from marketplace.enrolment.models import Enrolment
from marketplace.enrolment.refund_rules import by_payer
from marketplace.enrolment.subsidising import Agreed
from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import speaking
from marketplace.foundation.money import Money
from marketplace.funding import subsidies, subsidy_lists, vouchers
from marketplace.funding.subsidy_rules import Rule
from tests.buying import buy_as_quoted
from tests.factories import make_course, make_person, make_run, make_staff, sign_in
from tests.funding.made import committed, make_programme
from tests.funding.test_voucher_rules import AMOUNT
from tests.funding.test_vouchers import codes, issue

PRICE = 128_000


@pytest.fixture
def now(app):
    moment = clock.now().replace(microsecond=0)
    clock.set_to(moment)
    return moment


def place_with(run, *, now, person=None, **asked):
    """A paid order of the run with other payers, and its place."""
    order = buy_as_quoted(run, person or make_person(region="310000"), now=now, **asked)
    if order.total_minor:
        orders.confirm_payment(order.id, attempt_public_id=f"for {order.id}", amount=order.total, now=now)
    return order, places.find_of_order(order.id)


def subsidised(rule, *, now, price=PRICE, **other):
    """A course with two runs; a place in the first, of which a programme pays a part, and the second run."""
    course, programme = make_course(), make_programme(rule=rule)
    run = make_run(course, is_subsidised=True)
    other = {"price_minor": price, "starts_at": now + timedelta(days=90), "ends_at": now + timedelta(days=100)} | other
    asked = {"programme": programme.public_id, "agreed": Agreed(1, is_given=True)}
    order, enrolment = place_with(run, now=now, **asked)
    return order, enrolment, make_run(course, **other), subsidy_lists.find_of_line(order.lines[0].id)


def defer(enrolment, target, difference, *, now):
    shown, actor = Money(difference, "CNY"), enrolment.person_id
    return changes.defer(enrolment.id, target.id, shown=shown, actor_id=actor, locale="zh", now=now)


def step_to(target, enrolment, *, now):
    [step] = changes.list_moves(places.look(enrolment), now=now)
    assert step.run == target
    return step


def runs_of(person_id):
    return [row.run_id for row in db.session.query(Enrolment).filter_by(person_id=person_id, ended_at=None)]


def test_a_subsidy_goes_along_to_a_date_that_costs_as_much(now):
    order, enrolment, target, subsidy = subsidised(Rule(percent=50), now=now)
    step = step_to(target, enrolment, now=now)
    assert (step.difference.minor, step.subsidy.minor, step.obstacle) == (0, 64_000, None)

    defer(enrolment, target, 0, now=now)

    assert runs_of(order.person_id) == [target.id]
    assert (subsidy.state, subsidy.amount_minor, committed(subsidy.programme)) == ("reserved", 64_000, 64_000)
    assert target.ends_at + timedelta(days=29) < subsidy.earn_by < target.ends_at + timedelta(days=32)
    assert returns.list_facts(order.id) == []


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        # Half of a price of 1,000 is 500; both payers get their half of the difference.
        (Rule(percent=50), 50_000),
        # Half, at most 450: it was 450 of 1,280 and is 450 of 1,000.
        (Rule(percent=50, line_cap_minor=45_000), 45_000),
        (Rule(fixed_minor=20_000), 20_000),
    ],
)
def test_to_a_cheaper_date_goes_what_its_rule_pays_there(now, rule, kept):
    order, enrolment, target, subsidy = subsidised(rule, now=now, price=100_000)
    had = subsidy.amount_minor
    back = (PRICE - had) - (100_000 - kept)

    defer(enrolment, target, -back, now=now)

    assert (subsidy.amount_minor, committed(subsidy.programme)) == (kept, kept)
    facts = {one.payer: one.amount_minor for one in returns.list_facts(order.id)}
    assert facts == {payer: minor for payer, minor in {"learner": back, "funder": had - kept}.items() if minor}
    assert sum(facts.values()) == PRICE - 100_000


def test_for_a_dearer_date_the_learner_pays_the_difference(now):
    order, enrolment, target, subsidy = subsidised(Rule(percent=50), now=now, price=150_000)

    change = defer(enrolment, target, 22_000, now=now)
    assert (subsidy.earn_by < target.ends_at, runs_of(order.person_id)) == (True, [enrolment.run_id])
    verdict = orders.confirm_payment(
        change.order_id, attempt_public_id="difference", amount=change.order.total, now=now
    )

    assert (verdict, runs_of(order.person_id)) == ("confirm", [target.id])
    assert (subsidy.state, subsidy.amount_minor, subsidy.earn_by > target.ends_at) == ("reserved", 64_000, True)


def test_a_difference_does_not_buy_a_date_whose_subsidy_has_ended_meanwhile(now):
    order, enrolment, target, subsidy = subsidised(Rule(percent=50), now=now, price=150_000)
    change = defer(enrolment, target, 22_000, now=now)
    subsidies.reject(subsidy.id, reason="no", actor_id=make_staff("funding_officer").id, now=now)

    verdict = orders.confirm_payment(
        change.order_id, attempt_public_id="difference", amount=change.order.total, now=now
    )
    assert (verdict, runs_of(order.person_id)) == ("refund_due", [enrolment.run_id])


def test_where_the_programme_does_not_pay_one_does_not_move_by_oneself(client, now):
    rule = Rule(percent=50, modes=("in_person",))
    order, enrolment, target, subsidy = subsidised(rule, now=now, mode="online")
    assert step_to(target, enrolment, now=now).is_subsidy_over

    with pytest.raises(Refused, match="paid_by_others"):
        defer(enrolment, target, 64_000, now=now)
    assert (subsidy.state, runs_of(order.person_id)) == ("reserved", [enrolment.run_id])
    sign_in(client, order.person)
    page = client.get(f"/my/places/{enrolment.public_id}/move?lang=en").text
    assert "What a funding programme pays for you cannot go along to this date." in page
    assert "Move to this date" not in page


def test_what_has_ended_does_not_go_along(now):
    _order, enrolment, target, subsidy = subsidised(Rule(percent=50), now=now)
    subsidies.reject(subsidy.id, reason="no", actor_id=make_staff("funding_officer").id, now=now)

    with speaking("en"):
        assert "has ended" in str(step_to(target, enrolment, now=now).obstacle)
    with pytest.raises(Refused, match="paid_by_others"):
        defer(enrolment, target, 0, now=now)


def test_a_code_goes_along_to_a_date_it_is_for(now):
    course, officer = make_course(), make_staff("funding_officer")
    run, target, foreign = make_run(course), make_run(course, price_minor=100_000), make_run(course)
    terms = replace(AMOUNT, amount=40_000, run_ids=frozenset({run.id, target.id}))
    [code] = codes(issue(officer, terms))
    order, enrolment = place_with(run, now=now, voucher_code=code)
    steps = {step.run.id: step for step in changes.list_moves(places.look(enrolment), now=now)}
    assert (steps[target.id].obstacle is None, steps[foreign.id].obstacle is None) == (True, False)
    with pytest.raises(Refused, match="paid_by_others"):
        defer(enrolment, foreign, 0, now=now)

    defer(enrolment, target, -28_000, now=now)

    assert runs_of(order.person_id) == [target.id]
    assert {one.payer: one.amount_minor for one in returns.list_facts(order.id)} == {
        "learner": 19_250, "voucher": 8_750,
    }  # fmt: skip
    assert vouchers.find_redemption(order.lines[0].id).kept.minor == 31_250
    assert by_payer(returns.divide(order.id, 100_000, place_stays=True)) == {"learner": 68_750, "voucher": 31_250}


def test_a_programme_pays_no_more_than_its_rule_where_the_learner_pays_a_difference(now):
    order, enrolment, target, subsidy = subsidised(Rule(percent=50), now=now, price=100_000)
    # Of what the learner paid a part went back in Stripe's dashboard, which lowers no subsidy.
    [part] = refund_rules.of_buyer(returns.parts_of([order.id]))
    share = refund_rules.Share(part, 40_000)
    returns.leave([share], currency="CNY", reason="stripe_dashboard", key="stripe:re_1", now=now)
    change = defer(enrolment, target, 26_000, now=now)

    verdict = orders.confirm_payment(
        change.order_id, attempt_public_id="difference", amount=change.order.total, now=now
    )

    assert (verdict, runs_of(order.person_id)) == ("confirm", [target.id])
    # 240 of before, 260 now and the half that the rule pays are the price of 1,000.
    assert (subsidy.state, subsidy.amount_minor, committed(subsidy.programme)) == ("reserved", 50_000, 50_000)
    assert [one.amount_minor for one in returns.list_facts(order.id) if one.payer == "funder"] == [14_000]


def test_many_dates_ask_who_else_pays_once(queries, now):
    _order, enrolment, target, _subsidy = subsidised(Rule(percent=50), now=now)
    place = places.look(enrolment)

    def asked():
        db.session.flush()
        queries.clear()
        found = changes.list_moves(place, now=now)
        return len(found), len(queries)

    few, few_asked = asked()
    for _ in range(6):
        make_run(target.course)
    many, many_asked = asked()
    assert (few, many) == (1, 7)
    assert many_asked == few_asked
