"""Nobody settles what they bought themselves, however small it is."""

from __future__ import annotations

import pytest

from marketplace.accounts import staff
from marketplace.enrolment import places
from marketplace.enrolment.models import Order
from marketplace.foundation import bank_days
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.money import Money
from marketplace.payments import desk, desk_moves, offline, refunds, write_offs
from marketplace.payments.desk_models import OfflinePayment, WriteOff
from marketplace.payments.offline import Transfer
from tests.factories import make_course, make_run, make_staff, sign_in
from tests.payments.test_debts import indebted, transaction_paid
from tests.payments.test_payments import paid, place


def own_order(now, **values):
    """An order of a finance officer's own."""
    return place(make_run(**values), now=now, person=make_staff("finance_officer"))


def act_of(order, now, actor_id=None):
    return {"reason": "x", "actor_id": actor_id or order.person_id, "now": now}


def transfer_of(order, now):
    return Transfer(order.total, "ICBC 1", bank_days.day_of(now))


def test_nobody_enters_the_transfer_of_their_own_order(client, now):
    order = own_order(now)
    with pytest.raises(Refused, match="own_order"):
        offline.enter(order.id, transfer_of(order, now), **act_of(order, now))
    assert (order.state, db.session.query(OfflinePayment).count()) == ("awaiting_payment", 0)

    sign_in(client, order.person)
    page = client.get(f"/staff/orders/{order.public_id}?lang=en").text
    assert ("This order is your own" in page, "Mark paid by bank transfer" in page) == (True, False)


def test_nobody_approves_the_transfer_of_their_own_order(client, now):
    order = own_order(now, price_minor=600000)
    entered = offline.enter(order.id, transfer_of(order, now), **act_of(order, now, make_staff("finance_officer").id))
    for verb in (offline.approve, offline.decline):
        with pytest.raises(Refused, match="own_order"):
            verb(entered.public_id, **act_of(order, now))
    assert entered.state == "proposed"

    sign_in(client, order.person)
    page = client.get("/staff/queues?lang=en").text
    assert ("another finance officer must look at it" in page, "Approve the transfer" in page) == (True, False)


def test_nobody_gives_their_own_money_back(client, sandbox, now):
    order = own_order(now)
    paid(sandbox, order, now)
    with pytest.raises(Refused, match="own_order"):
        desk.give_back(order, Money(100, "CNY"), ends_place=False, **act_of(order, now))
    other = make_staff("finance_officer").id
    [refund] = refunds.request_refund(order.id, Money(100, "CNY"), ends_place=False, **act_of(order, now, other))
    refund.state = "failed"
    with pytest.raises(Refused, match="own_order"):
        refunds.repeat(refund, actor_id=order.person_id, now=now)

    sign_in(client, order.person)
    page = client.get(f"/staff/orders/{order.public_id}?lang=en").text
    assert ("Give money back" in page, "Move to another run" in page) == (False, False)


def test_nobody_sends_the_refund_of_their_own_transfer(now):
    order = own_order(now)
    transaction_paid(order, now=now)
    other = make_staff("finance_officer").id
    [refund] = refunds.request_refund(order.id, Money(100, "CNY"), ends_place=False, **act_of(order, now, other))
    with pytest.raises(Refused, match="own_order"):
        offline.refund_sent(refund.public_id, bank_reference="B1", sent_on=bank_days.day_of(now), **act_of(order, now))
    assert refund.state == "requested"


def test_nobody_moves_their_own_order_at_the_desk(sandbox, now):
    course = make_course()
    order = place(make_run(course), now=now, person=make_staff("finance_officer"))
    paid(sandbox, order, now)
    target = make_run(course)
    with pytest.raises(Refused, match="own_order"):
        desk_moves.move(order, target, shown=Money(0, "CNY"), **act_of(order, now))
    assert places.find_of_order(order.id).run_id == order.lines[0].run_id


def test_nobody_writes_their_own_debt_off(client, now):
    order = indebted(now=now)
    staff.appoint(order.person, "finance_officer", actor=None, now=now)
    other = make_staff("finance_officer").id
    with pytest.raises(Refused, match="own_order"):
        write_offs.propose(order.id, Money(100, "CNY"), **act_of(order, now))
    row = db.session.merge(
        WriteOff(order_id=order.id, amount_minor=100, currency="CNY", reason="x", proposed_by_id=other)
    )
    db.session.flush()
    with pytest.raises(Refused, match="own_order"):
        write_offs.approve(row.public_id, **act_of(order, now))

    sign_in(client, db.session.get_one(Order, order.id).person)
    assert "Write off what is owed" not in client.get(f"/staff/orders/{order.public_id}?lang=en").text
