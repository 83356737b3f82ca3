"""A part of a subsidy goes back: off a promise, off a claim, and off what the funder has paid."""

import pytest

from marketplace.foundation import clock
from marketplace.foundation.errors import Invalid, Refused
from marketplace.funding import claims, clawing_back, reducing, subsidies, subsidy_lists
from marketplace.funding.clawing_back import Sending
from marketplace.funding.subsidy_states import State
from tests.factories import make_person, make_staff
from tests.funding.made import committed, funder_paid, make_programme, make_subsidy
from tests.funding.test_clawing_back import EVIDENCE, NOW, booked

# Half of CN¥1,280 was promised.
WHOLE, PART = 64000, 16000
pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture(autouse=True)
def at():
    clock.set_to(NOW)


@pytest.fixture
def officer():
    return make_staff("funding_officer")


@pytest.fixture
def programme():
    return make_programme()


@pytest.fixture
def subsidy(programme):
    return make_subsidy(programme, make_person())


def lower(subsidy, by=PART):
    return reducing.reduce(subsidy.order_line_id, by, reason="staff", actor_id=None, now=clock.now())


def claimed(subsidy, officer):
    subsidies.earn(subsidy.id, EVIDENCE, now=clock.now())
    return claims.make_batch(subsidy.programme_id, None, actor_id=officer.id, now=clock.now())


def pay(batch, minor, officer):
    return claims.mark_paid(batch.id, funder_paid(minor, "ICBC-1"), actor_id=officer.id, now=clock.now())


def send_back(subsidy, officer, amount=None):
    sending = Sending(NOW.date(), "ICBC-BACK", "部分退款", amount)
    return clawing_back.send_back(subsidy.id, sending, actor_id=officer.id, now=clock.now())


def test_what_comes_off_a_promise_is_in_the_budget_again(programme, subsidy):
    lower(subsidy)

    assert (subsidy.state, subsidy.amount_minor, subsidy.promised.minor) == (State.RESERVED, WHOLE - PART, WHOLE)
    assert committed(programme) == WHOLE - PART
    assert booked() == {"subsidy_promised": WHOLE - PART, "unearned_subsidy": PART - WHOLE}
    found = subsidy_lists.waterfall(programme)
    assert (found.reserved.minor, found.returned.minor) == (WHOLE - PART, PART)
    last = subsidy.events[-1]
    assert (last.act, last.part_minor, last.amount_minor) == ("reduce", PART, WHOLE - PART)

    subsidies.earn(subsidy.id, EVIDENCE, now=clock.now())
    lower(subsidy)
    assert booked() == {"subsidy_receivable": WHOLE - 2 * PART, "unearned_subsidy": 2 * PART - WHOLE}
    assert clawing_back.list_owed_back(programme.id) == []


def test_a_subsidy_that_loses_all_is_let_go(programme, subsidy):
    lower(subsidy, WHOLE)

    assert (subsidy.state, committed(programme), booked()) == (State.RELEASED, 0, {})


@pytest.mark.parametrize("by", [0, -1, WHOLE + 1])
def test_no_more_comes_off_than_there_is(programme, subsidy, by):
    with pytest.raises(Refused, match="subsidy_changed"):
        lower(subsidy, by)

    assert committed(programme) == WHOLE


def test_nothing_comes_off_what_nobody_pays(programme, subsidy, officer):
    assert reducing.payable([subsidy.order_line_id]) == {subsidy.order_line_id: WHOLE}
    subsidies.reject(subsidy.id, reason="材料不全", actor_id=officer.id, now=clock.now())

    assert reducing.payable([subsidy.order_line_id]) == {}
    with pytest.raises(Refused, match="subsidy_changed"):
        lower(subsidy)


