"""What completes a run. Pure: marks, results and moments come in as arguments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A register may be opened a little before its session, while people come in.
REGISTER_OPENS_BEFORE = timedelta(minutes=30)


class Status(StrEnum):
    """What a register says of one person in one session; an excused session counts neither for nor against."""

    PRESENT = "present"
    ABSENT = "absent"
    EXCUSED = "excused"


@dataclass(frozen=True, slots=True)
class CompletionRule:
    """What a run asks for: a share of its sessions (per cent, None asks for none), a pass, or both."""

    attendance_percent: int | None
    needs_pass: bool
    version: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one person has come in one run."""

    present: int
    excused: int
    marked: int
    sessions: int
    is_attendance_met: bool
    is_pass_met: bool
    is_complete: bool

    @property
    def counted(self) -> int:
        """The sessions that count for this person: all but the excused ones."""
        return self.sessions - self.excused

    @property
    def percent(self) -> int:
        """Sessions attended of those that count, rounded down so that 79.9 never looks like 80."""
        return self.present * 100 // self.counted if self.counted else 0


def progress(rule: CompletionRule, marks: Sequence[str | None], *, passed: bool | None, is_over: bool) -> Progress:
    """Weigh the latest mark of every session of the run (None where there is none) and the latest assessment.

    A session without a mark counts as not attended. A run that asks for nothing is completed by nobody, and nobody
    completes before the last session is over.
    """
    present, excused = marks.count(Status.PRESENT), marks.count(Status.EXCUSED)
    counted = len(marks) - excused
    wanted = rule.attendance_percent
    is_attendance_met = wanted is None or (counted > 0 and present * 100 >= wanted * counted)
    is_pass_met = not rule.needs_pass or passed is True
    asks_for_something = wanted is not None or rule.needs_pass
    return Progress(
        present=present,
        excused=excused,
        marked=sum(mark is not None for mark in marks),
        sessions=len(marks),
        is_attendance_met=is_attendance_met,
        is_pass_met=is_pass_met,
        is_complete=asks_for_something and is_over and is_attendance_met and is_pass_met,
    )


def completed_at(last_session_ends_at: datetime, passed_at: datetime | None, *, needs_pass: bool) -> datetime:
    """The moment the rule was satisfied: the end of the last session, or the pass if that came later."""
    return max(last_session_ends_at, passed_at) if needs_pass and passed_at else last_session_ends_at


def may_mark(session_starts_at: datetime, now: datetime) -> bool:
    """Whether attendance can be taken yet."""
    return now >= session_starts_at - REGISTER_OPENS_BEFORE


def needs_reason(before: str | None, after: str) -> bool:
    """Whether a mark corrects an earlier one, which has to be explained."""
    return before is not None and before != after
