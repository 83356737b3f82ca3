"""Claims: batches of what is earned, answered by the funder line by line."""

import csv
import io
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import select

from marketplace.foundation import bank_days, clock, spreadsheets
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.money import Money
from marketplace.funding import claims, subsidies, subsidy_lists
from marketplace.funding.claims import FunderPayment
from marketplace.funding.programme_models import ProgrammeEvent
from marketplace.funding.subsidy_rules import Rule
from marketplace.funding.subsidy_states import State
from tests.factories import make_person, make_staff
from tests.funding.made import committed, funder_paid, make_programme, make_subsidy

EVIDENCE = {"attendance_percent": 90, "completed_at": "2026-05-01T08:00:00+00:00"}
pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def officer():
    return make_staff("funding_officer")


def earned(programme, **person):
    subsidy = make_subsidy(programme, make_person(**person))
    return subsidies.earn(subsidy.id, EVIDENCE, now=clock.now())


def test_a_batch_claims_what_was_chosen_under_the_next_number(officer):
    programme, other = make_programme(), make_programme()
    first, second, third = earned(programme), earned(programme), earned(programme)
    foreign, waiting = earned(other), make_subsidy(programme)

    chosen = {first.public_id, foreign.public_id, waiting.public_id}
    one = claims.make_batch(programme.id, chosen, actor_id=officer.id, now=clock.now())
    two = claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())

    assert (one.number, two.number) == (1, 2)
    states = [subsidy.state for subsidy in (first, second, third, foreign, waiting)]
    assert states == [State.CLAIMED, State.CLAIMED, State.CLAIMED, State.EARNED, State.RESERVED]
    found = claims.list_batches(programme)
    assert [(one.batch.number, one.lines, one.waiting.minor) for one in found] == [(2, 2, 128000), (1, 1, 64000)]
    with pytest.raises(Refused, match="nothing_earned"):
        claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())


def test_nobody_notes_that_their_own_subsidy_was_paid(officer):
    programme, other = make_programme(), make_staff("funding_officer")
    own = subsidies.earn(make_subsidy(programme, officer).id, EVIDENCE, now=clock.now())
    batch = claims.make_batch(programme.id, None, actor_id=other.id, now=clock.now())
    paid = funder_paid(own.amount_minor, "ICBC-1")
    with pytest.raises(Refused, match="own_subsidy"):
        claims.mark_paid(batch.id, paid, actor_id=officer.id, now=clock.now())
    assert claims.mark_paid(batch.id, paid, actor_id=other.id, now=clock.now()) == 1


def test_nobody_claims_their_own_subsidy(officer):
    programme = make_programme()
    own = subsidies.earn(make_subsidy(programme, officer).id, EVIDENCE, now=clock.now())
    for chosen in (None, {own.public_id}):
        with pytest.raises(Refused, match="own_subsidy"):
            claims.make_batch(programme.id, chosen, actor_id=officer.id, now=clock.now())

    beside = earned(programme)
    claims.make_batch(programme.id, {own.public_id, beside.public_id}, actor_id=officer.id, now=clock.now())
    assert (own.state, beside.state) == (State.EARNED, State.CLAIMED)
    claims.make_batch(programme.id, None, actor_id=make_staff("funding_officer").id, now=clock.now())
    assert own.state == State.CLAIMED


def test_the_funder_pays_what_it_did_not_reject(officer):
    programme = make_programme(rule=Rule(percent=50, if_rejected="learner_owes"))
    paid, rejected = earned(programme), earned(programme)
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())
    subsidies.reject(rejected.id, reason="重复申报", actor_id=officer.id, now=clock.now())

    assert claims.mark_paid(batch.id, funder_paid(64000, " ICBC-77 "), actor_id=officer.id, now=clock.now()) == 1

    assert (paid.state, rejected.state, batch.bank_reference) == (State.PAID, State.REJECTED, "ICBC-77")
    assert (committed(programme), rejected.owed_minor) == (64000, 64000)
    with pytest.raises(Refused, match="batch_paid"):
        claims.mark_paid(batch.id, funder_paid(64000, "again"), actor_id=officer.id, now=clock.now())


def test_the_funders_money_came_on_the_banks_day(officer):
    programme, now = make_programme(), clock.now()
    made_at, day = now - timedelta(days=9), bank_days.day_of(now - timedelta(days=4))
    subsidy = earned(programme)
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=made_at)
    claims.mark_paid(batch.id, FunderPayment(Money(64000, "CNY"), "B 1", day), actor_id=officer.id, now=now)

    event = subsidy.events[-1]
    noon = datetime.combine(day, time(12), bank_days.ZONE)
    assert (event.act, event.occurred_at, event.recorded_at >= now) == ("pay", noon, True)
    assert (batch.paid_at, subsidy.state) == (noon, State.PAID)


