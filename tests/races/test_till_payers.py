"""Orders that codes and programmes pay parts of, placed together: each payer pays as if the order had come alone."""

from threading import Thread

import psycopg
import pytest
from sqlalchemy import inspect, select, text

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import claims, orders, till
from marketplace.enrolment.models import Order, OrderLine
from marketplace.enrolment.quotes import Asked
from marketplace.enrolment.subsidising import Agreed
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Statements, db, locked, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.money import Money
from marketplace.funding import programmes, voucher_batches
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidy_models import Subsidy, SubsidyAttempt, SubsidyConsent, SubsidyEvent
from marketplace.funding.subsidy_rules import Rule
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_models import Voucher, VoucherMovement, VoucherRedemption
from marketplace.funding.voucher_rules import Terms, ValueKind
from tests.buying import place_order
from tests.factories import make_staff
from tests.funding.made import make_programme
from tests.races.test_till import PRICE, all_at_once, make, rows, served  # noqa: F401 - a fixture

HALF, OFF = 64000, 10000


def open_payers(app, *, uses=100, money=None, budget=100 * HALF, rule=None):
    """A code that pays CNY 100 and a programme that pays half; gives the code and the programme's public id."""
    terms = Terms(ValueKind.AMOUNT, "CNY", amount=OFF, use_cap=uses, money_cap=money or uses * OFF)
    with app.app_context(), transaction():
        programme = make_programme(budget=budget, rule=rule or Rule(percent=50))
        batch = voucher_batches.issue(NewBatch("race", terms), actor_id=None, now=clock.now())
        [voucher] = voucher_batches.list_vouchers(batch.id)
        return voucher_batches.code_of(voucher), programme.public_id


def asked(code, programme, *, due=128000 - HALF - OFF, version=1):
    agreed = Agreed(version, is_given=True) if programme else None
    return Asked(code, programme, agreed=agreed, shown_due=Money(due, "CNY"))


@pytest.fixture
def place(race_app, monkeypatch):
    """`tests.races.test_till.place` with payers: what is asked stands in the place of the price."""

    def act(app, run_id, person_id, key=None, price=None, locale="zh"):
        with app.app_context():
            try:
                return orders.place(
                    run_id,
                    person_id,
                    shown_price=PRICE,
                    request_key=key or ids.public_id(),
                    locale=locale,
                    now=clock.now(),
                    asked=price,
                )
            except Refused as refusal:
                return refusal.code

    monkeypatch.setattr("tests.races.test_till.place", act)
    return act


def standing(app):
    """Uses and money of the code, what the programme has committed, the numbers of subsidies and redemptions."""
    with app.app_context():
        voucher, programme = (
            db.session.scalars(select(Voucher)).one(),
            db.session.scalars(select(FundingProgramme)).one(),
        )
        counts = [len(db.session.scalars(select(each)).all()) for each in (Subsidy, VoucherRedemption)]
        return voucher.uses, voucher.spent_minor, programme.committed_minor, *counts


def written(app, order_number):
    """Every row of the payers of an order, without numbers, moments and ids that are drawn."""
    drawn = {"id", "public_id", "order_id", "order_line_id", "attempt_id", "consent_id", "subsidy_id", "redemption_id"}
    drawn |= {"order_number", "person_id", "buyer", "evidence", "earn_by", "deadline", "actor_id"}

    def plain(row):
        return {
            name: value
            for name, value in ((column.key, getattr(row, column.key)) for column in inspect(row).mapper.column_attrs)
            if name not in drawn and not name.endswith(("_at", "_recorded"))
        }

    with app.app_context():
        line = db.session.scalars(select(OrderLine).join(Order).where(Order.public_id == order_number)).one()
        subsidy = db.session.scalars(select(Subsidy).filter_by(order_line_id=line.id)).one()
        redemption = db.session.scalars(select(VoucherRedemption).filter_by(order_line_id=line.id)).one()
        events = db.session.scalars(
            select(SubsidyEvent).filter_by(subsidy_id=subsidy.id).order_by(SubsidyEvent.id)
        ).all()
        assert subsidy.attempt.order_line_id == line.id
        assert subsidy.attempt.buyer["person_id"] == subsidy.person_id == redemption.person_id == line.order.person_id
        assert subsidy.order_number == order_number
        assert subsidy.earn_by == events[0].deadline
        found = [line, subsidy, subsidy.attempt, subsidy.consent, *events, redemption, *redemption.movements]
        return [(type(row).__name__, plain(row)) for row in found], [
            (event.actor_id == subsidy.person_id, sorted(event.evidence)) for event in events
        ]


