from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest

from marketplace.foundation import bank_days, clock
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.money import Money
from marketplace.funding import vouchers
from marketplace.payments import discrepancies, ledger, postings, queues, sponsors, unmatched
from marketplace.payments.desk_models import StaffAct
from marketplace.payments.models import LedgerTransaction
from marketplace.payments.posting_rules import Account
from marketplace.payments.sponsor_models import SponsorPayment
from marketplace.payments.sponsors import Paid
from marketplace.payments.unmatched_models import AnswerKind, Said
from tests.factories import make_organisation, make_person, make_staff, sign_in
from tests.funding.test_vouchers import codes, issue, use
from tests.payments.test_desk_views import treat

DAY = timedelta(days=1)


@pytest.fixture
def sponsor(now):
    return make_organisation(kind="employer")


@pytest.fixture
def used(sponsor):
    """A voucher of the sponsor that has paid for a line, and is posted."""
    redemption = use(codes(issue(make_staff("funding_officer"), sponsor_id=sponsor.id))[0], make_person())
    postings.post_facts()
    return redemption


def pay(sponsor, officer, now, *, minor, reference="ICBC 1", days=3):
    paid = Paid(sponsor.id, Money(minor, "CNY"), reference, bank_days.day_of(now - days * DAY))
    return sponsors.enter(paid, reason="statement of March", actor_id=officer.id, now=now)


def owed():
    return [(one.id, amount.minor) for one, amount in sponsors.list_owed()]


def test_what_a_sponsor_pays_lowers_what_it_owes_on_the_banks_day(officer, sponsor, used, now):
    minor = used.amount.minor
    assert owed() == [(sponsor.id, minor)]
    pay(sponsor, officer, now, minor=minor - 100)

    assert owed() == [(sponsor.id, 100)]
    posted = db.session.query(LedgerTransaction).filter_by(kind="sponsor_paid").one()
    noon = datetime.combine(bank_days.day_of(now - 3 * DAY), time(12), bank_days.ZONE)
    assert (posted.occurred_at, posted.recorded_at) == (noon, now)
    assert ledger.balances()["bank", "CNY"] == minor - 100
    [act] = db.session.query(StaffAct)
    assert (act.kind, act.reason, act.person_id) == ("sponsor_payment_entered", "statement of March", officer.id)
    pay(sponsor, officer, now, minor=100, reference="rest")
    assert owed() == []


def test_what_goes_back_to_a_voucher_that_was_paid_is_paid_ahead(officer, sponsor, used, now):
    pay(sponsor, officer, now, minor=used.amount.minor)
    vouchers.give_back(used.order_line_id, now=now)
    postings.post_facts(since=now)

    assert owed() == [(sponsor.id, -used.amount.minor)]
    assert ledger.balances_of("organisation_id", Account.VOUCHER_RECEIVABLE)[0][0] == sponsor.id


def test_above_the_limit_pieces_too_a_second_officer_agrees(officer, sponsor, used, now):
    assert pay(sponsor, officer, now, minor=500000).state == "settled"
    piece = pay(sponsor, officer, now, minor=1, reference="piece")
    assert (piece.state, queues.counts().sponsor_payments) == ("proposed", 1)
    with pytest.raises(Refused, match="four_eyes"):
        sponsors.approve(piece.public_id, reason="x", actor_id=officer.id, now=now)
    second = make_staff("finance_officer")
    sponsors.approve(piece.public_id, reason="seen", actor_id=second.id, now=now)
    assert ledger.balances()["bank", "CNY"] == 500001

    declined = pay(sponsor, officer, now, minor=600000, reference="large")
    sponsors.decline(declined.public_id, reason="not there", actor_id=second.id, now=now)
    assert (declined.state, ledger.balances()["bank", "CNY"]) == ("declined", 500001)
    assert pay(sponsor, officer, now + 31 * DAY, minor=1, reference="large").state == "settled"


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"minor": 0}, "amount"), ({"reference": " "}, "bank_reference"), ({"days": -1}, "received_on")],
)
def test_what_is_no_payment_is_refused(officer, sponsor, used, now, changes, field):
    with pytest.raises(Invalid) as refused:
        pay(sponsor, officer, now, **{"minor": 100} | changes)
    assert (list(refused.value.fields), db.session.query(SponsorPayment).count()) == ([field], 0)


def test_a_transfer_is_one_thing(officer, sponsor, used, now):
    received = unmatched.Received(Money(100, "CNY"), "A 1", bank_days.day_of(now), "x")
    unmatched.record(received, reason="x", actor_id=officer.id, now=now)
    with pytest.raises(Refused, match="recorded"):
        pay(sponsor, officer, now, minor=100, reference="a1")
    pay(sponsor, officer, now, minor=100, reference="A 2")
    with pytest.raises(Refused, match="uq_sponsor_payment_bank_reference"):
        pay(sponsor, officer, now, minor=100, reference="a2")
    with pytest.raises(Refused, match="entered_already"):
        unmatched.record(
            unmatched.Received(Money(100, "CNY"), "A 2", bank_days.day_of(now), "x"),
            reason="x",
            actor_id=officer.id,
            now=now,
        )


def test_who_sponsors_nothing_pays_nothing(officer, used, now):
    with pytest.raises(NotFound):
        pay(make_organisation(kind="employer"), officer, now, minor=100)


