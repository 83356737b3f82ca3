from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.catalog.models import CourseProvider
from marketplace.enrolment.models import Enrolment, EnrolmentSource, Order
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.money import Money
from marketplace.funding import claims, subsidies, vouchers
from marketplace.funding.subsidy_rules import Rule
from marketplace.metrics import computation, indicators
from marketplace.metrics.computation import Scope
from marketplace.payments import ledger, posting_rules, postings
from marketplace.payments.models import LedgerEntry, LedgerTransaction
from marketplace.payments.posting_rules import Account
from tests.factories import make_course, make_organisation, make_person, make_run, make_staff
from tests.funding.made import funder_paid, make_programme, make_subsidy
from tests.funding.test_vouchers import codes, issue, use
from tests.payments.test_payments import paid, place


@pytest.fixture
def provider(app):
    return make_organisation()


@pytest.fixture
def order(provider, sandbox, now):
    """Paid: CNY 1,280 for a run that ends in 37 days."""
    found = place(make_run(make_course(provider)), now=now)
    paid(sandbox, found, now)
    return found


def own(account):
    return ledger.balances().get((account, "CNY"), 0)


def after(order):
    return order.lines[0].run.ends_at + timedelta(hours=1)


def give_back(order, minor, *, at):
    amount = Money(minor, "CNY")
    entries = posting_rules.given_back(amount, out_of=Account.STRIPE_BALANCE)
    with transaction():
        ledger.post(f"refund:test{at}", "refund", entries, order_id=order.id, occurred_at=at)


def test_a_posting_knows_its_run(order):
    assert db.session.query(LedgerTransaction.run_id).scalar() == order.lines[0].run_id


def test_nothing_is_earned_before_the_run_is_over(order):
    assert postings.earn_due(now=order.lines[0].run.ends_at - timedelta(seconds=1)) == 0
    assert own("unearned_revenue") == -128000


def test_a_run_that_is_over_is_earned_once(order, provider):
    later = after(order)
    clock.set_to(later)

    assert [postings.earn_due(now=later), postings.earn_due(now=later)] == [1, 0]
    assert own("unearned_revenue") == 0
    shares = {name: own(name) for name in ("tax_payable", "platform_fee", "provider_payable")}
    assert shares == {"tax_payable": -7245, "platform_fee": -12076, "provider_payable": -108679}
    [(owner, amount)] = ledger.balances_of("organisation_id", Account.PROVIDER_PAYABLE)
    assert (owner, amount.minor) == (provider.id, -108679)
    posted = db.session.query(LedgerTransaction).filter_by(kind="earned").one()
    assert (posted.occurred_at, posted.details) == (order.lines[0].run.ends_at, {"terms": 1})


def test_a_refund_after_the_end_takes_the_shares_back(order):
    later = after(order)
    postings.earn_due(now=later)
    give_back(order, 28000, at=later)
    postings.earn_due(now=later)
    give_back(order, 100000, at=later + timedelta(days=1))

    assert postings.earn_due(now=later + timedelta(days=1)) == 1
    assert set(ledger.balances().values()) == {0}


def test_a_share_is_taken_back_from_whom_it_was_owed_to(order, provider):
    later = after(order)
    postings.earn_due(now=later)
    with transaction():
        lead = db.session.query(CourseProvider).filter_by(organisation_id=provider.id).one()
        lead.organisation_id = make_organisation().id
    give_back(order, 128000, at=later)
    postings.earn_due(now=later)
    assert ledger.balances_of("organisation_id", Account.PROVIDER_PAYABLE) == []


def test_a_place_that_was_moved_is_earned_when_its_new_run_is_over(order):
    line = order.lines[0]
    later_run = make_run(starts_at=after(order) + timedelta(days=9), ends_at=after(order) + timedelta(days=10))
    with transaction():
        source = db.session.query(EnrolmentSource).filter_by(order_line_id=line.id).one()
        source.revoked_at = source.enrolment.ended_at = clock.now()
        new = add(Enrolment(run_id=later_run.id, person_id=order.person_id, enrolled_at=clock.now()))
        db.session.flush()
        add(EnrolmentSource(enrolment_id=new.id, order_line_id=line.id, granted_at=clock.now()))
    assert postings.earn_due(now=after(order)) == 0
    assert postings.earn(order.id, now=after(order)) is False

    assert postings.earn_due(now=later_run.ends_at) == 1
    [(owner, _amount)] = ledger.balances_of("organisation_id", Account.PROVIDER_PAYABLE)
    assert owner == later_run.course.providers[0].organisation_id


