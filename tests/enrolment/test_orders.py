from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import counting, learning, orders, places, rules, seats
from marketplace.enrolment.models import Enrolment, Order, OrderState, RefundDue
from marketplace.enrolment.orders import PriceChanged
from marketplace.enrolment.rules import RunFull, Settlement
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from tests.buying import place_order
from tests.factories import make_course, make_member, make_organisation, make_person, make_run

FREE = Money(0, "CNY")


@pytest.fixture
def now(app):
    moment = clock.now()
    clock.set_to(moment)
    return moment


def place(run, person, *, now, price=None, key=None):
    return place_order(
        run.id,
        person.id,
        shown_price=run.price if price is None else price,
        request_key=key or ids.public_id(),
        locale="zh",
        now=now,
    )


def pay(order, *, now, attempt="a1", amount=None):
    return orders.confirm_payment(order.id, attempt_public_id=attempt, amount=amount or order.total, now=now)


def seats_taken(run):
    return db.session.query(CourseRun.seats_taken).filter_by(id=run.id).scalar()


def test_a_priced_order_waits_for_its_money_and_then_enrols(now):
    run, person = make_run(), make_person()

    order = place(run, person, now=now)
    assert (order.state, order.expires_at, seats_taken(run)) == ("awaiting_payment", now + rules.HOLD_FOR, 1)
    assert order.lines[0].due_minor == run.price_minor

    assert pay(order, now=now) is Settlement.CONFIRM
    assert (order.state, order.confirmed_at, seats_taken(run)) == ("confirmed", now, 1)
    assert [enrolment.run_id for enrolment in learning.list_enrolments(person.id)] == [run.id]
    assert [event.kind for event in learning.get_order(order.public_id, person.id).events] == ["placed", "confirmed"]
    [mail] = db.session.query(OutgoingMail).filter_by(recipient=person.email)
    assert "报名成功" in mail.subject


def test_a_free_run_confirms_at_once(now):
    run, person = make_run(price_minor=0), make_person()

    assert place(run, person, now=now).state == OrderState.CONFIRMED
    assert seats_taken(run) == 1


def test_a_double_click_and_a_second_tab_make_one_order(now):
    run, person = make_run(), make_person()

    first = place(run, person, now=now, key="k")

    assert place(run, person, now=now, key="k").id == first.id
    assert place(run, person, now=now, key="another tab").id == first.id
    assert seats_taken(run) == 1


def test_a_replay_after_confirmation_gives_the_same_order(now):
    run, person = make_run(price_minor=0), make_person()
    first = place(run, person, now=now, key="k")

    assert place(run, person, now=now, key="k").id == first.id
    with pytest.raises(Refused, match="already_enrolled"):
        place(run, person, now=now, key="new")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"state": "cancelled"}, "run_cancelled"),
        ({"state": "draft"}, "run_not_on_sale"),
        ({"enrol_opens_at": timedelta(hours=1)}, "enrolment_not_open"),
        ({"enrol_closes_at": timedelta(0)}, "enrolment_closed"),
    ],
)
def test_a_run_that_cannot_be_booked_says_why(now, change, code):
    values = {name: now + value if isinstance(value, timedelta) else value for name, value in change.items()}
    run, person = make_run(**values), make_person()

    with pytest.raises(Refused, match=code):
        place(run, person, now=now)
    assert seats_taken(run) == 0


def test_a_provider_does_not_enrol_in_its_own_course(now):
    provider = make_organisation()
    instructor = make_member(provider, "instructor")
    run = make_run(make_course(provider))

    with pytest.raises(Refused, match="own_course"):
        place(run, instructor, now=now)


def test_a_changed_price_is_shown_again(now):
    run, person = make_run(), make_person()

    with pytest.raises(PriceChanged) as refusal:
        place(run, person, now=now, price=Money(1, "CNY"))
    assert refusal.value.quote.price == run.price
    assert seats_taken(run) == 0


def test_a_full_run_refuses_until_a_hold_expires(now):
    run = make_run(capacity=1)
    place(run, make_person(), now=now)

    with pytest.raises(RunFull):
        place(run, make_person(), now=now + rules.HOLD_FOR - timedelta(seconds=1))
    late = now + rules.HOLD_FOR
    assert counting.expired_holds([run.id], now=late) == {run.id: 1}
    assert place(run, make_person(), now=late).state == OrderState.AWAITING_PAYMENT
    assert seats_taken(run) == 1


def test_time_to_pay_is_extended_once(now):
    order = place(make_run(), make_person(), now=now)

    assert orders.extend_order(order.id, now=now).expires_at == now + rules.HOLD_FOR + rules.EXTEND_BY
    with pytest.raises(Refused, match="hold_extended_before"):
        orders.extend_order(order.id, now=now)


def test_an_ended_hold_cannot_be_extended(now):
    order = place(make_run(), make_person(), now=now)

    with pytest.raises(Refused, match="hold_ended"):
        orders.extend_order(order.id, now=now + rules.HOLD_FOR)


