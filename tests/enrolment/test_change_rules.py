"""Until when a place can be moved or passed on, to the moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from marketplace.enrolment import change_rules
from marketplace.enrolment.refund_rules import Terms
from marketplace.foundation.errors import Refused

INSTANT = timedelta(microseconds=1)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def may_defer(starts_at, now, *, zone, days):
    terms = Terms(version=1, tiers=(), withdrawal_days=0, deferral_days=days)
    try:
        change_rules.check_may_defer(terms, starts_at=starts_at, zone=zone, now=now)
    except Refused as refused:
        return refused.code
    return "may"


@pytest.mark.parametrize(
    ("zone", "starts_at", "days", "deadline"),
    [
        # The day before 1 March is the 28th, or the 29th of a leap year.
        ("Asia/Shanghai", utc(2026, 3, 1, 1), 1, utc(2026, 2, 28, 16)),
        ("Asia/Shanghai", utc(2028, 3, 1, 1), 1, utc(2028, 2, 29, 16)),
        # London's clocks go forward on 29 March and back on 25 October 2026: days of 23 and 25 hours.
        ("Europe/London", utc(2026, 3, 30, 9), 1, utc(2026, 3, 29, 23)),
        ("Europe/London", utc(2026, 10, 26, 9), 1, utc(2026, 10, 26, 0)),
        ("America/New_York", utc(2027, 1, 3, 15), 3, utc(2027, 1, 1, 5)),
        # On the day of the start itself only until the start.
        ("Asia/Shanghai", utc(2026, 3, 1, 1), 0, utc(2026, 3, 1, 1)),
    ],
)
def test_a_place_moves_until_the_end_of_the_local_day(zone, starts_at, days, deadline):
    assert may_defer(starts_at, deadline - INSTANT, zone=zone, days=days) == "may"
    assert may_defer(starts_at, deadline, zone=zone, days=days) == "deferral_too_late"


def test_a_place_is_passed_on_until_the_start():
    start = utc(2026, 3, 1, 1)
    change_rules.check_may_transfer(starts_at=start, is_paid_by_others=False, now=start - INSTANT)
    with pytest.raises(Refused, match="transfer_too_late"):
        change_rules.check_may_transfer(starts_at=start, is_paid_by_others=False, now=start)
