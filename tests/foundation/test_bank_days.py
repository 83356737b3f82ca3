from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from marketplace.foundation import bank_days
from marketplace.foundation.errors import Invalid

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def test_the_banks_day_is_shanghais():
    assert bank_days.day_of(datetime(2026, 3, 1, 16, 30, tzinfo=UTC)) == date(2026, 3, 2)


@pytest.mark.parametrize(
    ("day", "since", "moment"),
    [
        (date(2026, 3, 5), NOW - 30 * DAY, datetime(2026, 3, 5, 4, tzinfo=UTC)),
        (date(2026, 1, 5), NOW - 30 * DAY, NOW - 30 * DAY),
        (date(2026, 3, 10), NOW - 30 * DAY, NOW),
        (date(2026, 3, 10), NOW, NOW),
    ],
)
def test_a_movement_stands_at_noon_of_its_day_after_what_it_is_for_and_not_to_come(day, since, moment):
    assert bank_days.moment_on(day, since=since, now=NOW) == moment


def test_a_day_to_come_is_refused_beside_its_field():
    bank_days.check_past(date(2026, 3, 10), "sent_on", now=NOW)
    with pytest.raises(Invalid, match="future_day") as refused:
        bank_days.check_past(date(2026, 3, 11), "sent_on", now=NOW)
    assert list(refused.value.fields) == ["sent_on"]


def test_a_day_of_long_ago_is_a_year_mistyped():
    bank_days.check_past(date(2025, 3, 10), "received_on", now=NOW)
    with pytest.raises(Invalid, match="day_long_ago") as refused:
        bank_days.check_past(date(2025, 3, 8), "received_on", now=NOW)
    assert list(refused.value.fields) == ["received_on"]
