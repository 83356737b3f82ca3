"""What completes a run."""

from datetime import UTC, datetime, timedelta

import pytest

from marketplace.participation.rules import CompletionRule, Progress, completed_at, may_mark, needs_reason, progress

P, A, E = "present", "absent", "excused"
AT = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("percent", "marks", "is_met"),
    [
        (80, [P, P, P, P, A], True),
        (80, [P, P, P, A, A], False),
        (80, [P, P, P, P, None], True),
        (80, [P, P, P, None, None], False),
        (80, [P, P, P, A, E], False),
        (75, [P, P, P, A, E], True),
        (67, [P, P, A], False),
        (66, [P, P, A], True),
        (80, [E, E], False),
        (80, [], False),
        (0, [A], True),
        (None, [A, A], True),
    ],
)
def test_attendance_share(percent, marks, is_met):
    found = progress(CompletionRule(percent, False, 1), marks, passed=None, is_over=True)

    assert found.is_attendance_met is is_met
    assert found.is_complete is (is_met and percent is not None)


@pytest.mark.parametrize(("passed", "is_complete"), [(None, False), (False, False), (True, True)])
def test_a_pass(passed, is_complete):
    assert progress(CompletionRule(50, True, 1), [P], passed=passed, is_over=True).is_complete is is_complete
    assert progress(CompletionRule(None, True, 1), [], passed=passed, is_over=True).is_complete is is_complete


def test_nobody_completes_before_the_end_or_what_asks_for_nothing():
    assert not progress(CompletionRule(50, False, 1), [P, None], passed=None, is_over=False).is_complete
    assert not progress(CompletionRule(None, False, 1), [P], passed=True, is_over=True).is_complete


def test_all_counts():
    found = progress(CompletionRule(80, False, 1), [P, P, A, E, None], passed=None, is_over=False)

    assert found == Progress(2, 1, 4, 5, is_attendance_met=False, is_pass_met=True, is_complete=False)
    assert (found.counted, found.percent) == (4, 50)


def test_the_moment_of_completion():
    later = AT + timedelta(days=3)

    assert completed_at(AT, None, needs_pass=False) == AT
    assert completed_at(AT, later, needs_pass=False) == AT
    assert completed_at(AT, later, needs_pass=True) == later
    assert completed_at(later, AT, needs_pass=True) == later


def test_a_register_opens_half_an_hour_before():
    assert may_mark(AT, AT - timedelta(minutes=30))
    assert not may_mark(AT, AT - timedelta(minutes=30, seconds=1))


def test_only_a_correction_needs_a_reason():
    assert [needs_reason(None, P), needs_reason(P, P), needs_reason(P, A)] == [False, False, True]
