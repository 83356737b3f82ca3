from __future__ import annotations

import pytest

from marketplace.enrolment import bills, orders
from marketplace.foundation import clock, ids
from marketplace.foundation.i18n import speaking
from marketplace.foundation.money import Money
from tests.buying import place_order
from tests.factories import make_person, make_run

PRICE = Money(128000, "CNY")


def placed(price=PRICE):
    run, person = make_run(price_minor=price.minor), make_person()
    return place_order(run.id, person.id, shown_price=price, request_key=ids.public_id(), locale="en", now=clock.now())


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_last_line_says_whether_it_is_paid(app, language):
    waiting, cancelled, free = placed(), placed(), placed(Money(0, "CNY"))
    orders.cancel_order(cancelled.id, actor_id=None, now=clock.now())

    with app.test_request_context(), speaking(language):
        said = [
            (bills.of_order(order)[-1].label, bills.of_order(order)[-1].amount) for order in (waiting, cancelled, free)
        ]

    words = {"en": ["You pay", "Was to be paid", "You paid"], "zh": ["您支付", "原应支付", "您已支付"]}
    assert said == list(zip(words[language], [PRICE, PRICE, Money(0, "CNY")], strict=True))