def test_the_sweep_ends_orders_and_frees_their_seats(now):
    run = make_run()
    order = place(run, make_person(), now=now)

    assert orders.expire_orders(now=now + rules.HOLD_FOR - timedelta(seconds=1)) == 0
    assert orders.expire_orders(now=now + rules.HOLD_FOR) == 1
    assert (order.state, seats_taken(run)) == ("expired", 0)
    assert seats.sweep_expired_holds(now=now + rules.HOLD_FOR) == 0


def test_cancelling_frees_the_seat_once(now):
    run, person = make_run(), make_person()
    order = place(run, person, now=now)

    for _ in range(2):
        assert orders.cancel_order(order.id, actor_id=person.id, now=now).state == OrderState.CANCELLED
    assert seats_taken(run) == 0


def test_late_money_takes_a_seat_again_if_there_is_one(now):
    run = make_run(capacity=1)
    order = place(run, make_person(), now=now)
    late = now + rules.HOLD_FOR + timedelta(minutes=1)
    orders.expire_orders(now=late)

    assert pay(order, now=late) is Settlement.REHOLD_AND_CONFIRM
    assert (order.state, seats_taken(run)) == ("confirmed", 1)


def test_late_money_for_a_seat_sold_to_another_goes_back(now):
    run = make_run(capacity=1)
    order = place(run, make_person(), now=now)
    late = now + rules.HOLD_FOR
    other = place(run, make_person(), now=late)

    assert pay(order, now=late) is Settlement.REFUND_DUE
    assert pay(other, now=late, attempt="a2") is Settlement.CONFIRM
    [due] = db.session.query(RefundDue)
    assert (due.order_id, due.amount_minor, due.attempt_public_id) == (order.id, run.price_minor, "a1")
    assert db.session.query(Enrolment).filter_by(run_id=run.id).count() == 1


def test_late_money_uses_the_seat_held_by_a_newer_order_of_the_same_person(now):
    run, person = make_run(capacity=1), make_person()
    old = place(run, person, now=now)
    late = now + rules.HOLD_FOR
    new = place(run, person, now=late)

    assert pay(old, now=late) is Settlement.REHOLD_AND_CONFIRM
    assert (old.state, new.state, seats_taken(run)) == ("confirmed", "cancelled", 1)
    assert pay(new, now=late, attempt="a2") is Settlement.REFUND_DUE


def test_a_payment_settles_once_and_a_second_one_goes_back(now):
    order = place(make_run(), make_person(), now=now)
    pay(order, now=now)

    assert pay(order, now=now) is Settlement.ALREADY_SETTLED
    assert db.session.query(RefundDue).count() == 0
    for _ in range(2):
        assert pay(order, now=now, attempt="a2") is Settlement.ALREADY_SETTLED
    [due] = db.session.query(RefundDue)
    assert due.reason == "paid_twice"


def test_another_amount_than_the_one_due_goes_back(now):
    run = make_run()
    order = place(run, make_person(), now=now)

    assert pay(order, now=now, amount=Money(1, "CNY")) is Settlement.REFUND_DUE
    assert (order.state, seats_taken(run)) == ("cancelled", 0)


def test_a_delayed_payment_keeps_its_seat_and_may_fail(now):
    run = make_run(capacity=1)
    order = place(run, make_person(), now=now)

    orders.payment_pending(order.id, now=now)
    assert orders.expire_orders(now=now + timedelta(days=6)) == 0
    with pytest.raises(Refused, match="payment_on_its_way"):
        orders.cancel_order(order.id, actor_id=None, now=now)
    with pytest.raises(RunFull):
        place(run, make_person(), now=now + timedelta(days=6))

    orders.payment_failed(order.id, now=now)
    assert (order.state, order.expires_at) == ("awaiting_payment", now + rules.HOLD_FOR)


def test_a_refunded_order_frees_its_seat_once(now):
    run, person = make_run(capacity=1), make_person()
    order = place(run, person, now=now)
    pay(order, now=now)

    for _ in range(2):
        places.end_of_order(order.id, "refunded", now=now, actor_id=None)

    assert seats_taken(run) == 0
    assert learning.list_enrolments(person.id) == []
    assert place(run, person, now=now).state == OrderState.AWAITING_PAYMENT


def test_another_persons_order_is_not_found(now):
    order = place(make_run(), make_person(), now=now)

    with pytest.raises(NotFound):
        learning.get_order(order.public_id, make_person().id)


def test_a_refused_order_leaves_nothing(now):
    run, person = make_run(capacity=0), make_person()

    with pytest.raises(RunFull), transaction():
        place(run, person, now=now)
    assert db.session.query(Order).filter_by(person_id=person.id).count() == 0


def test_a_state_follows_the_table(now):
    order = place(make_run(), make_person(), now=now)
    orders.cancel_order(order.id, actor_id=None, now=now)

    with pytest.raises(ValueError, match="from cancelled to confirmed"):
        order.state = OrderState.CONFIRMED
