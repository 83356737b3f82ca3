"""Until when how much is kept, and how an amount is divided: nothing lost, nobody given more than they paid."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.enrolment import refund_rules as rules
from marketplace.enrolment.refund_rules import Ground, Part, Payer, Terms, Tier
from marketplace.foundation.errors import Invalid, Refused

TERMS = Terms(7, (Tier(14, 0), Tier(7, 30), Tier(1, 60)), withdrawal_days=0, deferral_days=3)
SECOND = timedelta(seconds=1)


def at(zone, *moment):
    return datetime(*moment, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def decided(now, *, terms=TERMS, zone="Asia/Shanghai", starts_at=None, confirmed_at=None):
    return rules.decide(
        terms,
        starts_at=starts_at or at(zone, 2026, 6, 20, 9),
        zone=zone,
        confirmed_at=confirmed_at or at(zone, 2026, 1, 1, 12),
        now=now,
    )


@pytest.mark.parametrize(
    ("day", "before", "after"), [((2026, 6, 6), 0, 30), ((2026, 6, 13), 30, 60), ((2026, 6, 19), 60, 100)]
)
def test_a_deadline_includes_the_whole_of_its_local_day(day, before, after):
    midnight = at("Asia/Shanghai", *day) + timedelta(days=1)

    assert decided(midnight - SECOND).kept_percent == before
    assert decided(midnight).kept_percent == after
    assert decided(midnight - SECOND).until == midnight


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Africa/Cairo", date(2026, 4, 24), 23),
        ("America/Havana", date(2026, 11, 1), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Asia/Shanghai", date(2024, 2, 29), 24),
    ],
)
def test_a_local_day_lasts_as_long_as_its_zone_says(zone, day, hours):
    began = rules.end_of_local_day(day - timedelta(days=1), zone)

    assert rules.end_of_local_day(day, zone) - began == timedelta(hours=hours)


def test_days_before_a_start_are_counted_over_the_end_of_a_month():
    start = at("Asia/Shanghai", 2028, 3, 1, 0, 30)

    assert rules.days_before(start, "Asia/Shanghai", 1) == at("Asia/Shanghai", 2028, 3, 1)
    assert rules.deadline_of(Tier(0, 60), starts_at=start, zone="Asia/Shanghai") == start


def test_a_start_late_in_the_evening_belongs_to_its_own_day_and_not_to_that_of_utc():
    # 20 June in Honolulu, 21 June in UTC.
    start = at("Pacific/Honolulu", 2026, 6, 20, 19)
    assert rules.days_before(start, "Pacific/Honolulu", 14) == at("Pacific/Honolulu", 2026, 6, 7)


def test_withdrawing_goes_before_the_tiers_and_ends_with_the_start():
    terms = replace(TERMS, withdrawal_days=7)
    bought = at("Asia/Shanghai", 2026, 6, 10, 23, 59)
    end = at("Asia/Shanghai", 2026, 6, 18)

    found = decided(end - SECOND, terms=terms, confirmed_at=bought)
    assert (found.ground, found.kept_percent, found.until) == (Ground.WITHDRAWAL, 0, end)
    assert decided(end, terms=terms, confirmed_at=bought).ground is Ground.POLICY
    start = at("Asia/Shanghai", 2026, 6, 14, 9)
    assert decided(start - SECOND, terms=terms, confirmed_at=bought, starts_at=start).until == start
    with pytest.raises(Refused, match="run_started"):
        decided(start, terms=terms, confirmed_at=bought, starts_at=start)


@pytest.mark.parametrize(("days", "needed"), [(0, False), (7, True), (14, True)])
def test_a_course_that_starts_inside_the_term_needs_a_waiver(days, needed):
    now, start = at("Asia/Shanghai", 2026, 6, 10, 12), at("Asia/Shanghai", 2026, 6, 17, 23)

    terms = replace(TERMS, withdrawal_days=days)
    assert rules.needs_waiver(terms, starts_at=start, zone="Asia/Shanghai", now=now) is needed
    later = start + timedelta(hours=1)
    assert (
        rules.needs_waiver(replace(TERMS, withdrawal_days=7), starts_at=later, zone="Asia/Shanghai", now=now) is False
    )


@pytest.mark.parametrize(
    "tiers", [[Tier(7, 30), Tier(14, 60)], [Tier(7, 0), Tier(7, 30)], [Tier(-1, 0)], [Tier(3, 101)]]
)
def test_terms_that_get_milder_or_make_no_sense_are_refused(tiers):
    with pytest.raises(Invalid):
        rules.checked_tiers(tiers)


def test_terms_are_ordered_from_the_earliest_deadline_on():
    assert rules.checked_tiers([Tier(1, 60), Tier(14, 0)]) == (Tier(14, 0), Tier(1, 60))


def test_a_fraction_of_a_fen_is_the_payers():
    assert rules.kept_of(999, 30) == 299


AMOUNTS = st.integers(min_value=0, max_value=10**9)
PARTS = st.lists(st.tuples(st.sampled_from(list(Payer)), AMOUNTS), max_size=6).map(
    lambda rows: [Part(payer, f"a{index}", index, paid) for index, (payer, paid) in enumerate(rows)]
)


@given(PARTS, st.data())
def test_repeated_refunds_sum_exactly_and_never_exceed_what_a_payer_paid(parts, data):
    for _ in range(4):
        amount = data.draw(st.integers(min_value=0, max_value=rules.left_of(parts)))
        shares = rules.split_refund(parts, amount)
        assert sum(share.minor for share in shares) == amount
        for share in shares:
            assert 0 < share.minor <= share.part.left
            index = parts.index(share.part)
            parts = [*parts]
            parts[index] = replace(share.part, returned=share.part.returned + share.minor)
    assert all(part.returned <= part.paid for part in parts)


@given(PARTS)
def test_all_that_is_left_goes_back_to_those_who_paid_it(parts):
    shares = rules.split_refund(parts, rules.left_of(parts))

    assert {share.part: share.minor for share in shares} == {part: part.paid for part in parts if part.paid}


@given(PARTS, st.integers(min_value=0, max_value=100))
def test_what_is_kept_and_what_goes_back_are_the_price(parts, percent):
    paid = sum(part.paid for part in parts)
    assert rules.to_return(parts, percent) + rules.kept_of(paid, percent) == paid


def test_shares_follow_what_each_paid_and_the_newest_payment_goes_first():
    parts = [Part(Payer.LEARNER, "old", 1, 600), Part(Payer.FUNDER, "", 1, 400), Part(Payer.LEARNER, "new", 2, 200)]

    shares = rules.split_refund(parts, 600)
    assert [(share.part.reference, share.part.payer, share.minor) for share in shares] == [
        ("new", Payer.LEARNER, 200),
        ("old", Payer.LEARNER, 200),
        ("", Payer.FUNDER, 200),
    ]


def test_what_went_back_before_is_not_given_twice():
    parts = [Part(Payer.LEARNER, "a", 1, 1000, returned=500)]

    assert rules.to_return(parts, 30) == 200
    assert rules.to_return(parts, 60) == 0
    with pytest.raises(Invalid):
        rules.split_refund(parts, 501)