def test_a_payment_of_the_small_hours_is_of_the_banks_day(officer):
    made_at = datetime(2026, 11, 27, 4, tzinfo=UTC)
    # Half past five in the morning of the 29th in Shanghai.
    now = datetime(2026, 11, 28, 21, 30, tzinfo=UTC)
    clock.set_to(made_at)
    programme = make_programme()
    earned(programme)
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=made_at)
    payment = FunderPayment(Money(64000, "CNY"), "B 1", date(2026, 11, 29))
    claims.mark_paid(batch.id, payment, actor_id=officer.id, now=now)
    assert (batch.paid_at, batch.paid_on) == (now, date(2026, 11, 29))


@pytest.mark.parametrize(
    ("minor", "days", "field"),
    [(63999, 0, "amount"), (64001, 0, "amount"), (64000, -1, "received_on"), (64000, 2, "received_on")],
)
def test_what_is_not_the_funders_payment_for_the_batch_is_refused(officer, minor, days, field):
    programme, now = make_programme(), clock.now()
    subsidy = earned(programme)
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=now)
    payment = FunderPayment(Money(minor, "CNY"), "B 1", bank_days.day_of(now - timedelta(days=days)))
    with pytest.raises(Invalid) as refused:
        claims.mark_paid(batch.id, payment, actor_id=officer.id, now=now)
    assert (list(refused.value.fields), subsidy.state, batch.paid_at) == ([field], State.CLAIMED, None)


def test_money_paid_for_an_order_that_ends_is_clawed_back(officer):
    programme = make_programme()
    subsidy = earned(programme)
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())
    claims.mark_paid(batch.id, funder_paid(64000, "ICBC-1"), actor_id=officer.id, now=clock.now())

    subsidies.release(subsidy.order_line_id, "refunded", now=clock.now())

    assert (subsidy.state, committed(programme)) == (State.CLAWED_BACK, 0)


def test_a_batch_says_what_became_of_what_it_asked_for(officer):
    programme = make_programme()
    ones = {name: earned(programme) for name in ("paid", "rejected", "let_go", "clawed_back")}
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())
    ones["waiting"] = earned(programme)
    claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())
    subsidies.reject(ones["rejected"].id, reason="重复申报", actor_id=officer.id, now=clock.now())
    subsidies.release(ones["let_go"].order_line_id, "refunded", now=clock.now())
    claims.mark_paid(batch.id, funder_paid(128000, "ICBC-2"), actor_id=officer.id, now=clock.now())
    subsidies.release(ones["clawed_back"].order_line_id, "refunded", now=clock.now())

    found = claims.list_batches(programme)
    names = ("asked", "waiting", "paid", "unpaid", "clawed_back")

    sums = [[getattr(one, name).minor for name in names] for one in found]
    assert sums == [[64000, 64000, 0, 0, 0], [256000, 0, 64000, 128000, 64000]]
    assert [(one.lines, one.is_answered) for one in found] == [(1, False), (4, True)]
    together = claims.together(found, programme.currency)
    assert [together[name].minor for name in names] == [320000, 64000, 64000, 128000, 64000]
    assert together["paid"] == subsidy_lists.waterfall(programme).paid
    assert together["waiting"] == subsidy_lists.waterfall(programme).claimed


def test_a_batch_says_by_when_it_should_be_paid_and_when_that_is_over(officer):
    programme, made = make_programme(), datetime(2026, 6, 1, 17, tzinfo=UTC)
    earned(programme)
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=made)
    # The second of June in Shanghai, and thirty days after it.
    assert (batch.expected_on, batch.pay_by) == (date(2026, 7, 2), datetime(2026, 7, 2, 16, tzinfo=UTC))

    def is_overdue(now):
        [standing] = claims.list_batches(programme)
        return standing.is_overdue(now)

    over = batch.pay_by
    assert (is_overdue(over - timedelta(seconds=1)), is_overdue(over)) == (False, True)
    later = claims.Expectation(date(2026, 7, 20), "They asked for time")
    claims.expect_later(batch.id, later, actor_id=officer.id, now=over)
    assert (batch.expected_on, is_overdue(over)) == (date(2026, 7, 20), False)
    event = db.session.scalars(select(ProgrammeEvent).filter_by(kind="batch_extended")).one()
    assert event.details == {"batch": 1, "until": "2026-07-20", "reason": "They asked for time"}
    for last_day, reason, field in ((date(2026, 7, 20), "x", "last_day"), (date(2026, 8, 1), " ", "reason")):
        with pytest.raises(Invalid) as refused:
            claims.expect_later(batch.id, claims.Expectation(last_day, reason), actor_id=officer.id, now=over)
        assert list(refused.value.fields) == [field]

    paid = over + timedelta(days=90)
    claims.mark_paid(batch.id, funder_paid(64000, "B 1", now=paid), actor_id=officer.id, now=paid)
    assert not is_overdue(over + timedelta(days=90))
    with pytest.raises(Refused, match="nothing_claimed"):
        claims.expect_later(
            batch.id, claims.Expectation(date(2027, 8, 1), "x"), actor_id=officer.id, now=over + timedelta(days=91)
        )


