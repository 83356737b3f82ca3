"""A part of a price goes back to all who paid it: the learner, the voucher, the programme that pays the rest."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.enrolment import changes, places, returns
from marketplace.enrolment.refund_rules import by_payer
from marketplace.enrolment.subsidising import Agreed
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import speaking
from marketplace.foundation.money import Money
from marketplace.funding import subsidies
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_states import State
from marketplace.payments import desk, postings, refunds, stories
from marketplace.payments.waterfall_rules import Step, waterfall
from tests.buying import buy_as_quoted
from tests.factories import make_person, make_run, make_staff, sign_in
from tests.funding.made import committed, make_programme
from tests.payments.test_debts import transaction_paid, yuan

PRICE = 128_000


@pytest.fixture
def programme(app):
    return make_programme()


@pytest.fixture
def order(programme, now):
    """Half of CN¥1,280 is paid by the learner, half promised by a programme."""
    run, person = make_run(price_minor=PRICE, is_subsidised=True), make_person(region="310000")
    given = {"programme": programme.public_id, "agreed": Agreed(1, is_given=True)}
    order = buy_as_quoted(run, person, now=now, locale="en", **given)
    transaction_paid(order, now=now)
    return order


@pytest.fixture
def subsidy(order):
    return db.session.query(Subsidy).filter_by(order_line_id=order.lines[0].id).one()


def give_back(order, amount, *, now, ends_place=False, **how):
    officer = make_staff("finance_officer")
    named = {"reason": "x", "ends_place": ends_place, "actor_id": officer.id, "now": now} | how
    return refunds.request_refund(order.id, yuan(amount), **named)


def steps_of(order):
    postings.post_facts()
    bars = waterfall(desk.sold_of(order), desk.moved_of(desk.open_file(order.public_id)))
    return {bar.step: bar.amount.minor for bar in bars if bar.amount.minor}


def test_a_place_that_stays_costs_its_programme_less_by_as_great_a_share(programme, order, subsidy, now):
    [refund] = give_back(order, 160, now=now)

    assert (refund.amount.minor, subsidy.state, subsidy.amount_minor) == (16_000, State.RESERVED, 48_000)
    assert committed(programme) == 48_000
    facts = {(one.payer, one.amount_minor) for one in returns.list_facts(order.id)}
    assert facts == {("learner", 16_000), ("funder", 16_000)}
    steps = steps_of(order)
    assert steps[Step.FUNDED] == 48_000
    with speaking("en"):
        told = " ".join(stories.story_of(order))
    assert "pays CN¥480.00 of it, if you meet the conditions." in told
    assert "CN¥160.00 came off what it pays, as its share of what went back." in told


def test_a_place_that_ends_lets_the_whole_promise_go(programme, order, subsidy, now):
    [refund] = give_back(order, 160, now=now, ends_place=True)

    assert (refund.amount.minor, subsidy.state, committed(programme)) == (16_000, State.RELEASED, 0)


def test_a_place_whose_learner_gets_all_back_costs_its_programme_nothing(programme, order, subsidy, now):
    give_back(order, 320, now=now)
    give_back(order, 320, now=now)

    assert (subsidy.state, committed(programme)) == (State.RELEASED, 0)
    with pytest.raises(Refused, match="refund_amount"):
        give_back(order, 1, now=now)


def test_thirds_never_add_up_to_more_than_there_was(programme, order, subsidy, now):
    for minor in (33_333, 33_333 - 3_000, 1):
        refunds.request_refund(
            order.id,
            Money(minor, "CNY"),
            reason="x",
            ends_place=False,
            actor_id=make_staff("finance_officer").id,
            now=now,
        )

    # Each rounded down: what comes off never exceeds the share of what went back.
    assert 64_000 - 63_667 <= subsidy.amount_minor <= 64_000 - 63_667 + 3


def test_a_refund_that_failed_lowers_the_subsidy_once(order, subsidy, now):
    [refund] = give_back(order, 160, now=now)
    fact = next(one for one in returns.list_facts(order.id) if one.id == refund.refund_due_id)
    returns.void(fact, now=now)

    give_back(order, 160, now=now)
    assert subsidy.amount_minor == 48_000


def test_what_a_learner_owes_for_a_rejected_subsidy_is_no_part_of_a_refund(order, subsidy, now):
    subsidies.reject(subsidy.id, reason="no", actor_id=make_staff("funding_officer").id, now=now)

    give_back(order, 160, now=now)
    assert (subsidy.state, subsidy.amount_minor) == (State.REJECTED, 64_000)


def test_the_shares_are_checked_under_the_lock(order, subsidy, now):
    shown = refunds.told(returns.divide(order.id, 16_000, place_stays=True))
    assert shown == "learner 16000, funder 16000"
    subsidies.reject(subsidy.id, reason="no", actor_id=make_staff("funding_officer").id, now=now)

    with pytest.raises(Refused, match="shares_changed"):
        give_back(order, 160, now=now, seen=refunds.Seen(shown))
    assert by_payer(returns.divide(order.id, 16_000, place_stays=True)) == {"learner": 16_000}


def test_the_desk_shows_the_shares_before_anything_goes_back(client, order, subsidy):
    sign_in(client, make_staff("finance_officer"))
    address = f"/staff/orders/{order.public_id}?lang=en"
    data = {"amount": "160", "reason": "two sessions were missed", "place": "keep"}
    assert "as great a share comes off what the funding programme pays" in client.get(address).text

    page = client.post(address, data=data)

    assert page.status_code == 200
    assert "Nothing has gone back yet. This is how it is divided:" in page.text
    assert "Off what the funding programme pays" in page.text
    assert page.text.count("two sessions were missed") == 1
    assert returns.list_facts(order.id) == []

    # Another amount than the one whose shares were shown is shown anew.
    assert client.post(address, data=data | {"shown": "learner 1, funder 1"}).status_code == 200
    assert returns.list_facts(order.id) == []

    done = client.post(address, data=data | {"shown": "learner 16000, funder 16000"})
    assert done.status_code == 303
    # The books know at once, so that the desk's page and the buyer's say the same.
    assert desk.open_file(order.public_id).balances["subsidy_promised"] == 48_000
    db.session.refresh(subsidy)
    assert subsidy.amount_minor == 48_000


def test_the_desk_takes_another_word_about_the_place_after_the_shares_were_shown(client, order, subsidy):
    sign_in(client, make_staff("finance_officer"))
    data = {"amount": "160", "reason": "ill", "place": "end", "shown": "learner 16000, funder 16000"}

    # The place ends, so the learner alone has a share: there is nothing to show.
    assert client.post(f"/staff/orders/{order.public_id}", data=data).status_code == 303
    db.session.refresh(subsidy)
    assert subsidy.state == State.RELEASED


@pytest.mark.parametrize(("which", "amount"), [("first", 430), ("difference", 110)])
def test_a_share_is_one_of_all_that_the_buyer_paid_for_a_place_that_moved(order, subsidy, now, which, amount):
    """CN¥640 and CN¥220 for a dearer date: a refund of either lowers the subsidy by as great a share of CN¥860."""
    enrolment = places.find_of_order(order.id)
    later = {"starts_at": now + timedelta(days=90), "ends_at": now + timedelta(days=100)}
    target = make_run(enrolment.run.course, price_minor=150_000, **later)
    shown, actor_id = yuan(220), order.person_id
    change = changes.defer(enrolment.id, target.id, shown=shown, actor_id=actor_id, locale="en", now=now)
    transaction_paid(change.order, now=now)
    assert (subsidy.state, subsidy.amount_minor) == (State.RESERVED, 64_000)

    give_back({"first": order, "difference": change.order}[which], amount, now=now)

    assert subsidy.amount_minor == 64_000 - 64_000 * amount // 860
    # All of it comes off with all of what the buyer paid.
    give_back(order, refunds.left(order.id).minor // 100, now=now)
    assert subsidy.state == State.RESERVED
    give_back(change.order, refunds.left(change.order.id).minor // 100, now=now)
    assert subsidy.state == State.RELEASED


@pytest.mark.parametrize("which", ["first", "difference"])
def test_a_place_that_a_difference_was_paid_for_ends_with_either_order(order, subsidy, now, which):
    enrolment = places.find_of_order(order.id)
    later = {"starts_at": now + timedelta(days=90), "ends_at": now + timedelta(days=100)}
    target = make_run(enrolment.run.course, price_minor=150_000, **later)
    actor_id = order.person_id
    change = changes.defer(enrolment.id, target.id, shown=yuan(220), actor_id=actor_id, locale="en", now=now)
    transaction_paid(change.order, now=now)

    give_back({"first": order, "difference": change.order}[which], 100, now=now, ends_place=True)

    # Neither alone is the price of the place.
    assert [places.find_of_order(one.id) for one in (order, change.order)] == [None, None]
    assert subsidy.state == State.RELEASED
    told = [event.kind for one in (order, change.order) for event in one.events]
    assert told.count("enrolment_ended") == 3
