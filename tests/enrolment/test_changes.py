"""A place moves to another date or another person: never two places, never none."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import (
    cancellations,
    changes,
    offers,
    orders,
    places,
    returns,
    rules,
    seats,
    transfers,
    waiting,
)
from marketplace.enrolment.change_models import EnrolmentChange
from marketplace.enrolment.change_rules import OPEN, TRANSITIONS
from marketplace.enrolment.models import Enrolment, EnrolmentSource
from marketplace.enrolment.refund_rules import Share
from marketplace.enrolment.subsidising import Agreed
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from marketplace.funding import subsidy_lists
from marketplace.funding.subsidy_rules import Rule
from marketplace.metrics import computation, indicators
from marketplace.metrics.computation import Scope
from tests.buying import buy_as_quoted
from tests.enrolment.test_cancellations import bought
from tests.factories import make_course, make_member, make_person, make_run, sign_in
from tests.funding.made import make_programme


@pytest.fixture
def now(app):
    moment = clock.now().replace(microsecond=0)
    clock.set_to(moment)
    return moment


def two_runs(price=128000, **other):
    course = make_course()
    return make_run(course, capacity=2), make_run(course, **{"price_minor": price, "capacity": 2} | other)


def defer(enrolment, target, difference, *, now):
    return changes.defer(
        enrolment.id,
        target.id,
        shown=Money(difference, "CNY"),
        actor_id=enrolment.person_id,
        locale="zh",
        now=now,
    )


def active(person_id):
    return [
        (row.run_id, row.end_reason)
        for row in db.session.query(Enrolment).filter_by(person_id=person_id, ended_at=None)
    ]


def taken(*runs):
    return [db.session.get(CourseRun, run.id, populate_existing=True).seats_taken for run in runs]


@pytest.mark.parametrize(("price", "back"), [(128000, []), (100000, [28000])])
def test_an_equal_or_cheaper_date_is_taken_at_once(now, price, back):
    run, target = two_runs(price)
    order, enrolment = bought(run, now=now)

    change = defer(enrolment, target, price - 128000, now=now)

    assert (change.state, enrolment.end_reason) == ("done", "deferred")
    assert active(order.person_id) == [(target.id, None)]
    assert taken(run, target) == [0, 1]
    assert [fact.amount_minor for fact in returns.list_facts(order.id)] == back
    assert db.session.query(OutgoingMail).filter_by(message="enrolment/place_deferred").count() == 1


def test_a_dearer_date_is_held_until_the_difference_is_paid(now):
    run, target = two_runs(150000)
    order, enrolment = bought(run, now=now)

    change = defer(enrolment, target, 22000, now=now)
    assert (change.state, active(order.person_id), taken(run, target)) == (
        "awaiting_payment",
        [(run.id, None)],
        [1, 1],
    )
    orders.confirm_payment(change.order_id, attempt_public_id="second", amount=Money(22000, "CNY"), now=now)

    assert (change.state, active(order.person_id), taken(run, target)) == ("done", [(target.id, None)], [0, 1])
    [new] = db.session.query(Enrolment).filter_by(ended_at=None)
    live = db.session.query(EnrolmentSource).filter_by(enrolment_id=new.id, revoked_at=None)
    assert {source.order_line.order_id for source in live} == {order.id, change.order_id}
    statement = cancellations.state(places.look(new), now=now)
    assert [(share.part.reference, share.minor) for share in statement.shares] == [
        ("second", 22000),
        (f"attempt-{order.id}", 128000),
    ]


def test_a_difference_that_is_not_paid_leaves_everything_as_it_was(now):
    run, target = two_runs(150000)
    order, enrolment = bought(run, now=now)
    change = defer(enrolment, target, 22000, now=now)
    late = now + rules.HOLD_FOR
    seats.sweep_expired_holds(now=late)
    orders.expire_orders(now=late)

    assert (active(order.person_id), taken(run, target)) == ([(run.id, None)], [1, 0])
    assert changes.find_open(enrolment.id, now=late) is None
    again = defer(enrolment, target, 22000, now=late)
    assert (change.state, again.state) == ("expired", "awaiting_payment")
    # The first page is paid after all: what it was for is over, so its money goes back.
    orders.confirm_payment(change.order_id, attempt_public_id="late", amount=Money(22000, "CNY"), now=late)
    assert [fact.reason for fact in returns.list_facts(change.order_id)] == ["seat_gone"]
    assert active(order.person_id) == [(run.id, None)]


def test_a_place_that_was_cancelled_meanwhile_gives_the_difference_back(now):
    run, target = two_runs(150000)
    order, enrolment = bought(run, now=now)
    change = defer(enrolment, target, 22000, now=now)
    cancellations.cancel_place(enrolment.id, shown=Money(128000, "CNY"), actor_id=order.person_id, reason="", now=now)

    orders.confirm_payment(change.order_id, attempt_public_id="late", amount=Money(22000, "CNY"), now=now)
    assert (active(order.person_id), taken(run)) == ([], [0])
    assert [fact.amount_minor for fact in returns.list_facts(change.order_id)] == [22000]


def test_a_full_date_leaves_the_old_place(now):
    run, target = two_runs()
    for _ in range(2):
        bought(target, now=now)
    order, enrolment = bought(run, now=now)

    with pytest.raises(Refused, match="run_full"):
        defer(enrolment, target, 0, now=now)
    assert (active(order.person_id), taken(run, target)) == ([(run.id, None)], [1, 2])


def test_what_cannot_be_moved_says_why(now):
    run, target = two_runs()
    _order, enrolment = bought(run, now=now)

    with pytest.raises(Refused, match="other_course"):
        defer(enrolment, make_run(), 0, now=now)
    with pytest.raises(Refused, match="statement_changed"):
        defer(enrolment, target, 1, now=now)
    late = run.starts_at - timedelta(days=2)
    with pytest.raises(Refused, match="deferral_too_late"):
        defer(enrolment, target, 0, now=late)


def test_figures_count_a_moved_place_once(now):
    run, target = two_runs()
    _order, enrolment = bought(run, now=now)
    defer(enrolment, target, 0, now=now)

    month = now.date().replace(day=1)
    scope = Scope(first=month.replace(year=month.year - 1), last=month.replace(year=month.year + 1), as_of=now)
    assert computation.compute(indicators.ENROLMENTS, scope)[()].value == 1
    assert computation.compute(indicators.PEOPLE, scope)[()].value == 1


def offered(enrolment, email, *, now):
    transfers.offer(enrolment.id, email, actor=enrolment.person, now=now)
    mail = (
        db.session.query(OutgoingMail).filter_by(message="enrolment/transfer_offered").order_by(OutgoingMail.id.desc())
    )
    return re.search(r"/transfers/(\S+)", mail.first().text)[1]


def test_a_place_passes_to_another_person_with_the_consent_of_both(now):
    run = make_run(capacity=1)
    order, enrolment = bought(run, now=now)
    other = make_person()
    key = offered(enrolment, other.email.upper(), now=now)
    assert active(order.person_id) == [(run.id, None)]

    new = transfers.accept(key, person=other, now=now)

    assert (enrolment.end_reason, active(order.person_id), active(other.id)) == ("transferred", [], [(run.id, None)])
    assert taken(run) == [1]
    statement = cancellations.state(places.look(new), now=now)
    assert [share.part.order_id for share in statement.shares] == [order.id]
    assert order.person_id == enrolment.person_id
    with pytest.raises(Refused, match="offer_over"):
        transfers.accept(key, person=other, now=now)


def test_an_offer_is_for_one_address_one_place_and_some_days(now):
    run = make_run()
    _order, enrolment = bought(run, now=now)
    other, third = make_person(), make_person()
    key = offered(enrolment, other.email, now=now)

    with pytest.raises(Refused, match="other_address"):
        transfers.accept(key, person=third, now=now)
    with pytest.raises(Refused, match="enrolment_change_open"):
        transfers.offer(enrolment.id, third.email, actor=enrolment.person, now=now)
    with pytest.raises(Invalid, match="own_address"):
        transfers.offer(enrolment.id, enrolment.person.email, actor=enrolment.person, now=now)
    late = now + timedelta(days=7)
    with pytest.raises(Refused, match="offer_over"):
        transfers.accept(key, person=other, now=late)
    assert offered(enrolment, third.email, now=late)


def test_those_who_teach_or_are_in_it_cannot_take_a_place_over(now):
    run = make_run()
    _order, enrolment = bought(run, now=now)
    teacher = make_member(run.course.providers[0].organisation, "instructor")
    key = offered(enrolment, teacher.email, now=now)
    with pytest.raises(Refused, match="own_course"):
        transfers.accept(key, person=teacher, now=now)
    transfers.refuse(key, person=teacher, now=now)

    other_order, _other = bought(run, now=now)
    key = offered(enrolment, other_order.person.email, now=now)
    with pytest.raises(Refused, match="already_enrolled"):
        transfers.accept(key, person=other_order.person, now=now)


def test_a_place_that_others_pay_for_stays_with_its_person(now):
    run = make_run()
    order, enrolment = bought(run, now=now)
    place = places.look(enrolment)
    place.lines[0].voucher_minor = 1
    db.session.expunge(place.lines[0])

    with pytest.raises(Refused, match="paid_by_others"):
        transfers.check_may_transfer(place, now=now)
    assert order.total_minor == 128000


def test_the_doors_of_moving_and_passing_on(client, now):
    run, target = two_runs(150000)
    order, enrolment = bought(run, now=now)
    sign_in(client, order.person)

    page = client.get(f"/my/places/{enrolment.public_id}/move?lang=en").text
    assert "220.00" in page
    form = {"to_run": target.public_id, "shown_minor": "22000"}
    answer = client.post(f"/my/places/{enrolment.public_id}/move", data=form)
    assert answer.location.startswith("/orders/")
    assert "A move waits for its payment" in client.get(f"/my/places/{enrolment.public_id}/move?lang=en").text
    change = db.session.query(EnrolmentChange).one()
    orders.cancel_order(change.order_id, actor_id=order.person_id, now=now)

    other = make_person()
    address = f"/my/places/{enrolment.public_id}/transfer"
    assert client.post(address, data={"email": "nobody"}).status_code == 422
    assert client.post(address, data={"email": other.email}).status_code == 303
    assert other.email in client.get(address).text
    mail = db.session.query(OutgoingMail).filter_by(message="enrolment/transfer_offered").one()
    key = re.search(r"/transfers/(\S+)", mail.text)[1]
    sign_in(client, other)
    assert "Course" in client.get(f"/transfers/{key}?lang=en").text
    assert client.get("/transfers/unknown").status_code == 410
    assert client.post(f"/transfers/{key}").status_code == 303
    assert active(other.id) == [(run.id, None)]
    sign_in(client, order.person)
    assert "You have passed this place on" in client.get(f"/orders/{order.public_id}?lang=en").text


def test_an_offer_can_be_taken_back_and_the_places_of_others_do_not_exist(client, now):
    _order, enrolment = bought(make_run(), now=now)
    key = offered(enrolment, "friend@example.com", now=now)
    change = db.session.query(EnrolmentChange).one()
    sign_in(client, make_person())
    assert client.post(f"/my/transfers/{change.public_id}/withdraw").status_code == 404
    assert client.get(f"/my/places/{enrolment.public_id}/move").status_code == 404
    sign_in(client, enrolment.person)
    assert client.post(f"/my/transfers/{change.public_id}/withdraw").status_code == 303
    with pytest.raises(Refused, match="offer_over"), transaction():
        transfers.find(key, now=now)


def test_open_states_are_those_that_lead_on():
    assert {state for state, following in TRANSITIONS.items() if following} == set(OPEN)


def test_a_place_moves_within_its_currency(now):
    run, target = two_runs(price=128000, currency="USD")
    _order, enrolment = bought(run, now=now)

    with pytest.raises(Refused, match="other_currency"):
        changes.defer(
            enrolment.id, target.id, shown=Money(0, "USD"), actor_id=enrolment.person_id, locale="en", now=now
        )


def test_the_doors_of_a_place_that_is_over_say_so(client, now):
    run, target = two_runs()
    order, enrolment = bought(run, now=now)
    defer(enrolment, target, 0, now=now)
    sign_in(client, order.person)

    for act in ("move", "transfer"):
        page = client.get(f"/my/places/{enrolment.public_id}/{act}?lang=en")
        assert (page.status_code, "This place has ended already." in page.text) == (200, True)


def test_who_gets_a_place_while_waiting_is_offered_no_second_seat(now):
    run = make_run(capacity=1)
    _order, enrolment = bought(run, now=now)
    taker = make_person()
    waiting.join(run.id, taker.id, seat_code=None, now=now)
    transfers.accept(offered(enrolment, taker.email, now=now), person=taker, now=now)

    assert waiting.find_place(run.id, taker.id) is None
    run.capacity = 2
    db.session.flush()
    assert (offers.offer_all(now=now), taken(run)) == (0, [1])


def test_an_offer_to_who_gets_a_place_otherwise_goes_to_the_next(now):
    run = make_run(capacity=2)
    (_order, enrolment), (other_order, _other) = bought(run, now=now), bought(run, now=now)
    taker, following = make_person(), make_person()
    for person in (taker, following):
        waiting.join(run.id, person.id, seat_code=None, now=now)
    places.end_of_order(other_order.id, "refunded", now=now, actor_id=None)
    assert waiting.find_place(run.id, taker.id).position is None

    transfers.accept(offered(enrolment, taker.email, now=now), person=taker, now=now)
    assert waiting.find_place(run.id, taker.id) is None
    assert waiting.find_place(run.id, following.id).position is None
    assert taken(run) == [2]


def test_a_difference_does_not_buy_a_date_whose_rest_went_back_meanwhile(now):
    run, target = two_runs(price=150000)
    order, enrolment = bought(run, now=now)
    change = defer(enrolment, target, 22000, now=now)
    part = returns.parts_of([order.id])[0]
    returns.leave([Share(part, 100000)], currency="CNY", reason="staff", key="staff:x", now=now)

    verdict = orders.confirm_payment(
        change.order_id, attempt_public_id="difference", amount=change.order.total, now=now
    )
    assert (verdict, active(order.person_id)) == ("refund_due", [(run.id, None)])


def moved_with_subsidy(target, rule, *, now):
    """The subsidised order of a place that its provider has moved to the target."""
    run = make_run(target.course, is_subsidised=True)
    asked = {"programme": make_programme(rule=rule).public_id, "agreed": Agreed(1, is_given=True)}
    order = buy_as_quoted(run, make_person(region="310000"), now=now, **asked)
    orders.confirm_payment(order.id, attempt_public_id="a", amount=order.total, now=now)
    with transaction():
        place = places.lock(places.find_of_order(order.id).id, also_runs=[target.id])
        changes.move_by_provider(place, target, actor_id=None, now=now)
    return order, subsidy_lists.find_of_line(order.lines[0].id)


def told_of_the_end():
    [mail] = db.session.query(OutgoingMail).filter_by(message="enrolment/place_deferred")
    return "补贴已随之终止" in mail.text and "补贴已随之终止" in mail.html


def test_a_subsidy_goes_along_when_the_provider_moves_the_place(now):
    target = make_run(starts_at=now + timedelta(days=90), ends_at=now + timedelta(days=100))
    order, subsidy = moved_with_subsidy(target, Rule(percent=40), now=now)

    assert (subsidy.state, subsidy.amount_minor) == ("reserved", order.lines[0].subsidy_minor)
    assert subsidy.programme.committed_minor == subsidy.amount_minor
    assert target.ends_at + timedelta(days=29) < subsidy.earn_by < target.ends_at + timedelta(days=32)
    statement = cancellations.state(places.look(places.find_of_order(order.id)), now=now)
    assert statement.by_payer == [("learner", order.total), ("funder", subsidy.amount)]
    assert not told_of_the_end()


def test_a_subsidy_that_ended_with_a_move_is_not_named_when_the_new_place_is_cancelled(now):
    target = make_run(mode="online")
    order, ended = moved_with_subsidy(target, Rule(percent=40, modes=("in_person",)), now=now)

    assert (ended.state, ended.programme.committed_minor, ended.owed_minor) == ("released", 0, 0)
    assert told_of_the_end()
    statement = cancellations.state(places.look(places.find_of_order(order.id)), now=now)
    assert statement.by_payer == [("learner", order.total)]
    subsidy = Money(order.lines[0].subsidy_minor, "CNY")
    assert (statement.back, statement.returned_before) == (order.total, subsidy)