def test_a_funder_that_pays_what_is_left_of_its_claim_is_owed_nothing(programme, subsidy, officer):
    batch = claimed(subsidy, officer)
    lower(subsidy)
    [standing] = claims.list_batches(programme)
    assert standing.waiting.minor == WHOLE
    with pytest.raises(Invalid, match="wrong_amount"):
        pay(batch, WHOLE - 1, officer)

    pay(batch, WHOLE - PART, officer)

    assert booked() == {"bank": WHOLE - PART, "unearned_subsidy": PART - WHOLE}
    assert (subsidy.owed_back.minor, clawing_back.list_owed_back(programme.id)) == (0, [])


def test_a_funder_that_pays_all_it_was_asked_for_is_owed_what_came_off(programme, subsidy, officer):
    batch = claimed(subsidy, officer)
    lower(subsidy)
    assert clawing_back.list_owed_back(programme.id) == []

    pay(batch, WHOLE, officer)

    assert booked() == {"bank": WHOLE, "subsidy_receivable": -PART, "unearned_subsidy": PART - WHOLE}
    assert (subsidy.owed_back.minor, clawing_back.list_owed_back(programme.id)) == (PART, [subsidy])
    [standing] = claims.list_batches(programme)
    assert standing.paid.minor == subsidy_lists.waterfall(programme).paid.minor == WHOLE - PART

    send_back(subsidy, officer)
    assert booked() == {"bank": WHOLE - PART, "unearned_subsidy": PART - WHOLE}
    assert (subsidy.state, clawing_back.list_owed_back(programme.id)) == (State.PAID, [])
    with pytest.raises(Refused, match="subsidy_step"):
        send_back(subsidy, officer)


def test_what_comes_off_a_paid_subsidy_goes_back_with_the_rest_if_the_place_ends(programme, subsidy, officer):
    pay(claimed(subsidy, officer), WHOLE, officer)
    lower(subsidy)
    assert (subsidy.state, subsidy.owed_back.minor, committed(programme)) == (State.PAID, PART, WHOLE - PART)

    subsidies.release(subsidy.order_line_id, "refunded", now=clock.now())
    assert (subsidy.state, subsidy.owed_back.minor, committed(programme)) == (State.CLAWED_BACK, WHOLE, 0)
    assert booked() == {"bank": WHOLE, "subsidy_receivable": -WHOLE}

    send_back(subsidy, officer)
    assert (subsidy.state, subsidy.owed_back.minor, booked()) == (State.SENT_BACK, 0, {})


def test_what_came_off_a_claim_that_is_rejected_is_owed_to_nobody(programme, subsidy, officer):
    claimed(subsidy, officer)
    lower(subsidy)

    subsidies.reject(subsidy.id, reason="发票不符", actor_id=officer.id, now=clock.now())

    assert (subsidy.to_return_minor, subsidy.owed_back.minor, committed(programme)) == (0, 0, WHOLE - PART)
    assert booked() == {"subsidy_receivable": WHOLE - PART, "unearned_subsidy": PART - WHOLE}


def test_what_came_off_after_the_transfer_is_still_owed_when_the_transfer_is_noted(programme, subsidy, officer):
    pay(claimed(subsidy, officer), WHOLE, officer)
    lower(subsidy)
    # The officer sends what the page says, and then more comes off.
    lower(subsidy, 1000)
    with pytest.raises(Refused, match="owed_back_changed"):
        send_back(subsidy, officer, PART + 1001)

    send_back(subsidy, officer, PART)
    assert (subsidy.state, subsidy.owed_back.minor) == (State.PAID, 1000)

    # And then the place ends: what was on its way is noted, and all the rest is owed.
    subsidies.release(subsidy.order_line_id, "refunded", now=clock.now())
    send_back(subsidy, officer, 1000)
    assert (subsidy.state, subsidy.owed_back.minor) == (State.CLAWED_BACK, WHOLE - PART - 1000)
    assert booked() == {"bank": WHOLE - PART - 1000, "subsidy_receivable": PART + 1000 - WHOLE}
    send_back(subsidy, officer)
    assert (subsidy.state, booked()) == (State.SENT_BACK, {})