def test_those_who_wait_are_placed_together_and_every_payer_pays_each(race_app, monkeypatch, served, place):  # noqa: F811
    run_id, people = make(race_app, 6)
    code, programme = open_payers(race_app)

    with all_at_once(race_app, monkeypatch) as (start, answers):
        for number, person in enumerate(people):
            start(run_id, person, price=asked(code, programme) if number % 2 else Asked())

    assert served == [6]
    assert len(set(answers)) == 6
    assert rows(race_app, run_id) == (6, 6, 6, 6)
    assert standing(race_app) == (3, 3 * OFF, 3 * HALF, 3, 3)


@pytest.mark.parametrize("needs_review", [True, False])
def test_the_same_is_written_together_and_under_the_locks(race_app, monkeypatch, place, needs_review):
    run_id, [one, other] = make(race_app, 2)
    code, programme = open_payers(race_app, rule=Rule(percent=50, needs_review=needs_review))

    together = place(race_app, run_id, one, price=asked(code, programme))
    with monkeypatch.context() as patch:
        patch.setattr(claims, "prepared", lambda *_quoted, **_named: None)
        alone = place(race_app, run_id, other, price=asked(code, programme))

    assert written(race_app, together) == written(race_app, alone)
    assert standing(race_app) == (2, 2 * OFF, 2 * HALF, 2, 2)


def test_the_last_money_and_the_last_uses_go_to_those_who_came_first(race_app, monkeypatch, place):
    run_id, people = make(race_app, 6)
    code, programme = open_payers(race_app, uses=2, budget=3 * HALF)
    with_both, with_programme = asked(code, programme), asked(None, programme, due=HALF)

    with all_at_once(race_app, monkeypatch) as (start, answers):
        for number, person in enumerate(people):
            start(run_id, person, price=with_both if number < 3 else with_programme)

    # The third finds the code used up and is decided anew, when the budget is gone as well.
    assert answers[2] == answers[4] == answers[5] == "subsidy_refused"
    assert standing(race_app) == (2, 2 * OFF, 3 * HALF, 3, 2)
    assert rows(race_app, run_id) == (3, 3, 3, 3)
    with race_app.app_context():
        kept = db.session.scalars(select(SubsidyAttempt.outcome)).all()
    assert sorted(kept) == ["accepted"] * 3 + ["refused"] * 3


def test_a_code_pays_one_person_once_however_many_runs_they_order_at_once(race_app, monkeypatch, place):
    first, [person] = make(race_app, 1)
    second, _ = make(race_app, 0)
    code, programme = open_payers(race_app)

    with all_at_once(race_app, monkeypatch) as (start, answers):
        start(first, person, price=asked(code, programme))
        start(second, person, price=asked(code, programme))

    assert answers[1] == "voucher_used_by_you"
    assert standing(race_app) == (1, OFF, HALF, 1, 1)
    assert rows(race_app, second) == (0, 0, 0, 0)


def test_a_rule_published_after_it_was_seen_decides_anew(race_app, monkeypatch, place):
    run_id, [person] = make(race_app, 1)
    code, programme = open_payers(race_app)
    look = Statements.rows

    def meddle(statements, statement, values):
        if statement is till._PLACE:
            with race_app.app_context(), transaction():
                officer = make_staff("funding_officer").id
                made = db.session.scalars(select(FundingProgramme)).one()
                programmes.write_draft(made.id, Rule(percent=10), actor_id=officer, now=clock.now())
                programmes.publish_draft(made.id, actor_id=officer, now=clock.now())
        return look(statements, statement, values)

    monkeypatch.setattr(Statements, "rows", meddle)
    assert place(race_app, run_id, person, price=asked(code, programme)) == "price_changed"
    assert standing(race_app) == (0, 0, 0, 0, 0)
    assert rows(race_app, run_id) == (0, 0, 0, 0)


