"""One order with everything on it, followed through the books to the last fen."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import speaking
from marketplace.funding import claims, subsidies
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_rules import Rule
from marketplace.payments import desk, desk_pages, ledger, postings, refunds, stories
from marketplace.payments.sandbox import balance
from tests.enrolment.test_prices import buy, code, rule
from tests.enrolment.test_subsidising import AGREED
from tests.factories import make_course, make_organisation, make_person, make_run, make_staff
from tests.funding.made import funder_paid, make_programme
from tests.payments.test_payments import paid
from tests.payments.test_stripe_matching import reconcile


@pytest.fixture
def order(sandbox, now):
    """CNY 1,280 less 20 per cent; a programme pays half of it, a code 200 of the rest, the learner 312."""
    run = make_run(make_course(make_organisation(name_en="River University")))
    rule(run)
    programme = make_programme(rule=Rule(percent=50), name_en="Bureau")
    made = buy(
        run, make_person(), price=102400, due=31200, programme=programme.public_id, agreed=AGREED, voucher_code=code()
    )
    paid(sandbox, made, now)
    postings.post_facts()
    return made


def bars(app, order):
    file = desk.open_file(order.public_id)
    with app.test_request_context(), speaking("en"):
        page = desk_pages.file_page(file, now=clock.now())
    return {one.bar.step.value: one.bar.amount.minor for one in page.bars}, page.next.action.value


def held():
    return {account: minor for (account, _), minor in ledger.balances().items() if minor}


def test_before_the_run_is_over_everything_is_owed_to_the_place(app, order):
    found, action = bars(app, order)

    assert action == "take_part"
    assert found == {
        "list_price": 128000,
        "price_rules": -25600,
        "price": 102400,
        "subsidy": -51200,
        "voucher": -20000,
        "due": 31200,
        "paid": 31200,
        "funded": 71200,
        "kept": 102400,
        "unearned": -102400,
        "provider": 0,
    }
    with app.test_request_context(), speaking("en"):
        assert [sentence.replace("CN¥", "¥") for sentence in stories.story_of(order)][:3] == [
            "The list price is ¥1,280.00; by the rules of this run it is ¥1,024.00.",
            "Bureau pays ¥512.00 of it, if you meet the conditions.",
            "Your code pays ¥200.00 of it.",
        ]


def test_to_the_last_fen(app, order, sandbox, now):
    subsidy = db.session.query(Subsidy).one()
    officer = make_staff("funding_officer").id
    reconcile()
    later = order.lines[0].run.ends_at + timedelta(hours=2)
    clock.set_to(later)
    subsidies.earn(subsidy.id, {}, now=later)
    batch = claims.make_batch(subsidy.programme_id, None, actor_id=officer, now=later)
    claims.mark_paid(batch.id, funder_paid(51200, "B1", now=later), actor_id=officer, now=later)
    postings.post_facts()
    assert bars(app, order)[1] == "earn"
    assert postings.earn_due(now=later) == 1

    fee, tax = balance.fee_of(31200), 5796
    platform = 9660
    assert held() == {
        "stripe_balance": 31200 - fee,
        "processor_fee": fee,
        "bank": 51200,
        "voucher_cost": 20000,
        "tax_payable": -tax,
        "platform_fee": -platform,
        "provider_payable": -(102400 - tax - platform),
    }
    found, action = bars(app, order)
    assert (found["kept"], found["provider"], action) == (102400, 102400 - tax - platform, "nothing")


def test_a_refund_of_all_leaves_only_the_fee(app, order, sandbox, now):
    reconcile()
    at = clock.now()
    officer = make_staff("finance_officer")
    refunds.request_refund(order.id, refunds.left(order.id), reason="x", ends_place=True, actor_id=officer.id, now=at)
    jobs.run_pending()
    postings.post_facts()

    fee = balance.fee_of(31200)
    assert held() == {"stripe_balance": -fee, "processor_fee": fee}
    found, action = bars(app, order)
    assert (found["refunded"], found["kept"], action) == (-31200, 0, "nothing")


def test_only_a_confirmed_order_has_a_confirmation(order, now):
    order.state = "cancelled"
    with pytest.raises(Refused, match="not_confirmed"):
        desk.resend_confirmation(order.id, reason="x", actor_id=make_staff("finance_officer").id, now=now)
