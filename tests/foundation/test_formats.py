from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from marketplace.foundation import formats
from marketplace.foundation.i18n import speaking
from marketplace.foundation.money import Money

LATE = datetime(2026, 3, 1, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(("zone", "day"), [("Asia/Shanghai", "2 March 2026"), ("Europe/London", "1 March 2026")])
def test_equal_moments_of_two_zones_keep_their_own_days(app, zone, day):
    with speaking("en"):
        month, date, _year = formats.format_date(LATE.astimezone(ZoneInfo(zone)), "long", rebase=False).split()
    assert f"{date.strip(',')} {month} 2026" == day


def test_the_same_value_is_written_in_either_language(app):
    for language, written in (("zh", "¥1,280.00"), ("en", "CN¥1,280.00"), ("zh", "¥1,280.00")):
        with speaking(language):
            assert formats.format_money(Money(128000, "CNY")) == written


def test_moments_are_told_to_the_minute_and_without_a_zone_they_are_not_in(app):
    patterns = ("short", "medium", "long", "full", "exact")
    with speaking("zh"):
        assert [formats.format_datetime(LATE, pattern) for pattern in patterns] == [
            "2026/3/2 04:30",
            "2026年3月2日 04:30",
            "2026年3月2日 04:30",
            "2026年3月2日星期一 04:30",
            "2026年3月2日 04:30:00",
        ]
    with speaking("en"):
        assert formats.format_datetime(LATE, "long").startswith("March 2, 2026")
        assert ":00" not in formats.format_datetime(LATE, "medium")


def test_a_moment_is_told_in_the_readers_zone(app):
    with speaking("zh"):
        assert formats.format_datetime(LATE, "short").endswith("04:30")