def test_the_page_lists_what_is_owed_and_takes_a_payment(client, officer, sponsor, used, now):
    officer.locale = "en"
    sign_in(client, officer)
    address = "/staff/sponsors?lang=en"
    assert "Owed" in client.get(address).text
    data = {
        "sponsor": sponsor.public_id,
        "amount": "6000",
        "currency": "CNY",
        "bank_reference": "ICBC 9",
        "received_on": bank_days.day_of(clock.now()).isoformat(),
        "reason": "statement",
    }
    for wrong in ({"sponsor": "x"}, {"amount": "x"}, {"received_on": ""}, {"reason": ""}):
        assert client.post(address, data=data | wrong).status_code == 422
    assert client.post(address, data=data).status_code == 303
    assert "Waits for a second officer" in client.get(address).text
    [payment] = db.session.query(SponsorPayment)
    assert "Payments of sponsors to approve" in client.get("/staff/queues?lang=en").text
    assert "you entered it" in treat(client, "sponsor_payment", payment.public_id, "approve").text

    sign_in(client, make_staff("finance_officer", locale="en"))
    assert "Done, and noted." in treat(client, "sponsor_payment", payment.public_id, "approve").text
    assert "Paid ahead" in client.get(address).text
    sign_in(client, make_staff("reviewer"))
    assert client.get(address).status_code == 403


def test_a_page_of_payments_costs_the_same_however_many_there_are(officer, sponsor, used, now, queries):
    for number in range(60):
        pay(sponsor, officer, now, minor=1, reference=f"B {number}")
    db.session.expunge_all()
    queries.clear()
    rows, more = sponsors.list_payments()
    assert (len(rows), len({one.organisation_id for one in rows}), len(queries)) == (50, 1, 1)
    assert [one.bank_reference for one in sponsors.list_payments(before=more)[0]][-1] == "B0"


def answered(officer, sponsor, now, *, minor, reference="ICBC 7", sponsor_id=None):
    """Money of a sponsor that was recorded before anybody knew whose it was, and what an officer says of it."""
    received = unmatched.Received(Money(minor, "CNY"), reference, bank_days.day_of(now - 3 * DAY), "川锦旅行社")
    unmatched.record(received, reason="names nobody", actor_id=officer.id, now=now - DAY)
    [found] = discrepancies.list_open(queues.KINDS["unmatched"])
    said = Said(AnswerKind.SPONSOR, sponsor_id=sponsor_id or sponsor.id)
    return unmatched.answer(found.public_id, said, reason="they called", actor_id=officer.id, now=now)


def test_recorded_money_turns_out_to_be_a_sponsors(officer, sponsor, used, now):
    minor = used.amount.minor
    answer = answered(officer, sponsor, now, minor=minor)

    assert (answer.state, owed()) == ("settled", [])
    assert ledger.balances()["bank", "CNY"] == minor
    assert ledger.balances()["unmatched_money", "CNY"] == 0
    posted = db.session.query(LedgerTransaction).filter_by(kind="sponsor_paid").one()
    assert posted.occurred_at == datetime.combine(bank_days.day_of(now - 3 * DAY), time(12), bank_days.ZONE)
    [payment], _rest = sponsors.list_payments()
    assert (payment.bank_reference, payment.received_on) == ("ICBC7", bank_days.day_of(now - 3 * DAY))
    assert (payment.state, payment.proposed_by_id, payment.decided_by_id) == ("settled", officer.id, None)
    for reference in ("ICBC 7", "icbc7"):
        with pytest.raises(Refused, match="recorded"):
            pay(sponsor, officer, now, minor=1, reference=reference)
    assert queues.counts().in_all == 0


def test_recorded_money_of_a_sponsor_counts_with_its_other_pieces(officer, sponsor, used, now):
    assert pay(sponsor, officer, now, minor=500000).state == "settled"
    answer = answered(officer, sponsor, now, minor=1)
    assert (answer.state, sponsors.list_payments()[0][0].amount.minor) == ("proposed", 500000)
    with pytest.raises(Refused, match="recorded"):
        pay(sponsor, officer, now, minor=1, reference="ICBC 7")
    second = make_staff("finance_officer")
    unmatched.approve(answer.public_id, reason="seen", actor_id=second.id, now=now)
    payment = sponsors.list_payments()[0][0]
    assert (payment.amount.minor, payment.decided_by_id) == (1, second.id)

    again = answered(officer, sponsor, now + 31 * DAY, minor=500000, reference="next")
    assert again.state == "settled"
    piece = pay(sponsor, officer, now + 31 * DAY, minor=1, reference="piece")
    assert piece.state == "proposed"


def test_recorded_money_is_of_nobody_who_sponsors_nothing(officer, sponsor, used, now):
    with pytest.raises(NotFound):
        answered(officer, sponsor, now, minor=1, sponsor_id=make_organisation(kind="employer").id)


def test_the_page_of_recorded_money_offers_the_sponsors(client, officer, sponsor, used, now):
    officer.locale = "en"
    sign_in(client, officer)
    received = unmatched.Received(Money(700000, "CNY"), "A", bank_days.day_of(now), "川锦旅行社")
    unmatched.record(received, reason="x", actor_id=officer.id, now=now)
    [found] = discrepancies.list_open(queues.KINDS["unmatched"])
    address = f"/staff/unmatched/{found.public_id}?lang=en"
    assert sponsor.name_en in client.get(address).text

    data = {"kind": "sponsor", "reason": "they called"}
    wrong = client.post(address, data=data)
    assert (wrong.status_code, "Choose the sponsor." in wrong.text) == (422, True)
    assert client.post(address, data=data | {"sponsor": sponsor.public_id}).status_code == 303
    text = client.get(address).text
    assert "A sponsor of vouchers paid it" in text
    assert sponsor.name_en in text
