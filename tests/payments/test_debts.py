"""What a learner owes for a subsidy that was not earned: paid at Stripe, transferred, written off, owed back."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from marketplace.enrolment import claims
from marketplace.enrolment.models import RefundDue
from marketplace.enrolment.subsidising import Agreed
from marketplace.foundation import bank_days, clock, ids, jobs
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import speaking
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from marketplace.funding import subsidies
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_rules import Consequence, Rule
from marketplace.payments import (
    attempts,
    debts,
    desk,
    fapiao,
    invoices,
    ledger,
    offline,
    paper,
    postings,
    reconciliation,
    refunds,
    stripe_matching,
    write_offs,
)
from marketplace.payments.fapiao import FapiaoWish
from marketplace.payments.models import Discrepancy, PaymentAttempt, Purpose, Refund
from marketplace.payments.offline import Transfer
from marketplace.payments.sandbox import refunds as dashboard
from marketplace.payments.waterfall_rules import Step, waterfall
from tests.buying import buy_as_quoted
from tests.factories import make_person, make_run, make_staff, sign_in
from tests.funding.made import make_programme
from tests.payments.test_fapiao import PDF
from tests.payments.test_invoices import WEN, paid_order, yijiang
from tests.payments.test_payments import BACK

OWES = Rule(percent=50, if_lapsed=Consequence.LEARNER_OWES, if_rejected=Consequence.LEARNER_OWES, owed_percent=100)


def yuan(amount):
    return Money(amount * 100, "CNY")


def indebted(*, now, price=128_000, is_booked=True):
    """A confirmed order half of which a programme was to pay, and does not: the learner owes 640 yuan."""
    programme = make_programme(rule=OWES)
    run, person = make_run(price_minor=price, is_subsidised=True), make_person(region="310000")
    given = {"programme": programme.public_id, "agreed": Agreed(1, is_given=True)}
    order = buy_as_quoted(run, person, now=now, locale="en", **given)
    attempt = transaction_paid(order, now=now)
    assert attempt.amount.minor == price // 2
    subsidy = db.session.query(Subsidy).filter_by(order_line_id=order.lines[0].id).one()
    subsidies.reject(subsidy.id, reason="no certificate", actor_id=make_staff("funding_officer").id, now=now)
    if is_booked:
        postings.post_facts()
    return order


def transaction_paid(order, *, now):
    """The order is paid by a bank transfer, so that no test needs Stripe for it."""
    officer = make_staff("finance_officer")
    transfer = Transfer(order.total, ids.public_id(), bank_days.day_of(now))
    payment = offline.enter(order.id, transfer, reason="bank", actor_id=officer.id, now=now)
    if payment.state == "proposed":
        offline.approve(payment.public_id, reason="seen", actor_id=make_staff("finance_officer").id, now=now)
    return db.session.get_one(PaymentAttempt, payment.attempt_id)


def left_of(order):
    debt = debts.find(order.public_id)
    return (debt.owed.minor, debt.paid.minor, debt.written_off.minor, debt.left.minor)


def receivable(order):
    return desk.open_file(order.public_id).balances.get("learner_receivable", 0)


def steps_of(order):
    file = desk.open_file(order.public_id)
    bars = waterfall(desk.sold_of(order), desk.moved_of(file))
    return {bar.step: bar.amount.minor for bar in bars if bar.amount.minor}


def start(order, *, now):
    attempts.start_payment(order.id, **BACK, now=now, purpose=Purpose.DEBT)
    return (
        db.session.query(PaymentAttempt)
        .filter_by(order_id=order.id, purpose="debt")
        .order_by(PaymentAttempt.id.desc())
        .first()
    )


def found_wrong():
    return [one.kind for one in db.session.query(Discrepancy).filter_by(resolved_at=None)]


def test_a_learner_pays_what_they_owe_at_stripe(client, sandbox, now):
    order = indebted(now=now)
    assert left_of(order) == (64_000, 0, 0, 64_000)
    assert steps_of(order)[Step.DEBT_LEFT] == 64_000
    sign_in(client, order.person)
    address = f"/orders/{order.public_id}"
    assert "You owe CN¥640.00 for the subsidy of this order" in client.get(f"{address}?lang=en").text
    assert "You owe CN¥640.00 for the subsidy" in client.get("/my?lang=en").text
    assert "See and pay it" in client.get("/my/funding?lang=en").text

    paid_at = client.post(f"{address}/debt").location
    again = client.post(f"{address}/debt").location
    assert paid_at == again
    attempt = db.session.query(PaymentAttempt).filter_by(purpose="debt").one()
    sandbox.pay(attempt)
    assert client.get(f"{address}/returned").location == address

    assert left_of(order) == (64_000, 64_000, 0, 0)
    assert (order.state, attempt.state) == ("confirmed", "paid")
    assert receivable(order) == 0
    assert (steps_of(order)[Step.DEBT_PAID], Step.DEBT_LEFT in steps_of(order)) == (64_000, False)
    assert "Nothing is owed for the subsidy any more" in client.get(f"{address}?lang=en").text
    assert "You owe" not in client.get("/my?lang=en").text
    assert db.session.query(OutgoingMail).filter_by(message="payments/debt_settled").count() == 1
    # It is no payment for the order: nothing of it is found unpaid, paid twice or to be refunded.
    later = now + timedelta(hours=1)
    clock.set_to(later)
    reconciliation.reconcile(now=later)
    stripe_matching.reconcile(now=later)
    assert found_wrong() == []
    with pytest.raises(Refused, match="nothing_owed"):
        attempts.start_payment(order.id, **BACK, now=later, purpose=Purpose.DEBT)


def test_only_the_learner_pays_it_here(client, now):
    order = indebted(now=now)
    sign_in(client, make_person())

    assert client.post(f"/orders/{order.public_id}/debt").status_code == 404


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("lapsed", "The subsidy lapsed"),
        ("rejected", "The programme rejected the subsidy"),
        ("revoked", "The funder took the subsidy back"),
        ("repaid", "The funder took the subsidy back"),
    ],
)
def test_staff_read_why_it_is_owed(client, officer, now, state, why):
    order = indebted(now=now)
    with transaction():
        db.session.query(Subsidy).one().state = state
    sign_in(client, officer)
    for address in (f"/staff/orders/{order.public_id}?lang=en", "/staff/debts?lang=en"):
        page = client.get(address).text
        assert why in page
        assert "not earned" not in page.replace("Not earned before the run is over", "")


def test_staff_enter_transfers_in_parts_and_write_the_rest_off(client, officer, now):
    order = indebted(now=now)
    sign_in(client, officer)
    address = f"/staff/orders/{order.public_id}"
    transfer = {"debt-amount": "400", "debt-bank_reference": "ICBC 7", "debt-received_on": f"{now:%Y-%m-%d}"}
    page = client.get(f"{address}?lang=en").text
    assert "The learner: What is owed for a subsidy is still to be paid." in page

    assert client.post(f"{address}/debt", data=transfer | {"debt-reason": "bank"}).location == address
    assert left_of(order) == (64_000, 40_000, 0, 24_000)
    assert order.public_id in client.get("/staff/debts").text
    too_much = client.post(f"{address}/write-off?lang=en", data={"write-off-amount": "241", "write-off-reason": "ill"})
    assert (too_much.status_code, "what is still owed" in too_much.text) == (422, True)
    done = client.post(f"{address}/write-off", data={"write-off-amount": "240", "write-off-reason": "ill"})
    assert done.location == address

    assert left_of(order) == (64_000, 40_000, 24_000, 0)
    assert (receivable(order), ledger.balances()["written_off", "CNY"]) == (0, 24_000)
    assert steps_of(order)[Step.WRITTEN_OFF] == 24_000
    assert [act.kind for act in desk.open_file(order.public_id).acts][-2:] == ["transfer_entered", "write_off_entered"]
    assert order.public_id not in client.get("/staff/debts").text


def test_above_the_limit_another_officer_decides(client, officer, now):
    order = indebted(now=now, price=1_200_000)
    row = write_offs.propose(order.id, yuan(6000), reason="left the country", actor_id=officer.id, now=now)
    assert (row.state, left_of(order)) == ("proposed", (600_000, 0, 0, 600_000))
    with pytest.raises(Refused, match="uq_write_off_waiting"):
        write_offs.propose(order.id, yuan(1), reason="again", actor_id=officer.id, now=now)
    with pytest.raises(Refused, match="four_eyes"):
        write_offs.approve(row.public_id, reason="yes", actor_id=officer.id, now=now)

    sign_in(client, make_staff("finance_officer"))
    assert "left the country" in client.get("/staff/queues").text
    note = {"reason": "seen", "act": "approve", "order": order.public_id}
    assert client.post(f"/staff/queues/write_off/{row.public_id}", data=note).location.endswith(order.public_id)

    assert (row.state, left_of(order)) == ("settled", (600_000, 0, 600_000, 0))
    with pytest.raises(Refused, match="decided_already"):
        write_offs.decline(row.public_id, reason="no", actor_id=make_staff("finance_officer").id, now=now)


def test_pieces_of_a_debt_count_together_against_the_limit(officer, now):
    order = indebted(now=now, price=1_200_000)

    pieces = [
        write_offs.propose(order.id, yuan(amount), reason="ill", actor_id=officer.id, now=now).state
        for amount in (4000, 1000, 1)
    ]
    assert (pieces, left_of(order)) == (["settled", "settled", "proposed"], (600_000, 0, 500_000, 100_000))


def test_transfers_in_pieces_count_together_against_the_limit(officer, now):
    order = indebted(now=now, price=1_200_000)

    def enter(amount):
        transfer = Transfer(yuan(amount), f"piece {amount}", bank_days.day_of(now), Purpose.DEBT)
        return offline.enter(order.id, transfer, reason="bank", actor_id=officer.id, now=now).state

    # The transfer that paid the order itself is another matter.
    assert [enter(amount) for amount in (4000, 1000, 1)] == ["settled", "settled", "proposed"]
    assert left_of(order) == (600_000, 500_000, 0, 100_000)


def test_a_write_off_is_turned_down_or_overtaken(officer, now):
    order, second = indebted(now=now, price=1_200_000), make_staff("finance_officer")
    row = write_offs.propose(order.id, yuan(6000), reason="ill", actor_id=officer.id, now=now)
    transfer = Transfer(yuan(100), "A", bank_days.day_of(now), Purpose.DEBT)
    offline.enter(order.id, transfer, reason="bank", actor_id=officer.id, now=now)
    with pytest.raises(Refused, match="less_owed"):
        write_offs.approve(row.public_id, reason="yes", actor_id=second.id, now=now)
    write_offs.decline(row.public_id, reason="a part is paid", actor_id=second.id, now=now)

    assert (row.state, left_of(order)) == ("declined", (600_000, 10_000, 0, 590_000))
    with pytest.raises(Invalid, match="wrong_amount"):
        offline.enter(
            order.id,
            Transfer(yuan(5901), "B", bank_days.day_of(now), Purpose.DEBT),
            reason="bank",
            actor_id=officer.id,
            now=now,
        )


def test_money_beyond_the_debt_goes_back(sandbox, officer, now):
    order = indebted(now=now)
    attempt = start(order, now=now)
    write_offs.propose(order.id, yuan(340), reason="ill", actor_id=officer.id, now=now)
    # The page over the old amount is closed by the next sweep, but it was paid before that.
    sandbox.pay(attempt)
    with pytest.raises(Refused, match="amount_changed"):
        attempts.start_payment(order.id, **BACK, now=now, purpose=Purpose.DEBT)
    attempts.settle_returned(order.id, now=now)
    jobs.run_pending()

    assert left_of(order) == (64_000, 30_000, 34_000, 0)
    [fact] = db.session.query(RefundDue).filter_by(attempt_public_id=attempt.public_id)
    assert (fact.amount_minor, fact.reason, fact.payer) == (34_000, "debt_gone", "learner")
    assert db.session.query(Refund).one().state == "succeeded"
    assert (receivable(order), ledger.balances().get(("refunds_payable", "CNY"), 0)) == (0, 0)
    assert steps_of(order)[Step.DEBT_PAID] == 30_000
    # The price is untouched: all of it can still go back.
    assert refunds.left(order.id) == order.total


def test_the_page_of_another_amount_is_closed(sandbox, officer, now):
    order = indebted(now=now)
    attempt = start(order, now=now)
    assert attempts.close_dead_sessions(now=now) == 0
    write_offs.propose(order.id, yuan(340), reason="ill", actor_id=officer.id, now=now)

    assert attempts.close_dead_sessions(now=now) == 1
    assert attempt.state == "expired"
    assert start(order, now=now).amount == yuan(300)


def test_a_declined_payment_leaves_the_order_as_it_is(sandbox, now):
    order = indebted(now=now)
    attempt = start(order, now=now)
    sandbox.delay(attempt)
    attempts.settle_returned(order.id, now=now)
    assert (attempt.state, order.state) == ("processing", "confirmed")
    sandbox.settle(attempt, failure="payment_method_provider_decline")
    attempts.settle_returned(order.id, now=now)

    assert (attempt.state, order.state, left_of(order)[3]) == ("failed", "confirmed", 64_000)


def test_what_was_paid_for_a_subsidy_let_go_after_all_is_owed_back(sandbox, officer, now):
    order = indebted(now=now)
    write_offs.propose(order.id, yuan(40), reason="ill", actor_id=officer.id, now=now)
    attempt = start(order, now=now)
    sandbox.pay(attempt)
    attempts.settle_returned(order.id, now=now)
    with transaction():
        claims.let_go(order.lines[0].id, "cancelled", now=now)
    postings.post_facts()

    assert debts.return_overpaid(now=now) == 1
    assert debts.return_overpaid(now=now) == 0
    jobs.run_pending()
    assert left_of(order) == (0, 0, 0, 0) if debts.find(order.public_id) else True
    assert (receivable(order), ledger.balances().get(("written_off", "CNY"), 0)) == (0, 0)
    assert ledger.balances().get(("refunds_payable", "CNY"), 0) == 0
    assert db.session.query(Refund).one().amount == yuan(600)


def test_a_refund_made_in_the_dashboard_opens_the_debt_again(sandbox, now):
    order = indebted(now=now)
    attempt = start(order, now=now)
    sandbox.pay(attempt)
    attempts.settle_returned(order.id, now=now)
    made = dashboard.create(sandbox.store, {"payment_intent": attempt.payment_intent_id, "amount": "24000"})
    assert refunds.sync(made["id"], now=now) is True

    assert left_of(order) == (64_000, 40_000, 0, 24_000)
    assert receivable(order) == 24_000
    assert refunds.left(order.id) == order.total
    later = now + timedelta(hours=1)
    clock.set_to(later)
    reconciliation.reconcile(now=later)
    assert found_wrong() == []


def test_a_debt_that_is_not_booked_yet_is_booked_before_it_is_held_against_the_ledger(now):
    """Nothing ran for an hour, and the reconciliation is the first to run."""
    indebted(now=now, is_booked=False)
    later = now + timedelta(hours=1)
    clock.set_to(later)
    reconciliation.reconcile(now=later)

    assert found_wrong() == []


def test_a_ledger_that_knows_another_debt_is_found(now):
    order = indebted(now=now)
    with transaction():
        entries = {"bank": yuan(1), "learner_receivable": -yuan(1)}
        ledger.post("by:hand", "payment", entries, order_id=order.id, occurred_at=now)
    later = now + timedelta(hours=1)
    clock.set_to(later)
    reconciliation.reconcile(now=later)

    assert found_wrong() == ["debt_differs"]


def test_a_debt_that_was_paid_has_an_invoice_of_its_own_kind(app, client, sandbox, officer, now):
    yijiang()
    order = indebted(now=now)
    transfer = Transfer(yuan(240), "first", bank_days.day_of(now), Purpose.DEBT)
    sign_in(client, order.person)
    path = f"/orders/{order.public_id}"
    assert "Invoice and fapiao for what you paid later" not in client.get(f"{path}?lang=en").text
    with pytest.raises(Refused, match="nothing_to_invoice"):
        invoices.issue(order.id, WEN, actor_id=None, now=now, purpose=Purpose.DEBT)
    price = invoices.issue(order.id, WEN, actor_id=None, now=now)
    offline.enter(order.id, transfer, reason="bank", actor_id=officer.id, now=now)
    assert f'href="{path}/debt/invoice"' in client.get(f"{path}?lang=en").text
    answer = client.post(f"{path}/debt/invoice", data={"kind": "personal", "title": "林文"})
    assert (answer.status_code, answer.location) == (303, f"{path}/debt/invoice")
    attempt = start(order, now=now)
    sandbox.pay(attempt)
    attempts.settle_returned(order.id, now=now)
    # More is paid by now: the same words make it out over all of it.
    invoices.issue(order.id, WEN, actor_id=None, now=now, purpose=Purpose.DEBT)
    invoices.issue(order.id, WEN, actor_id=None, now=now, purpose=Purpose.DEBT)

    year = bank_days.day_of(now).year
    papers = [(one.printed_number, one.total_minor) for one in invoices.list_of(order.id, Purpose.DEBT)]
    assert papers == [
        (f"YJD-{year}-000001", 24_000),
        (f"YJC-{year}-000001", 24_000),
        (f"YJD-{year}-000002", 64_000),
    ]
    assert invoices.list_of(order.id) == [price]
    page = client.get(f"{path}/debt/invoice?lang=en").text
    assert ("Supplementary invoice" in page, price.printed_number in page) == (True, False)
    with app.test_request_context(), speaking("zh"):
        data = paper.data_of(invoices.find_standing(order.id, Purpose.DEBT))
    assert (data["title"], data["total"]["value"]) == ("补缴账单", "¥640.00")
    assert data["notes"][0].startswith("用于补足")
    address = re.search(r"/invoices/\w+\.pdf\?language=en", page)[0]
    assert client.get(address).data.startswith(b"%PDF-")


def test_what_went_back_of_a_debt_is_credited_and_its_fapiao_reversed(client, sandbox, officer, now):
    yijiang()
    order = indebted(now=now)
    attempt = start(order, now=now)
    sandbox.pay(attempt)
    attempts.settle_returned(order.id, now=now)
    made = invoices.issue(order.id, WEN, actor_id=None, now=now, purpose=Purpose.DEBT)
    sign_in(client, order.person)
    wish = {"kind": "personal", "title": "林文", "email": "w@example.com"}
    assert client.post(f"/orders/{order.public_id}/debt/fapiao", data=wish).status_code == 303
    # The fapiao for the order is a request of its own.
    fapiao.request(order.id, FapiaoWish("personal", "林文", None, "w@example.com"), now=now)
    asked = fapiao.find_standing(order.id, Purpose.DEBT)
    assert asked.amount == yuan(640)
    given = {"number": "26312000000012345678", "issued_on": bank_days.day_of(now), "file": PDF}
    fapiao.issue(asked.public_id, **given, actor_id=officer.id, now=now)
    later = now + timedelta(minutes=1)
    clock.set_to(later)
    with transaction():
        claims.let_go(order.lines[0].id, "cancelled", now=later)
    postings.post_facts()
    debts.return_overpaid(now=later)
    jobs.run_pending()

    refund = db.session.query(Refund).one()
    assert (refund.state, asked.state, fapiao.find_standing(order.id).state) == (
        "requested",
        "reversal_needed",
        "requested",
    )
    fapiao.reverse(asked.public_id, number="26312000000099999999", file=PDF, actor_id=officer.id, now=later)
    jobs.run_pending()
    db.session.expire_all()
    assert refund.state == "succeeded"
    assert invoices.credit_refunds(now=later) == 1
    assert invoices.credit_left(made).is_zero
    assert fapiao.find_standing(order.id).amount == order.total


def test_there_are_no_papers_of_a_debt_that_never_was(client, now):
    order = paid_order(now=now)
    sign_in(client, order.person)

    assert client.get(f"/orders/{order.public_id}/debt/invoice").status_code == 404


def paid_twice(sandbox, officer, *, now):
    """A debt that was paid by a bank transfer and then once more at Stripe: all of the second payment is owed back."""
    order = indebted(now=now)
    attempt = start(order, now=now)
    transfer = Transfer(yuan(640), "ICBC-DEBT", bank_days.day_of(now), Purpose.DEBT)
    offline.enter(order.id, transfer, reason="bank", actor_id=officer.id, now=now)
    sandbox.pay(attempt)
    attempts.settle_returned(order.id, now=now)
    assert owed_back() == 64_000
    return order, attempt


def owed_back():
    return -ledger.balances().get(("refunds_payable", "CNY"), 0)


def refund_outside(sandbox, attempt, minor, *, now):
    made = dashboard.create(sandbox.store, {"payment_intent": attempt.payment_intent_id, "amount": str(minor)})
    assert refunds.sync(made["id"], now=now) is True


def test_what_is_owed_back_and_went_back_outside_opens_no_debt(sandbox, officer, now):
    order, attempt = paid_twice(sandbox, officer, now=now)
    refund_outside(sandbox, attempt, 64_000, now=now)
    jobs.run_pending()

    # Our own refund came too late.
    assert sorted(one.state for one in db.session.query(Refund)) == ["failed", "succeeded"]
    assert (left_of(order), receivable(order), owed_back()) == ((64_000, 64_000, 0, 0), 0, 0)
    clock.set_to(now + timedelta(hours=1))
    reconciliation.reconcile(now=clock.now())
    assert (found_wrong(), debts.return_overpaid(now=now)) == ([], 0)


def test_what_is_left_of_money_owed_back_is_sent_again(sandbox, officer, now):
    order, attempt = paid_twice(sandbox, officer, now=now)
    refund_outside(sandbox, attempt, 20_000, now=now)
    jobs.run_pending()
    assert (left_of(order), receivable(order), owed_back()) == ((64_000, 64_000, 0, 0), 0, 44_000)
    # What waits for staff is not taken for money that was paid for nothing.
    assert debts.return_overpaid(now=now) == 0
    clock.set_to(now + timedelta(hours=1))
    reconciliation.reconcile(now=clock.now())
    assert found_wrong() == ["refund_failed"]

    failed = db.session.query(Refund).filter_by(state="failed").one()
    with transaction():
        again = refunds.repeat(failed, actor_id=officer.id, now=now)
    assert again.amount.minor == 44_000
    jobs.run_pending()
    reconciliation.reconcile(now=clock.now())

    assert (left_of(order), receivable(order), owed_back()) == ((64_000, 64_000, 0, 0), 0, 0)
    assert found_wrong() == []


def test_what_went_back_outside_beyond_what_was_owed_opens_the_debt(sandbox, officer, now):
    order = indebted(now=now)
    attempt = start(order, now=now)
    write_offs.propose(order.id, yuan(140), reason="ill", actor_id=officer.id, now=now)
    sandbox.pay(attempt)
    attempts.settle_returned(order.id, now=now)
    assert (left_of(order), owed_back()) == ((64_000, 50_000, 14_000, 0), 14_000)

    # More than could be left for our own refund: it fails.
    refund_outside(sandbox, attempt, 55_000, now=now)
    jobs.run_pending()
    assert (left_of(order), receivable(order), owed_back()) == ((64_000, 9_000, 14_000, 41_000), 41_000, 0)
    reconciliation.reconcile(now=now)
    clock.set_to(now + timedelta(hours=1))
    reconciliation.reconcile(now=clock.now())
    assert found_wrong() == []


def test_what_went_back_outside_before_anything_was_owed_back_pays_nothing_of_that(sandbox, officer, now):
    order = indebted(now=now)
    attempt = start(order, now=now)
    sandbox.pay(attempt)
    attempts.settle_returned(order.id, now=now)
    refund_outside(sandbox, attempt, 20_000, now=now)
    assert (left_of(order), receivable(order)) == ((64_000, 44_000, 0, 20_000), 20_000)

    # Only then nothing is owed any more: what is still here goes back, and that is all.
    with transaction():
        claims.let_go(order.lines[0].id, "refunded", now=now)
    postings.post_facts()
    while debts.return_overpaid(now=now):
        pass
    assert owed_back() == 44_000
    jobs.run_pending()

    assert [(one.amount_minor, one.state) for one in db.session.query(Refund).order_by(Refund.id)] == [
        (20_000, "succeeded"),
        (44_000, "succeeded"),
    ]
    assert (debts.find(order.public_id), receivable(order), owed_back()) == (None, 0, 0)
    clock.set_to(now + timedelta(hours=1))
    reconciliation.reconcile(now=clock.now())
    assert found_wrong() == []
