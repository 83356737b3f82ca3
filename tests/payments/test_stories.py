from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.enrolment import bills, changes, orders, places
from marketplace.enrolment.models import Order, OrderLine
from marketplace.foundation import jobs
from marketplace.foundation.database import db
from marketplace.foundation.formats import format_date
from marketplace.foundation.i18n import speaking
from marketplace.foundation.money import Money
from marketplace.funding import subsidies, vouchers
from marketplace.funding.subsidy_rules import Rule
from marketplace.payments import refunds, stories
from tests.factories import make_person, make_run, make_staff, sign_in
from tests.funding.made import make_programme, make_subsidy
from tests.payments.test_debts import transaction_paid
from tests.payments.test_payments import paid, place


def told(app, order, language="en"):
    with app.test_request_context(), speaking(language):
        return stories.story_of(order)


def test_a_price_that_is_paid_and_partly_given_back(app, sandbox, now):
    order = place(make_run(), now=now)
    assert told(app, order) == ["The price is CN¥1,280.00.", "You have still to pay CN¥1,280.00."]
    paid(sandbox, order, now)
    officer = make_staff("finance_officer")
    refunds.request_refund(order.id, Money(28000, "CNY"), reason="x", ends_place=False, actor_id=officer.id, now=now)
    assert told(app, order)[-1] == "CN¥280.00 is on its way back to you."

    jobs.run_pending()
    with app.test_request_context(), speaking("zh"):
        day = format_date(now, "long")
    assert told(app, order, "zh") == [
        "价格为 ¥1,280.00。",
        f"您于{day}支付了 ¥1,280.00。",
        f"¥280.00 已于{day}退还给您。",
    ]


def test_an_order_for_a_dearer_date_is_told_as_the_difference_it_is(app, now):
    run = make_run()
    dearer = make_run(run.course, price_minor=150_000)
    first = place(run, now=now)
    transaction_paid(first, now=now)
    seat = places.find_of_order(first.id)
    shown = Money(22_000, "CNY")
    changes.defer(seat.id, dearer.id, shown=shown, actor_id=first.person_id, locale="en", now=now)
    order = db.session.query(Order).order_by(Order.id.desc()).first()

    said = f"Your new date costs CN¥1,500.00: CN¥220.00 more than your place so far, by order {first.public_id}."
    assert told(app, order) == [said, "You have still to pay CN¥220.00."]
    with app.test_request_context(), speaking("en"):
        assert [line.label for line in bills.of_order(order)] == ["Difference to the dearer date", "You pay"]


def test_nothing_was_charged_for_an_order_that_ended(app, now):
    order = place(make_run(), now=now)
    orders.cancel_order(order.id, actor_id=None, now=now)
    assert told(app, order)[-1] == "Nothing was charged."

    assert told(app, place(make_run(price_minor=0), now=now)) == ["The place is free."]


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ("reserve", "Bureau's programme pays CN¥640.00 of it, if you meet the conditions."),
        ("earn", "Bureau's programme pays CN¥640.00 of it."),
        ("lapse", "Bureau's programme does not pay the CN¥640.00; you owe CN¥640.00 of it."),
        ("reject", "Bureau's programme does not pay the CN¥640.00; you owe nothing for it."),
        ("release", "The CN¥640.00 of Bureau's programme went back to it."),
    ],
)
def test_what_the_programme_does_is_told_as_it_stands(app, now, step, sentence):
    subsidy = make_subsidy(make_programme(name_en="Bureau's programme", rule=Rule(percent=50)))
    officer = make_staff("funding_officer")
    verbs = {
        "reserve": lambda: None,
        "earn": lambda: subsidies.earn(subsidy.id, {}, now=now),
        "lapse": lambda: subsidies.lapse(subsidy.id, {}, now=now + timedelta(days=400)),
        "reject": lambda: subsidies.reject(subsidy.id, reason="x", actor_id=officer.id, now=now),
        "release": lambda: subsidies.release(subsidy.order_line_id, "cancelled", now=now),
    }
    verbs[step]()
    order = db.session.query(Order).join(OrderLine).filter(OrderLine.id == subsidy.order_line_id).one()

    assert told(app, order)[:2] == ["The price is CN¥1,280.00.", sentence]


def test_what_a_code_paid_and_took_back_is_told(app, now):
    from tests.funding.test_vouchers import codes, issue, use  # noqa: PLC0415 - beside its only use

    used = use(codes(issue(make_staff("funding_officer")))[0], make_person())
    line = db.session.get_one(OrderLine, used.order_line_id)
    # The line is frozen; a code redeemed by hand of this test is told as it stands.
    assert stories._voucher(line) == []
    vouchers.give_back(line.id, now=now)
    assert line.voucher_minor == 0


def test_the_buyer_reads_it_on_the_page_of_the_order(client, now):
    order = place(make_run(), now=now)
    sign_in(client, order.person)

    page = client.get(f"/orders/{order.public_id}?lang=en").text
    assert "Your money in words" in page
    assert "You have still to pay" in page
