"""Local times: gaps and doubled hours, whole last days, weekly series over a change of clocks."""

from datetime import UTC, date, datetime, timedelta

import pytest

from marketplace.catalog import run_rules as rules
from marketplace.catalog.run_rules import Meeting
from marketplace.foundation.errors import Invalid

SHANGHAI, LONDON, NEW_YORK = "Asia/Shanghai", "Europe/London", "America/New_York"


wall = datetime.fromisoformat


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("local", "zone", "moment"),
    [
        (wall("2026-03-02 09:30"), SHANGHAI, utc(2026, 3, 2, 1, 30)),
        (wall("2026-07-01 09:00"), LONDON, utc(2026, 7, 1, 8, 0)),
        # The hour from 01:00 comes twice on this day: the first one is meant.
        (wall("2026-10-25 01:30"), LONDON, utc(2026, 10, 25, 0, 30)),
        (wall("2026-03-29 02:00"), LONDON, utc(2026, 3, 29, 1, 0)),
    ],
)
def test_a_local_time_is_one_moment(local, zone, moment):
    assert rules.moment(local, zone) == moment
    assert rules.wall_clock(moment, zone) == local


@pytest.mark.parametrize(
    ("local", "zone"),
    [(wall("2026-03-29 01:30"), LONDON), (wall("2026-03-08 02:00"), NEW_YORK)],
)
def test_a_time_over_which_the_clocks_jump_is_refused(local, zone):
    with pytest.raises(Invalid) as refused:
        rules.moment(local, zone)

    assert zone in str(refused.value.message)


def test_a_last_day_is_whole():
    day = date(2026, 3, 29)

    assert rules.end_of(day, SHANGHAI) == utc(2026, 3, 29, 16, 0)
    assert rules.end_of(day, LONDON) == utc(2026, 3, 29, 23, 0)
    assert rules.last_day_before(rules.end_of(day, LONDON), LONDON) == day
    inside = utc(2026, 3, 29, 9, 0)
    assert rules.deadline(day, LONDON, kept=inside) == inside
    assert rules.deadline(date(2026, 3, 30), LONDON, kept=inside) == utc(2026, 3, 30, 23, 0)


def test_a_weekly_series_keeps_its_local_time_when_clocks_change():
    series = rules.weekly(wall("2026-03-22 18:00"), minutes=90, count=3, every=1, zone=LONDON)

    assert [meeting.starts_at.hour for meeting in series] == [18, 17, 17]
    assert {meeting.ends_at - meeting.starts_at for meeting in series} == {timedelta(minutes=90)}


@pytest.mark.parametrize("count", [0, 61])
def test_a_series_has_a_size(count):
    with pytest.raises(Invalid):
        rules.weekly(wall("2026-03-22 18:00"), minutes=90, count=count, every=1, zone=LONDON)


def test_a_copy_keeps_the_time_of_day():
    assert rules.shifted(utc(2026, 3, 22, 18, 0), 7, LONDON) == utc(2026, 3, 29, 17, 0)
    assert rules.shifted(None, 7, LONDON) is None


@pytest.mark.parametrize("hours", [-1, 0, 17])
def test_a_session_has_a_length(hours):
    start = utc(2026, 3, 22, 18, 0)

    with pytest.raises(Invalid):
        rules.check_meeting(Meeting(start, start + timedelta(hours=hours)))


def test_what_a_run_lacks_is_listed():
    start, end = utc(2026, 3, 1), utc(2026, 4, 1)
    inside, outside = Meeting(start, start + timedelta(hours=2)), Meeting(end, end + timedelta(hours=2))

    def lacking(**changes):
        whole = {"starts_at": start, "ends_at": end, "has_window": True, "meetings": [inside], "place_needed": False}
        return len(rules.missing(**(whole | changes)))

    assert lacking() == 0
    assert lacking(starts_at=None, has_window=False, meetings=[], place_needed=True) == 4
    assert lacking(meetings=[inside, outside]) == 1
