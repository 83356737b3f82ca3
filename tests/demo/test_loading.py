"""What the demo wrote in bulk obeys the rules the verbs keep."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import func, select, text

from marketplace.accounts.models import Organisation, Person
from marketplace.catalog.models import Course, CourseRun
from marketplace.catalog.price_models import PriceRule
from marketplace.demo import loading
from marketplace.enrolment import search_wishes, subsidised_runs
from marketplace.enrolment.models import Enrolment, Order, SeatHold
from marketplace.enrolment.seat_models import SeatPool
from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.funding.subsidy_models import Subsidy, SubsidyAttempt
from marketplace.funding.subsidy_states import State
from marketplace.funding.voucher_models import VoucherBatch
from marketplace.metrics import computation, indicators
from marketplace.metrics.computation import Scope
from marketplace.payments import debts, discrepancies, ledger, postings, reconciliation, stripe_matching
from marketplace.payments.desk_models import WriteOff
from marketplace.payments.models import PaymentAttempt
from marketplace.payments.stripe_models import StripeTransaction
from tests.factories import make_person


def count(model, *conditions):
    return db.session.scalar(select(func.count()).select_from(model).where(*conditions))


def test_the_demo_is_whole_and_consistent(app):
    now = clock.now()
    clock.set_to(now)
    assert loading.load(now=now) is True
    assert loading.load(now=now) is False

    published = count(Course, Course.state == "published")
    assert (published, count(CourseRun), count(Organisation)) == (60, 120, 16)
    assert count(Person, Person.email.like("%@people.demo.example")) == 400
    assert count(SeatHold, SeatHold.ended_at.is_(None)) == 0
    assert db.session.execute(text(_WRONG_COUNTERS)).all() == []
    assert db.session.execute(text(_AFTER_NOW), {"now": now}).scalar() == 0
    assert count(CourseRun, CourseRun.seats_taken == CourseRun.capacity) >= 7
    assert count(Order, Order.state == "expired") > 20
    assert count(PriceRule) > 5
    assert [(batch.size, batch.is_demo) for batch in db.session.query(VoucherBatch)] == [
        (1, True),
        (40, True),
        (3, True),
    ]
    kept = db.session.query(SeatPool).filter_by(audience="voucher").one()
    assert (kept.size, kept.unused, kept.run.seats_kept >= 3) == (3, 3, True)
    assert {course.state for course in db.session.query(Course)} == {"published", "in_review", "draft"}
    assert search_wishes.tell_all(now=now) == 0, "what people look for in vain is taught"
    assert search_wishes.list_sought(is_all=True)[0].people > 5
    assert subsidised_runs.mark_all(now=now) == 0
    assert 0 < count(CourseRun, CourseRun.is_subsidised) < count(CourseRun, CourseRun.enrol_closes_at > now)
    _money_is_explained(now)
    _figures_say_something(now)
    _subsidies_went_their_ways()
    _debts_went_theirs()


def _money_is_explained(now):
    assert ledger.is_balanced()
    found = reconciliation._queue_discrepancies(now=now)
    assert found == 0, [(one.kind, one.reference) for one in discrepancies.list_open()]
    to_come = select(func.sum(Order.total_minor)).where(Order.id.in_(select(text(_PLACES_TO_COME))))
    assert ledger.balances()["unearned_revenue", "CNY"] == -db.session.execute(to_come, {"now": now}).scalar()
    assert postings.post_facts() == postings.earn_due(now=now) == 0
    assert stripe_matching.match_all(now=now) == stripe_matching.post_payouts(now=now) == 0
    assert stripe_matching.queue_missing(now=now) == 0
    moved = select(func.sum(StripeTransaction.amount_minor - StripeTransaction.fee_minor))
    assert ledger.balances()["stripe_balance", "CNY"] == db.session.scalar(moved) >= 0
    assert ledger.balances()["payouts_in_transit", "CNY"] == 0
    _providers_are_owed_their_shares()


def _providers_are_owed_their_shares():
    held = {account: -minor for (account, _), minor in ledger.balances().items()}
    earned = held["tax_payable"] + held["platform_fee"] + held["provider_payable"]
    assert held["tax_payable"] == pytest.approx(earned * 6 / 106, abs=1500)
    assert held["platform_fee"] == pytest.approx((earned - held["tax_payable"]) / 10, abs=1500)
    owed = ledger.balances_of("organisation_id", "provider_payable")
    assert sum(-amount.minor for _, amount in owed) == held["provider_payable"]
    assert len(owed) >= 8


def _figures_say_something(now):
    scope = Scope(first=date(now.year - 3, 1, 1), last=date(now.year, 12, 1), as_of=now)
    totals = {one.code: computation.compute(one, scope)[()] for one in indicators.INDICATORS}
    assert totals["enrolments"].value == count(Enrolment, Enrolment.ended_at.is_(None)) > 1000
    assert 300 < totals["people"].value <= 401
    assert 70 < totals["attendance_rate"].number < 97
    assert 50 < totals["completion_rate"].number < 97
    assert len(computation.compute(indicators.ENROLMENTS, scope, ["month"])) >= 24


def _subsidies_went_their_ways():
    states = dict(db.session.execute(select(Subsidy.state, func.count()).group_by(Subsidy.state)).all())
    # Whether one waits for a review or a claim, or was rejected, depends on the day the demo is loaded.
    always = {
        State.RESERVED,
        State.CLAIMED,
        State.PAID,
        State.LAPSED,
        State.CANCELLED,
        State.RELEASED,
        State.CLAWED_BACK,
    }
    assert always - states.keys() == set()
    assert db.session.execute(text(_WRONG_BUDGETS)).all() == []
    assert count(SubsidyAttempt, SubsidyAttempt.outcome == "refused") >= 10
    assert postings.post_facts() == 0


def _debts_went_theirs():
    paid = db.session.query(PaymentAttempt).filter_by(purpose="debt").one()
    given_up = db.session.query(WriteOff).one()
    orders = [db.session.get_one(Order, one.order_id) for one in (paid, given_up)]
    found = [debts.find(order.public_id) for order in orders]
    assert [(debt.left.minor, debt.paid == debt.owed, debt.written_off == debt.owed) for debt in found] == [
        (0, True, False),
        (0, False, True),
    ]
    assert debts.list_open()[0] != []
    assert [order.events[-1].kind for order in orders] == ["debt_paid", "debt_given_up"]


def test_the_demo_is_refused_beside_real_people(app):
    make_person()

    with pytest.raises(Refused, match="not_empty"):
        loading.load(now=clock.now())


_WRONG_BUDGETS = """
    SELECT programme.public_id FROM funding_programme AS programme
     WHERE committed_minor <> (SELECT sum(committed_minor) FROM subsidy WHERE programme_id = programme.id)
        OR deposited_minor <> (SELECT sum(amount_minor) FROM funding_deposit WHERE programme_id = programme.id)
    UNION ALL
    SELECT line.id::text FROM order_line AS line LEFT JOIN subsidy ON order_line_id = line.id
     WHERE subsidy_minor <> coalesce(amount_minor, 0)
"""
_PLACES_TO_COME = """
    order_id FROM order_line JOIN enrolment_source ON order_line_id = order_line.id
      JOIN course_run AS run ON run.id = order_line.run_id
     WHERE revoked_at IS NULL AND run.ends_at > :now
"""
_WRONG_COUNTERS = """
    SELECT run.public_id FROM course_run AS run
     WHERE run.seats_taken <> (SELECT count(*) FROM enrolment WHERE run_id = run.id AND ended_at IS NULL)
                            + (SELECT count(*) FROM seat_hold WHERE run_id = run.id AND ended_at IS NULL)
"""
_AFTER_NOW = """
    SELECT (SELECT count(*) FROM order_event WHERE occurred_at > :now)
         + (SELECT count(*) FROM enrolment WHERE enrolled_at > :now OR ended_at > :now)
         + (SELECT count(*) FROM ledger_transaction WHERE recorded_at > :now)
         + (SELECT count(*) FROM payment_attempt WHERE created_at > :now OR paid_at > :now)
         + (SELECT count(*) FROM write_off WHERE proposed_at > :now)
         + (SELECT count(*) FROM attendance WHERE recorded_at > :now)
         + (SELECT count(*) FROM completion WHERE recorded_at > :now)
"""
