"""A place is given up by the terms it was sold under: four records, one transaction."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import cancellations, orders, places, policies, returns
from marketplace.enrolment.change_models import Cancellation
from marketplace.enrolment.models import Enrolment, EnrolmentSource, RefundDue
from marketplace.enrolment.refund_rules import Tier
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from tests.buying import place_order
from tests.factories import make_organisation, make_person, make_run, sign_in


@pytest.fixture
def now(app):
    moment = clock.now().replace(microsecond=0)
    clock.set_to(moment)
    return moment


def bought(run, *, now, person=None):
    """A confirmed order of the run: (order, enrolment)."""
    someone = person or make_person()
    order = place_order(run.id, someone.id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now)
    if order.total_minor:
        orders.confirm_payment(order.id, attempt_public_id=f"attempt-{order.id}", amount=order.total, now=now)
    return order, places.find_of_order(order.id)


def starting_in(days, *, now, **values):
    """A run that starts so many days ahead, at the same time of day."""
    starts_at = now + timedelta(days=days)
    return make_run(
        **{"starts_at": starts_at, "ends_at": starts_at + timedelta(days=8), "enrol_closes_at": starts_at} | values
    )


def no_withdrawal(run, *, now):
    """The house's tiers without the right to withdraw."""
    provider = run.course.providers[0].organisation
    tiers = [Tier(14, 0), Tier(7, 30), Tier(1, 60)]
    policies.set_for_provider(
        provider.id, tiers, withdrawal_days=0, deferral_days=3, actor_id=make_person().id, now=now
    )


def cancel(enrolment, shown, *, now):
    return cancellations.cancel_place(
        enrolment.id, shown=Money(shown, "CNY"), actor_id=enrolment.person_id, reason="", now=now
    )


def test_a_place_is_cancelled_by_the_terms_of_its_sale(now):
    run = starting_in(10, now=now)
    no_withdrawal(run, now=now)
    order, enrolment = bought(run, now=now)

    made = cancel(enrolment, 89600, now=now)

    assert (made.ground, made.paid_minor, made.kept_minor, made.returned_minor) == ("policy", 128000, 38400, 89600)
    assert (enrolment.ended_at, enrolment.end_reason, enrolment.ended_by_id) == (now, "cancelled", order.person_id)
    assert (order.state, order.confirmed_at, order.ended_at) == ("cancelled", now, now)
    assert db.session.query(EnrolmentSource).one().revoked_at == now
    [fact] = returns.list_facts(order.id)
    assert (fact.payer, fact.attempt_public_id, fact.amount_minor) == ("learner", f"attempt-{order.id}", 89600)
    assert db.session.get(CourseRun, run.id).seats_taken == 0
    assert [event.kind for event in order.events][-3:] == ["enrolment_ended", "cancelled", "refund_due"]
    assert db.session.query(OutgoingMail).filter_by(message="enrolment/place_cancelled").count() == 1


def test_new_terms_do_not_touch_what_was_sold_before(now):
    run = starting_in(10, now=now)
    order, enrolment = bought(run, now=now)
    no_withdrawal(run, now=now)

    assert order.lines[0].policy_id == policies.HOUSE
    assert cancel(enrolment, 128000, now=now).ground == "withdrawal"


def test_the_terms_of_a_run_go_before_those_of_its_provider(now):
    run, other = make_run(), make_run(make_run().course)
    no_withdrawal(run, now=now)
    own = policies.set_for_run(run.id, [Tier(3, 10)], deferral_days=1, actor_id=make_person().id, now=now)

    assert policies.terms_for_sale(run) == own
    assert (own.tiers, own.withdrawal_days) == ((Tier(3, 10),), 0)
    assert policies.terms_for_sale(other).version == policies.HOUSE


def test_cancelling_twice_changes_nothing(now):
    _order, enrolment = bought(starting_in(30, now=now), now=now)
    cancel(enrolment, 128000, now=now)

    with pytest.raises(Refused, match="place_ended"):
        cancel(enrolment, 128000, now=now)
    assert db.session.query(RefundDue).count() == db.session.query(Cancellation).count() == 1


def test_a_deadline_that_passed_since_the_page_was_shown_is_shown_again(now):
    run = starting_in(14, now=now)
    no_withdrawal(run, now=now)
    _order, enrolment = bought(run, now=now)

    late = now + timedelta(days=1)
    with pytest.raises(Refused, match="statement_changed"):
        cancel(enrolment, 128000, now=late)
    assert enrolment.ended_at is None
    assert cancel(enrolment, 89600, now=late).kept_minor == 38400


def test_a_free_place_is_given_up_and_nothing_goes_back(now):
    run = make_run(price_minor=0)
    _order, enrolment = bought(run, now=now)

    assert cancel(enrolment, 0, now=now).returned_minor == 0
    assert db.session.query(RefundDue).count() == 0
    assert db.session.get(CourseRun, run.id).seats_taken == 0


def test_a_cancelled_person_may_buy_again_and_cancel_again(now):
    run, person = starting_in(30, now=now, capacity=1), make_person()
    for _ in range(2):
        _order, enrolment = bought(run, now=now, person=person)
        cancel(enrolment, 128000, now=now)

    assert db.session.query(Enrolment).filter_by(person_id=person.id).count() == 2


def test_the_page_says_before_pressing_what_goes_back_to_whom_and_why(client, now):
    run = starting_in(10, now=now)
    no_withdrawal(run, now=now)
    order, enrolment = bought(run, now=now)
    address = f"/my/places/{enrolment.public_id}/cancel"
    sign_in(client, order.person)

    page = client.get(f"{address}?lang=en").text
    assert "By the terms of your order, 30% of the price is kept." in page
    assert all(amount in page for amount in ("1,280.00", "384.00", "896.00"))
    assert client.post(address, data={"shown_minor": "128000"}).status_code == 409
    assert client.post(address, data={"shown_minor": "89600", "reason": "病假"}).status_code == 303
    assert "报名已取消" in client.get(address).text
    assert db.session.query(Cancellation).one().reason == "病假"


def test_the_place_of_somebody_else_does_not_exist(client, now):
    _order, enrolment = bought(make_run(), now=now)
    sign_in(client, make_person())

    assert client.get(f"/my/places/{enrolment.public_id}/cancel").status_code == 404
    assert client.post(f"/my/places/{enrolment.public_id}/cancel", data={"shown_minor": "1"}).status_code == 404


def test_once_the_run_has_started_the_page_says_why_not(client, now):
    run = starting_in(1, now=now)
    order, enrolment = bought(run, now=now)
    clock.set_to(run.starts_at)
    sign_in(client, order.person)

    assert "The run has started" in client.get(f"/my/places/{enrolment.public_id}/cancel?lang=en").text


def test_terms_of_a_provider_are_the_sellers_withdrawal_too(now):
    organisation = make_organisation()
    with pytest.raises(Refused, match="withdrawal_days"):
        policies.set_for_provider(
            organisation.id, [], withdrawal_days=8, deferral_days=0, actor_id=make_person().id, now=now
        )


def test_pressing_cancel_twice_cancels_once(client, now):
    order, enrolment = bought(starting_in(30, now=now), now=now)
    sign_in(client, order.person)
    address = f"/my/places/{enrolment.public_id}/cancel"

    first, second = (client.post(address, data={"shown_minor": "128000"}) for _ in range(2))
    assert [(answer.status_code, answer.location) for answer in (first, second)] == [(303, address)] * 2
    assert db.session.query(Cancellation).count() == 1
