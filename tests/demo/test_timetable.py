"""The demo's calendar: every state a run can be in, on the right side of today, whatever today is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from marketplace.demo import content_files, timetable
from marketplace.demo.chance import seeded
from marketplace.demo.timetable import Fate


@pytest.fixture(scope="module", params=["2026-11-24T12:00", "2027-02-28T23:30", "2026-03-29T00:30"])
def planned(request):
    now = datetime.fromisoformat(request.param).replace(tzinfo=UTC)
    return now, timetable.plan(content_files.courses(), now, seeded("test"))


def test_two_runs_of_each_course(planned):
    _now, runs = planned
    assert len(runs) == 120
    assert len({run.key for run in runs}) == 120


def test_every_state_is_shown(planned):
    _now, runs = planned
    assert Counter(run.fate for run in runs) == {
        Fate.PAST: 68,
        Fate.RUNNING: 10,
        Fate.FULL: 7,
        Fate.NEARLY_FULL: 7,
        Fate.OPEN: 20,
        Fate.UNOPENED: 4,
        Fate.CANCELLED: 4,
    }


def test_what_can_be_booked_is_open_now(planned):
    now, runs = planned
    for run in runs:
        if run.fate in {Fate.FULL, Fate.NEARLY_FULL, Fate.OPEN}:
            assert run.opens_at < now < run.closes_at < run.starts_at, run.key
        if run.fate is Fate.UNOPENED:
            assert now < run.opens_at, run.key
        if run.fate is Fate.RUNNING:
            assert run.starts_at < now, run.key
        assert 0 <= run.wanted <= run.course.teaching.capacity


def test_the_calendar_is_the_same_for_the_same_seed(planned):
    now, runs = planned
    assert timetable.plan(content_files.courses(), now, seeded("test")) == runs