def test_what_was_rejected_or_let_go_is_not_overdue(officer):
    programme = make_programme()
    one, two = earned(programme), earned(programme)
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())
    subsidies.reject(one.id, reason="重复申报", actor_id=officer.id, now=clock.now())
    subsidies.release(two.order_line_id, "refunded", now=clock.now())

    assert not claims.list_batches(programme)[0].is_overdue(batch.pay_by)


def test_the_parts_of_a_budget_add_up(officer):
    programme = make_programme(budget=1_000_000, rule=Rule(percent=50, owed_percent=25))
    for count, act in enumerate(("reserved", "earned", "claimed", "paid", "lapsed", "released")):
        subsidy = make_subsidy(programme)
        if act in {"earned", "claimed", "paid"}:
            subsidies.earn(subsidy.id, EVIDENCE, now=clock.now())
        if act in {"claimed", "paid"}:
            batch = claims.make_batch(programme.id, {subsidy.public_id}, actor_id=officer.id, now=clock.now())
        if act == "paid":
            claims.mark_paid(batch.id, funder_paid(64000, f"bank {count}"), actor_id=officer.id, now=clock.now())
        if act == "lapsed":
            subsidies.lapse(subsidy.id, {}, now=subsidy.earn_by)
        if act == "released":
            subsidies.release(subsidy.order_line_id, "cancelled", now=clock.now())

    found = subsidy_lists.waterfall(programme)

    parts = ("left", "applied", "reserved", "earned", "claimed", "paid", "borne")
    numbers = [getattr(found, part).minor for part in parts]
    assert numbers == [696000, 0, 64000, 64000, 64000, 64000, 48000]
    assert sum(numbers) == found.deposited.minor == 1_000_000
    assert (found.returned.minor, found.owed.minor) == (80000, 16000)


def test_what_the_learner_owes_whole_is_no_seat_that_the_programme_bears(officer):
    programme = make_programme(rule=Rule(percent=50, if_rejected="borne"))
    lapsed, rejected = make_subsidy(programme), make_subsidy(programme)
    subsidies.lapse(lapsed.id, {}, now=lapsed.earn_by)
    subsidies.reject(rejected.id, reason="重复", actor_id=officer.id, now=clock.now())

    found = subsidy_lists.waterfall(programme)
    assert (found.borne.minor, found.borne_lines) == (64000, 1)


def test_what_was_to_be_claimed_by_now_is_not_claimed_any_more(officer):
    programme = make_programme()
    subsidy = earned(programme)
    moment = timedelta(microseconds=1)
    assert claims.list_claimable(programme.id, now=subsidy.claim_by - moment) == [subsidy]
    assert claims.list_claimable(programme.id, now=subsidy.claim_by) == []
    with pytest.raises(Refused, match="nothing_earned"):
        claims.make_batch(programme.id, None, actor_id=officer.id, now=subsidy.claim_by)
    assert claims.make_batch(programme.id, None, actor_id=officer.id, now=subsidy.claim_by - moment)


def test_the_file_of_a_batch_opens_in_a_spreadsheet(app, officer):
    programme = make_programme()
    earned(programme, name="=沈知夏")
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())

    with app.test_request_context(headers={"Accept-Language": "zh"}):
        content = spreadsheets.write_csv(claims.sheet_of(claims.get_batch(batch.public_id))).decode()

    assert content.startswith("\ufeff")
    rows = list(csv.reader(io.StringIO(content.removeprefix("\ufeff"))))
    assert (rows[4][1], rows[4][5], rows[4][8], rows[4][9]) == ("'=沈知夏", "640.00", "90", "2026-05-01")


def test_applications_are_listed_in_pages_that_miss_nothing(app):
    programme = make_programme(budget=10_000_000)
    made = [make_subsidy(programme).public_id for _ in range(subsidy_lists.PAGE + 3)]
    make_subsidy(make_programme())

    first, before = subsidy_lists.list_page(programme.id, subsidy_lists.Filter())
    second, end = subsidy_lists.list_page(programme.id, subsidy_lists.Filter(before=before))

    assert [one.public_id for one in first + second] == made[::-1]
    assert (len(first), end) == (subsidy_lists.PAGE, None)


def test_applications_are_found_by_state_and_words():
    programme = make_programme()
    wanted = make_subsidy(programme, make_person(name="沈知夏", email="shen_1@example.com"))
    subsidies.earn(wanted.id, EVIDENCE, now=clock.now())
    make_subsidy(programme, make_person(name="陆文博", email="shenx1@example.com"))

    for wish in ({"state": "earned"}, {"words": "知夏"}, {"words": "n_1@"}, {"words": wanted.order_number}):
        found, _next = subsidy_lists.list_page(programme.id, subsidy_lists.Filter(**wish))
        assert [one.id for one in found] == [wanted.id], wish
