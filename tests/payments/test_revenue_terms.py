"""How a sale is shared: for all or for one provider, from a day to come; what was sold before keeps its own terms."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace.catalog.models import CourseProvider
from marketplace.foundation import bank_days, clock
from marketplace.foundation.database import add, db, one_row, transaction
from marketplace.foundation.errors import Invalid
from marketplace.foundation.money import Money
from marketplace.payments import desk, ledger, postings, revenue_terms
from marketplace.payments.desk_models import StaffAct
from marketplace.payments.posting_rules import WHOLE, Account, Terms, shares
from marketplace.payments.revenue_terms import NewTerms
from tests.factories import make_course, make_organisation, make_run, make_staff, sign_in
from tests.payments.test_debts import transaction_paid
from tests.payments.test_desk_views import statements
from tests.payments.test_payments import place


def set_terms(officer, *, now, days=1, organisation=None, platform_fee=2000, tax=600):
    first = bank_days.day_of(now) + timedelta(days=days)
    owner = organisation.id if organisation else None
    wanted = NewTerms(owner, platform_fee, tax, first)
    return revenue_terms.set_terms(wanted, reason="agreed", actor_id=officer.id, now=now)


def versions_at(organisation, *moments):
    return [revenue_terms.terms_at(moment, organisation.id).version for moment in moments]


def test_a_provider_has_terms_of_its_own_from_a_day_on(officer, now):
    provider, other = make_organisation(), make_organisation()
    own = set_terms(officer, now=now, organisation=provider, platform_fee=500)
    default = set_terms(officer, now=now, days=3)
    later = set_terms(officer, now=now, days=6, organisation=provider, platform_fee=0)

    moments = (now, own.valid_from, default.valid_from, later.valid_from)
    assert own.valid_from.astimezone(bank_days.ZONE).strftime("%H:%M") == "00:00"
    assert versions_at(provider, *moments) == [1, own.version, own.version, later.version]
    assert versions_at(other, *moments) == [1, 1, default.version, default.version]
    assert [row.version for row in revenue_terms.list_default()] == [default.version, 1]


def test_an_order_keeps_the_terms_of_its_day(officer, now):
    provider = make_organisation()
    run = make_run(make_course(provider), price_minor=106_000)
    before = place(run, now=now)
    transaction_paid(before, now=now)
    row = set_terms(officer, now=now, organisation=provider, platform_fee=2000)
    clock.set_to(row.valid_from)
    after = place(run, now=row.valid_from)
    transaction_paid(after, now=row.valid_from)

    postings.earn_due(now=run.ends_at)

    fees = [desk.open_file(order.public_id).balances["platform_fee"] for order in (before, after)]
    assert fees == [-10_000, -20_000]
    assert ledger.is_balanced()


def test_a_line_is_frozen_with_the_terms_and_the_tax_of_its_day(officer, now):
    provider = make_organisation()
    run = make_run(make_course(provider), price_minor=106_000)
    row = set_terms(officer, now=now, organisation=provider, platform_fee=0, tax=300)
    [first] = place(run, now=now).lines
    [second] = place(run, now=row.valid_from).lines

    assert [(line.revenue_terms_version, line.tax_minor) for line in (first, second)] == [
        (1, 6_000),
        (row.version, 3_087),
    ]


def test_a_course_that_changes_hands_is_shared_as_it_was_sold(officer, now):
    seller, heir = make_organisation(), make_organisation()
    run = make_run(make_course(seller), price_minor=106_000)
    own = set_terms(officer, now=now, organisation=seller, platform_fee=500)
    order = place(run, now=own.valid_from)
    transaction_paid(order, now=own.valid_from)
    with transaction():
        add(CourseProvider(course_id=run.course_id, organisation_id=heir.id, position=-1))

    postings.earn_due(now=run.ends_at)
    assert desk.open_file(order.public_id).balances["platform_fee"] == -5_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**15), st.integers(0, WHOLE))
def test_the_database_takes_the_tax_out_of_a_price_as_the_books_do(app, price, rate):
    tax = one_row("SELECT tax_inside(%(price)s, %(rate)s)", {"price": price, "rate": rate})[0]

    booked = shares(Money(price, "CNY"), Terms(1, platform_fee=1000, tax=rate))[Account.TAX_PAYABLE]
    assert tax == booked.minor


@pytest.mark.parametrize(
    ("change", "code"), [({"days": 0}, "not_to_come"), ({"tax": 10_001}, "shares"), ({"platform_fee": -1}, "shares")]
)
def test_terms_never_reach_back_nor_beyond_the_whole(officer, now, change, code):
    with pytest.raises(Invalid, match=code):
        set_terms(officer, now=now, **change)
    assert revenue_terms.terms_at(now + timedelta(days=9)).version == 1


def test_the_list_of_versions_says_where_each_stands_in_one_statement(officer, now):
    provider = make_organisation()
    for organisation, days in ((None, 1), (None, 1), (provider, 2), (provider, 9)):
        set_terms(officer, now=now, organisation=organisation, days=days)
    then = now + timedelta(days=3)
    told = {row.version: standing for row, standing in revenue_terms.list_standing(now=then)}

    assert told == {1: "over", 2: "over", 3: "in_force", 4: "in_force", 5: "to_come"}
    assert [revenue_terms.terms_at(then, one).version for one in (None, provider.id)] == [3, 4]
    assert statements(lambda: revenue_terms.list_standing(now=then)) == 1


def test_finance_staff_set_terms_on_a_page(client, officer, now):
    provider = make_organisation(name_en="Riverside Studio")
    sign_in(client, officer)
    first = revenue_terms.tomorrow(now)
    sent = {
        "organisation": provider.public_id,
        "tax": "6",
        "platform_fee": "7.5",
        "first_day": f"{first:%Y-%m-%d}",
        "reason": "agreement of May",
    }
    address = "/staff/revenue-terms"
    assert client.post(address, data=sent).location == address

    [act] = db.session.query(StaffAct).filter_by(kind="terms_set")
    assert (act.reason, act.details["platform_fee"], act.subject) == ("agreement of May", 750, "terms:2")
    page = client.get(f"{address}?lang=en").text
    assert "Riverside Studio" in page
    assert "7.5%" in page
    assert "to come" in page
    for wrong in ({"tax": "six"}, {"platform_fee": "100.01"}, {"reason": ""}, {"first_day": "2020-01-01"}):
        assert client.post(address, data=sent | wrong).status_code == 422


@pytest.mark.parametrize("role", ["reviewer", "funding_officer", "analyst"])
def test_others_do_not_set_terms(client, role):
    sign_in(client, make_staff(role))

    assert client.get("/staff/revenue-terms").status_code == 403
