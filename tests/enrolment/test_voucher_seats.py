"""Codes that keep seats: their holders find one when the run is sold out to everyone else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.enrolment import orders, pools, quotes, voucher_seats
from marketplace.enrolment.quotes import Asked
from marketplace.enrolment.rules import HOLD_FOR, RunFull, Settlement
from marketplace.enrolment.voucher_seats import KeptSeats
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid
from marketplace.funding import voucher_batches
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_models import VoucherBatch
from marketplace.funding.voucher_rules import Terms, ValueKind, VoucherRefused
from tests.buying import place_order
from tests.enrolment.test_pools import counted, take
from tests.enrolment.test_views import form_of
from tests.factories import make_person, make_run, make_staff, sign_in

TERMS = Terms(ValueKind.AMOUNT, "CNY", amount=28000, use_cap=9, money_cap=280000)


@pytest.fixture
def now(app):
    clock.set_to(clock.now())
    return clock.now()


@pytest.fixture
def run(now):
    return make_run(capacity=2)


def issue(run, now, *, size=1, days=5, **values):
    seats = KeptSeats(run.id, size, now + timedelta(days=days))
    return voucher_seats.issue(NewBatch("Film", TERMS, **values), seats, actor_id=make_person().id, now=now)


def code_of(batch):
    return voucher_batches.code_of(voucher_batches.list_vouchers(batch.id)[0])


def pay_by(run, code, *, now, person=None):
    someone = person or make_person()
    quoted = quotes.quote(quotes.sale_of(run, someone.id), Asked(voucher_code=code), now=now)
    return place_order(
        run.id,
        someone.id,
        shown_price=quoted.price,
        request_key=ids.public_id(),
        locale="zh",
        now=now,
        asked=Asked(voucher_code=code, shown_due=quoted.due),
    )


def test_the_seat_of_a_code_is_its_holders_until_the_last_day(run, now):
    batch = issue(run, now)
    assert (batch.run_ids, counted(run)) == ([run.id], (0, 1, [(0, 1)]))
    take(run, make_person(), now=now)
    with pytest.raises(RunFull):
        take(run, make_person(), now=now)

    order = pay_by(run, code_of(batch), now=now)
    assert (counted(run), order.lines[0].voucher_minor) == ((2, 0, [(1, 0)]), 28000)
    assert order.lines[0].price_rule["explanation"][-1][1]["keeps_seat"] is True
    with pytest.raises(RunFull):
        pay_by(run, code_of(batch), now=now)

    orders.cancel_order(order.id, actor_id=order.person_id, now=now)
    assert counted(run) == (1, 1, [(0, 1)])
    pools.release_due(now=now + timedelta(days=5))
    assert take(run, make_person(), now=now + timedelta(days=5)).state == "awaiting_payment"


def test_a_code_takes_a_public_seat_once_its_own_are_gone_and_opens_no_other_run(run, now):
    batch = issue(run, now)

    orders_made = [pay_by(run, code_of(batch), now=now) for _ in range(2)]

    assert [order.hold.pool_id for order in orders_made] == [batch.seat_pool_id, None]
    with pytest.raises(VoucherRefused):
        pay_by(make_run(run.course), code_of(batch), now=now)


def test_late_money_finds_the_seat_of_its_code_again(run, now):
    batch = issue(run, now)
    order = pay_by(run, code_of(batch), now=now)
    late = now + HOLD_FOR
    orders.expire_orders(now=late)
    take(run, make_person(), now=late)

    verdict = orders.confirm_payment(order.id, attempt_public_id="a1", amount=order.total, now=late)

    assert (verdict, counted(run)) == (Settlement.REHOLD_AND_CONFIRM, (2, 0, [(1, 0)]))


def test_ended_codes_keep_no_seats(run, now):
    batch = issue(run, now)
    with pytest.raises(Invalid):
        voucher_seats.end_batch(batch, reason=" ", actor_id=make_person().id, now=now)
    assert counted(run) == (0, 1, [(0, 1)])

    assert voucher_seats.end_batch(batch, reason="over", actor_id=make_person().id, now=now) == 1
    assert counted(run) == (0, 0, [(0, 0)])


def test_no_more_seats_are_kept_than_are_free_and_then_no_code_is_issued(run, now):
    with pytest.raises(Invalid) as refused:
        issue(run, now, size=3)
    assert list(refused.value.fields) == ["kept_seats"]
    assert (db.session.query(VoucherBatch).count(), counted(run)) == (0, (0, 0, []))


FILLED = {
    "name": "Film",
    "size": "1",
    "value_kind": "amount",
    "currency": "CNY",
    "amount": "280",
    "use_cap": "1",
    "person_cap": "1",
}


def test_an_officer_keeps_seats_for_codes_and_sees_them_taken(client, run, now):
    sign_in(client, make_staff("funding_officer", locale="en"))
    last = (now + timedelta(days=5)).astimezone(run.tzinfo).date().isoformat()

    form = FILLED | {"runs": run.public_id, "kept_seats": "1", "kept_until": last}
    answer = client.post("/staff/vouchers/new", data=form)
    batch = db.session.query(VoucherBatch).one()
    pay_by(run, code_of(batch), now=now)

    page = client.get(f"{answer.location}?lang=en").text
    assert "1 of 1 taken" in page
    assert "Holders of a voucher code" in client.get(f"/runs/{run.public_id}/seats?lang=en").text
    pool = pools.list_pools(run.id)[0]
    edit = f"/runs/{run.public_id}/seats/{pool.public_id}"
    assert "People of an organisation" not in client.get(f"{edit}?lang=en").text
    answer = client.post(edit, data={"kind": "campaign", "size": "2", "audience": "voucher", "last_day": last})
    assert (answer.status_code, counted(run)) == (303, (1, 1, [(1, 1)]))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"runs": ""}, "Seats are kept in one run"),
        ({"kept_until": ""}, "Enter until when they are kept."),
        ({"kept_seats": "0"}, "At least one."),
        ({"kept_seats": "9"}, "Only 2 more seats can be kept"),
    ],
)
def test_what_is_missing_is_said_beside_its_field(client, run, now, changed, sentence):
    sign_in(client, make_staff("funding_officer", locale="en"))
    form = FILLED | {"runs": run.public_id, "kept_seats": "1", "kept_until": "2030-01-01"} | changed

    answer = client.post("/staff/vouchers/new", data=form)

    assert (answer.status_code, sentence in answer.text) == (422, True)
    assert db.session.query(VoucherBatch).count() == 0


def test_a_holder_finds_the_seat_in_a_run_that_is_sold_out(client, run, now):
    batch = issue(run, now)
    take(run, make_person(), now=now)
    sign_in(client, make_person(locale="en"))
    address = f"/runs/{run.public_id}/enrol"
    assert "kept for holders of a voucher code" in client.get(address).text

    page = client.post(f"{address}/price", data={"voucher_code": code_of(batch)}).text
    assert "Seats are kept for holders of this code." in page
    assert "A seat is kept for people like you" in page
    fields = form_of(client, run) or {}
    shown = {"shown_minor": "128000", "shown_due_minor": "100000", "shown_currency": "CNY"}
    key = {"request_key": fields.get("request_key", ids.public_id())}
    answer = client.post(address, data=shown | key | {"voucher_code": code_of(batch)})
    assert (answer.status_code, counted(run)) == (303, (2, 0, [(1, 0)]))
