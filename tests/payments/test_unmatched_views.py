from __future__ import annotations

import re

import pytest

from marketplace.foundation import bank_days, clock
from marketplace.foundation.database import db
from marketplace.payments import discrepancies, ledger
from marketplace.payments.models import Discrepancy
from marketplace.payments.unmatched_models import BankMoney, UnmatchedAnswer
from tests.factories import make_run, make_staff, sign_in
from tests.payments.test_desk_views import statements, treat
from tests.payments.test_payments import place


@pytest.fixture
def officer(client):
    person = make_staff("finance_officer", locale="en")
    sign_in(client, person)
    return person


def record(client, amount="1280.00", reference="ICBC 7", **changes):
    data = {
        "amount": amount,
        "currency": "CNY",
        "bank_reference": reference,
        "received_on": bank_days.day_of(clock.now()).isoformat(),
        "payer_name": "川锦旅行社",
        "reason": "no order named",
    }
    return client.post("/staff/bank-money?lang=en", data=data | changes)


def page_of(number=0):
    found = db.session.query(Discrepancy).order_by(Discrepancy.id).all()[number]
    return f"/staff/unmatched/{found.public_id}?lang=en"


def test_bank_money_is_recorded_listed_and_assigned(client, officer, now):
    order = place(make_run(), now=now)
    assert record(client, amount="x").status_code == 422
    assert record(client, received_on="2999-01-01").status_code == 422
    assert record(client).status_code == 303
    queue = client.get("/staff/queues?lang=en").text
    assert [queue.count(one) for one in ("ICBC7", "A bank transfer that fits no order", "/staff/unmatched/")] == [
        1,
        1,
        1,
    ]
    assert "川锦旅行社" in client.get(page_of()).text

    wrong = client.post(page_of(), data={"kind": "order", "order_number": "nothing", "reason": "x"})
    assert (wrong.status_code, "There is no order of this number." in wrong.text) == (422, True)
    answer = {"kind": "order", "order_number": order.public_id, "reason": "the payer called"}
    assert client.post(page_of(), data=answer).status_code == 303
    assert order.state == "confirmed"
    assert "the payer called" in client.get(page_of()).text
    assert discrepancies.list_open() == []


def test_a_second_officer_agrees_above_the_limit(client, officer, now):
    record(client, amount="9000")
    assert client.post(page_of(), data={"kind": "ours", "reason": "interest"}).status_code == 303
    assert "another finance officer must look at it" in client.get(page_of()).text
    assert "Waits for a second officer" in client.get("/staff/queues?lang=en").text
    [answer] = db.session.query(UnmatchedAnswer)
    assert "you entered it" in treat(client, "unmatched", answer.public_id, "approve").text

    sign_in(client, make_staff("finance_officer", locale="en"))
    assert "Agree" in client.get(page_of()).text
    assert "Done, and noted." in treat(client, "unmatched", answer.public_id, "approve").text
    assert ledger.balances()["unmatched_money", "CNY"] == 0


def test_a_note_does_not_close_it(client, officer, now):
    record(client)
    [found] = db.session.query(Discrepancy)
    assert "Say what this money is" in treat(client, "discrepancy", found.public_id, "resolve").text
    assert found.resolved_at is None


def test_the_queue_asks_once_for_all_answers(client, officer, now):
    record(client)
    client.get("/staff/queues")
    few = statements(lambda: client.get("/staff/queues"))
    for number in range(3):
        record(client, reference=f"B {number}", amount="9000")
        client.post(page_of(-1), data={"kind": "ours", "reason": "x"})
    assert statements(lambda: client.get("/staff/queues")) == few


def test_what_is_not_there_or_no_money_is_not_found(client, officer, now):
    assert client.get("/staff/unmatched/nothing").status_code == 404
    discrepancies.queue("unknown_movement", "txn_1", {"theirs": 5, "currency": "ISK"}, now=now)
    assert client.get(page_of()).status_code == 404
    assert re.search("Close it", client.get("/staff/queues?lang=en").text)


@pytest.mark.parametrize("path", ["/staff/bank-money", "/staff/unmatched/x"])
def test_others_do_not_see_it(client, path):
    sign_in(client, make_staff("reviewer"))
    assert client.get(path).status_code == 403
    assert db.session.query(BankMoney).count() == 0