def test_a_rule_that_asks_what_was_had_is_decided_under_the_lock(race_app, place):
    first, [person] = make(race_app, 1)
    second, _ = make(race_app, 0)
    code, programme = open_payers(race_app, rule=Rule(percent=50, person_year_cap_minor=HALF))

    assert len(place(race_app, first, person, price=asked(code, programme))) == ids.LENGTH
    assert place(race_app, second, person, price=asked(None, programme, due=HALF)) == "subsidy_refused"
    assert standing(race_app) == (1, OFF, HALF, 1, 1)


def test_each_agrees_in_the_language_they_read(race_app, monkeypatch, place):
    run_id, people = make(race_app, 2)
    code, programme = open_payers(race_app)

    with all_at_once(race_app, monkeypatch) as (start, _answers):
        for person, locale in zip(people, ("en", "zh"), strict=True):
            start(run_id, person, price=asked(code, programme), locale=locale)

    with race_app.app_context():
        consents = db.session.scalars(select(SubsidyConsent)).all()
        said = {consent.locale: consent.text for consent in consents}
    assert said["en"].startswith("I agree")
    assert said["zh"].startswith("我同意")


def test_the_orm_sees_what_was_written_past_it(race_app, place):
    run_id, [person] = make(race_app, 1)
    code, programme = open_payers(race_app)

    with race_app.app_context():
        voucher, made = db.session.scalars(select(Voucher)).one(), db.session.scalars(select(FundingProgramme)).one()
        with transaction():
            order = place_order(
                run_id,
                person,
                shown_price=PRICE,
                request_key="k",
                locale="zh",
                now=clock.now(),
                asked=asked(code, programme),
            )
            assert (voucher.uses, voucher.spent_minor, made.committed_minor) == (1, OFF, HALF)
            assert order.lines[0].due_minor == 128000 - HALF - OFF
    with race_app.app_context():
        assert db.session.scalars(select(VoucherMovement.kind)).all() == ["redeemed"]


def test_the_last_seat_is_the_first_comers_whoever_pays(race_app, monkeypatch, place):
    run_id, people = make(race_app, 2, capacity=1)
    code, programme = open_payers(race_app)
    with all_at_once(race_app, monkeypatch) as (start, answers):
        start(run_id, people[0], price=asked(code, programme))
        start(run_id, people[1], price=Asked())
    assert len(answers[0]) == ids.LENGTH
    assert answers[1] == "run_full"


@pytest.mark.parametrize("is_alone", [False, True])
def test_a_run_that_turns_into_another_kind_is_decided_about_anew(race_app, monkeypatch, place, is_alone):
    run_id, [person] = make(race_app, 1)
    code, programme = open_payers(race_app, rule=Rule(percent=50, modes=("in_person",)))
    look = Statements.rows

    def change():
        with race_app.app_context(), transaction():
            locked(CourseRun, run_id).mode = "online"

    def meddle(statements, statement, values):
        if statement is till._PLACE:
            changing = Thread(target=change)
            changing.start()
            changing.join()
            if is_alone:
                return []
        return look(statements, statement, values)

    monkeypatch.setattr(Statements, "rows", meddle)
    assert place(race_app, run_id, person, price=asked(code, programme)) == "subsidy_refused"
    assert rows(race_app, run_id) == (0, 0, 0, 0)


def test_a_dead_connection_of_who_serves_is_nobodys_fault(race_app, monkeypatch, place):
    run_id, people = make(race_app, 2)
    code, programme = open_payers(race_app)

    def place_with_open_session(app, run, person, key=None, price=None):
        """As in a request that has read who asks; the connection dies while its order waits to be served."""
        with app.app_context():
            pid = db.session.scalar(text("SELECT pg_backend_pid()"))
            with psycopg.connect(db.engine.url.set(drivername="postgresql").render_as_string(False)) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [pid])
            return orders.place(
                run, person, shown_price=PRICE, request_key=key or ids.public_id(), locale="zh", now=clock.now()
            )

    def place_either(*given, **named):
        return (place if named.get("price") else place_with_open_session)(*given, **named)

    monkeypatch.setattr("tests.races.test_till.place", place_either)
    with all_at_once(race_app, monkeypatch) as (start, answers):
        start(run_id, people[0])
        start(run_id, people[1], price=asked(code, programme))
    assert [len(answer) for answer in answers] == [ids.LENGTH] * 2
    assert rows(race_app, run_id) == (2, 2, 2, 2)
