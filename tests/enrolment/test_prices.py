"""What a buyer is shown, charged and given back, with price rules and vouchers: through the verb and the doors."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from marketplace.accounts.models import Membership
from marketplace.catalog import pricing
from marketplace.catalog.pricing_rules import Rule, RuleKind
from marketplace.enrolment import orders, quotes
from marketplace.enrolment.models import Order
from marketplace.enrolment.quotes import Asked
from marketplace.enrolment.rules import Settlement
from marketplace.foundation import clock, ids
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.money import Money
from marketplace.funding import voucher_batches, vouchers
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_rules import Terms, ValueKind, VoucherRefused
from tests.buying import place_order
from tests.factories import make_organisation, make_person, make_run, sign_in

LIST = Money(128000, "CNY")
EARLY = Rule(rule_id=0, kind=RuleKind.EARLY_BIRD, currency="CNY", percent_off=20)
THIRD = Rule(rule_id=0, kind=RuleKind.COLLEAGUES, currency="CNY", percent_off=50, colleagues_from=3)
AMOUNT = Terms(ValueKind.AMOUNT, "CNY", amount=20000, use_cap=5, money_cap=100000)
FULL = Terms(ValueKind.FULL, "CNY", use_cap=1, money_cap=200000)


@pytest.fixture
def person(client):
    someone = make_person()
    sign_in(client, someone)
    return someone


def rule(run, rule=EARLY, **values):
    last = (clock.now() + timedelta(days=5)).date()
    return pricing.add_rule(run.id, replace(rule, **({"ends_on": last} | values)), actor_id=None, now=clock.now())


def code(terms=AMOUNT):
    batch = voucher_batches.issue(NewBatch("Spring", terms), actor_id=None, now=clock.now())
    [voucher] = voucher_batches.list_vouchers(batch.id)
    return voucher_batches.code_of(voucher)


def buy(run, person, *, price, due=None, **asked):
    return place_order(
        run.id,
        person.id,
        shown_price=Money(price, "CNY"),
        request_key=ids.public_id(),
        locale="zh",
        now=clock.now(),
        asked=Asked(shown_due=None if due is None else Money(due, "CNY"), **asked),
    )


def amounts(line):
    return line.price_minor, line.subsidy_minor, line.voucher_minor, line.due_minor


def used(voucher_code):
    voucher = vouchers.find_by_code(voucher_code)
    db.session.refresh(voucher)
    return voucher.uses, voucher.spent_minor


def form_of(page):
    names = "request_key|shown_minor|shown_due_minor|shown_currency"
    return dict(re.findall(rf'name="({names})"[^>]*value="([^"]*)"', page))


def test_the_rules_price_is_sold_and_kept_with_its_reason(app):
    run, someone = make_run(), make_person()
    kept = rule(run)

    order = buy(run, someone, price=102400)
    [line] = order.lines
    assert amounts(line) == (102400, 0, 0, 102400)
    assert line.price_rule["list_price_minor"] == 128000
    assert line.price_rule["pricing"]["rule_id"] == kept.id


@pytest.mark.parametrize("shown", [128000, 100000])
def test_a_price_that_was_not_shown_is_not_charged(app, shown):
    run, someone = make_run(), make_person()
    rule(run)

    with pytest.raises(orders.PriceChanged) as changed:
        buy(run, someone, price=shown)
    assert changed.value.quote.price == Money(102400, "CNY")


def test_an_early_price_shown_before_midnight_is_not_charged_after_it(app):
    """The whole last day belongs to it where the run is; who presses a moment later is shown the new price."""
    midnight = datetime(2026, 3, 29, 23, tzinfo=UTC)
    clock.set_to(midnight - timedelta(hours=3))
    run, first, second = make_run(zone="Europe/London"), make_person(), make_person()
    rule(run, ends_on=date(2026, 3, 29))

    clock.set_to(midnight - timedelta(microseconds=1))
    assert amounts(buy(run, first, price=102400).lines[0]) == (102400, 0, 0, 102400)
    clock.set_to(midnight)
    with pytest.raises(orders.PriceChanged) as changed:
        buy(run, second, price=102400)
    assert changed.value.quote.price == run.price


def test_the_third_colleague_pays_less_than_the_second(app):
    run, museum = make_run(price_minor=0), make_organisation(kind="employer")
    people = [make_person() for _ in range(4)]
    with transaction():
        for someone in people[:3]:
            add(Membership(person_id=someone.id, organisation_id=museum.id, role="instructor"))
            # Two roles are one colleague.
            add(Membership(person_id=someone.id, organisation_id=museum.id, role="registrar"))
    for someone in people[:2]:
        buy(run, someone, price=0)
    with transaction():
        run.price_minor = 128000
    rule(run, THIRD, ends_on=None)

    def price(someone):
        return quotes.quote(quotes.sale_of(run, someone), now=clock.now()).price.minor

    assert [price(None), price(people[3].id), price(people[2].id)] == [128000, 128000, 64000]
    assert amounts(buy(run, people[2], price=64000).lines[0]) == (64000, 0, 0, 64000)


def test_an_expired_hold_takes_none_of_the_first_seats(app):
    run = make_run(seats_taken=10)
    rule(run, EARLY, kind=RuleKind.FIRST_SEATS, first_seats=10)

    def price(expired):
        sale = quotes.sale_of(run, None, expired_holds=expired)
        return quotes.quote(sale, now=clock.now()).price.minor

    assert [price(0), price(1)] == [128000, 102400]


def test_a_code_pays_after_the_rules_and_the_buyer_the_rest(app):
    run, someone, voucher_code = make_run(), make_person(), code()
    rule(run)

    order = buy(run, someone, price=102400, due=82400, voucher_code=voucher_code)
    assert amounts(order.lines[0]) == (102400, 0, 20000, 82400)
    assert order.total == Money(82400, "CNY")
    assert used(voucher_code) == (1, 20000)


def test_a_code_that_pays_all_confirms_at_once(app):
    run, someone, voucher_code = make_run(), make_person(), code(FULL)

    order = buy(run, someone, price=128000, due=0, voucher_code=voucher_code)
    assert (order.state, amounts(order.lines[0])) == ("confirmed", (128000, 0, 128000, 0))


@pytest.mark.parametrize("end", ["cancel", "expire"])
def test_an_order_that_ends_unpaid_gives_the_code_back(app, end):
    run, someone, voucher_code = make_run(), make_person(), code()
    order = buy(run, someone, price=128000, due=108000, voucher_code=voucher_code)

    if end == "cancel":
        orders.cancel_order(order.id, actor_id=someone.id, now=clock.now())
    else:
        orders.expire_orders(now=clock.now() + timedelta(hours=1))
    assert used(voucher_code) == (0, 0)


def test_late_money_brings_the_code_back_or_goes_back_itself(app):
    run, voucher_code = make_run(), code(replace(AMOUNT, use_cap=1))
    first, second = make_person(), make_person()
    late = clock.now() + timedelta(hours=1)
    orders_made = []
    for someone in (first, second):
        orders_made.append(buy(run, someone, price=128000, due=108000, voucher_code=voucher_code))
        orders.expire_orders(now=late)

    def settle(order, attempt):
        return orders.confirm_payment(order.id, attempt_public_id=attempt, amount=Money(108000, "CNY"), now=late)

    assert settle(orders_made[0], "a") is Settlement.REHOLD_AND_CONFIRM
    assert used(voucher_code) == (1, 20000)
    assert settle(orders_made[1], "b") is Settlement.REFUND_DUE
    assert used(voucher_code) == (1, 20000)


def test_a_refused_code_undoes_the_order(app):
    run, voucher_code = make_run(), code(replace(AMOUNT, use_cap=1))
    buy(run, make_person(), price=128000, due=108000, voucher_code=voucher_code)

    with pytest.raises(VoucherRefused, match="voucher_used_up"):
        buy(run, make_person(), price=128000, due=108000, voucher_code=voucher_code)
    assert (db.session.query(Order).count(), run.seats_taken) == (1, 1)


def test_the_page_explains_applies_a_code_and_sells_at_what_it_shows(client, person):
    run, voucher_code = make_run(), code()
    rule(run)
    path = f"/runs/{run.public_id}/enrol"

    page = client.get(f"{path}?lang=en").text
    assert "This is the price that applies." in page
    applied = client.post(f"{path}/price?lang=en", data=form_of(page) | {"voucher_code": voucher_code.lower()})
    assert applied.status_code == 200
    assert f"Paid by voucher …{voucher_code[-4:]}" in applied.text
    assert f'value="{voucher_code.lower()}"' in applied.text
    assert form_of(applied.text)["shown_due_minor"] == "82400"
    assert db.session.query(Order).count() == 0

    sent = form_of(applied.text) | {"voucher_code": voucher_code}
    answer = client.post(f"{path}?lang=en", data=sent)
    order = db.session.query(Order).one()
    assert answer.location == f"/orders/{order.public_id}"
    shown = client.get(f"{answer.location}?lang=en").text
    for text in ("CN¥1,280.00", "-CN¥256.00", "CN¥1,024.00", "-CN¥200.00", "CN¥824.00", "Early bird"):
        assert text in shown


def test_a_code_typed_but_not_applied_is_shown_before_anything_is_charged(client, person):
    run, voucher_code = make_run(), code()
    path = f"/runs/{run.public_id}/enrol?lang=en"

    answer = client.post(path, data=form_of(client.get(path).text) | {"voucher_code": voucher_code})
    assert answer.status_code == 409
    assert "The price has changed since you saw it." in answer.text
    assert form_of(answer.text)["shown_due_minor"] == "108000"
    again = client.post(path, data=form_of(answer.text) | {"voucher_code": voucher_code})
    assert again.status_code == 303


@pytest.mark.parametrize("door", ["", "/price"])
def test_a_refused_code_stays_in_its_field_with_the_reason(client, person, door):
    run = make_run()
    path = f"/runs/{run.public_id}/enrol"

    sent = form_of(client.get(f"{path}?lang=en").text) | {"voucher_code": "NO-SUCH-CODE"}
    answer = client.post(f"{path}{door}?lang=en", data=sent)
    assert answer.status_code == 422
    assert answer.text.count("We do not know this code.") == 2
    assert 'value="NO-SUCH-CODE"' in answer.text
    assert "Take the seat" in answer.text
    assert db.session.query(Order).count() == 0


def test_a_code_is_taken_off_again(client, person):
    run, voucher_code = make_run(), code()
    path = f"/runs/{run.public_id}/enrol"

    sent = form_of(client.get(path).text) | {"voucher_code": voucher_code, "without_voucher": "yes"}
    page = client.post(f"{path}/price?lang=en", data=sent).text
    assert form_of(page)["shown_due_minor"] == "128000"
    assert voucher_code not in page


def test_a_free_run_asks_for_no_code(client, person):
    run = make_run(price_minor=0)

    assert "Voucher code" not in client.get(f"/runs/{run.public_id}/enrol?lang=en").text


def late_for(order, *, now):
    return orders.confirm_payment(order.id, attempt_public_id="late", amount=order.total, now=now)


def test_late_money_takes_the_code_from_the_newer_order_of_the_same_person(person):
    """The newer order gives way, and with it the code it holds; nobody else was using it."""
    run, spring = make_run(), code(Terms(ValueKind.AMOUNT, "CNY", amount=20000, use_cap=1, money_cap=20000))
    old = buy(run, person, price=128000, due=108000, voucher_code=spring)
    later = clock.now() + timedelta(hours=1)
    orders.expire_orders(now=later)
    clock.set_to(later)
    newer = buy(run, person, price=128000, due=108000, voucher_code=spring)

    assert late_for(old, now=later) is Settlement.REHOLD_AND_CONFIRM

    assert (old.state, newer.state, used(spring)) == ("confirmed", "cancelled", (1, 20000))
    assert [event.kind for event in newer.events] == ["placed", "superseded"]


def test_late_money_goes_back_when_somebody_else_has_the_code(person):
    """Then nothing changes: the newer order keeps its seat and stands."""
    run, spring = make_run(), code(Terms(ValueKind.AMOUNT, "CNY", amount=20000, use_cap=1, money_cap=20000))
    old = buy(run, person, price=128000, due=108000, voucher_code=spring)
    later = clock.now() + timedelta(hours=1)
    orders.expire_orders(now=later)
    clock.set_to(later)
    buy(run, make_person(), price=128000, due=108000, voucher_code=spring)
    newer = buy(run, person, price=128000)

    assert late_for(old, now=later) is Settlement.REFUND_DUE

    assert (old.state, newer.state, used(spring)) == ("expired", "awaiting_payment", (1, 20000))
    assert [event.kind for event in newer.events] == ["placed"]
    assert newer.hold.ended_at is None