def test_a_cancelled_run_earns_nothing(order):
    order.lines[0].run.state = "cancelled"
    db.session.flush()

    assert postings.earn_due(now=after(order)) == 0


@pytest.mark.parametrize(("has_sponsor", "account"), [(True, "voucher_receivable"), (False, "voucher_cost")])
def test_what_a_code_pays_and_takes_back_is_posted_once(now, has_sponsor, account):
    officer, sponsor = make_staff("funding_officer"), make_organisation(kind="employer") if has_sponsor else None
    used = use(codes(issue(officer, sponsor_id=sponsor.id if sponsor else None))[0], make_person())
    assert [postings.post_facts(), postings.post_facts()] == [1, 0]
    assert own(account) == -own("unearned_voucher") == used.amount.minor > 0
    entry = db.session.query(LedgerEntry).filter_by(account=account).one()
    assert entry.organisation_id == (sponsor.id if sponsor else None)

    vouchers.give_back(used.order_line_id, now=now)
    assert postings.post_facts(since=now) == 1
    assert set(ledger.balances().values()) == {0}


def test_each_step_of_a_subsidy_is_posted_once(now):
    programme = make_programme(rule=Rule(percent=50))
    subsidy = make_subsidy(programme)
    assert [postings.post_facts(), postings.post_facts()] == [1, 0]
    assert own("subsidy_promised") == -own("unearned_subsidy") == 64000

    subsidies.earn(subsidy.id, {}, now=now)
    postings.post_facts()
    batch = claims.make_batch(programme.id, None, actor_id=make_staff("funding_officer").id, now=now)
    assert postings.post_facts() == 0
    [(owner, amount)] = ledger.balances_of("programme_id", Account.SUBSIDY_RECEIVABLE)
    assert (owner, amount.minor) == (programme.id, 64000)

    claims.mark_paid(batch.id, funder_paid(64000, "B1", now=now), actor_id=make_staff("funding_officer").id, now=now)
    postings.post_facts()
    held = {account: minor for (account, _), minor in ledger.balances().items() if minor}
    assert held == {"bank": 64000, "unearned_subsidy": -64000}


def test_paid_revenue_does_not_change_when_it_is_earned(order, now):
    later = after(order)
    clock.set_to(later)
    give_back(order, 28000, at=now)
    scope = Scope(now.date().replace(day=1), later.date().replace(day=1), as_of=later)
    before = computation.compute(indicators.PAID_REVENUE, scope)
    postings.earn_due(now=later)

    assert db.session.query(Order).count() == 1
    assert computation.compute(indicators.PAID_REVENUE, scope) == before
    assert before[()].value == 100000


def test_what_is_kept_of_a_place_is_earned_with_its_last_run_though_the_first_was_cancelled(order):
    line, later_run = order.lines[0], make_run(starts_at=after(order), ends_at=after(order) + timedelta(days=1))
    with transaction():
        source = db.session.query(EnrolmentSource).filter_by(order_line_id=line.id).one()
        source.revoked_at = source.enrolment.ended_at = clock.now()
        new = add(Enrolment(run_id=later_run.id, person_id=order.person_id, enrolled_at=clock.now()))
        add(EnrolmentSource(enrolment_id=new.id, order_line_id=line.id, granted_at=clock.now(), revoked_at=clock.now()))
        line.run.state = "cancelled"

    assert postings.earn_due(now=later_run.ends_at) == 1
    assert own("unearned_revenue") == 0


def test_a_step_that_moves_nothing_is_not_looked_at_for_ever(now, monkeypatch):
    monkeypatch.setattr(postings, "BATCH", 1)
    programme = make_programme(rule=Rule(percent=50))
    late = make_subsidy(programme)
    subsidies.earn(late.id, {}, now=now)
    subsidies.lapse(late.id, {}, now=late.claim_by)
    for _ in range(2):
        postings.post_facts()
    assert own("subsidy_receivable") == 64000

    make_subsidy(programme)
    postings.post_facts()
    assert own("subsidy_promised") == 64000
