"""Who came, who passed and who completed in the demo."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from marketplace.demo.chance import seeded
from marketplace.demo.rows import insert_rows
from marketplace.participation.models import Assessment, Attendance, Completion
from marketplace.participation.rules import CompletionRule, completed_at, progress

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from marketplace.catalog.models import CourseRun
    from marketplace.demo.history import Purchase, Written

MARKED_AFTER = timedelta(minutes=20)
ASSESSED_AFTER = timedelta(days=2)
PASS_SHARE = 0.9


def write_participation(written: Written, *, now: datetime) -> None:
    """Insert marks of past sessions, results and completions. Call inside a transaction."""
    chance = seeded("participation")
    marks: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    completions: list[dict[str, Any]] = []
    for purchase, enrolment in zip(written.purchases, written.enrolment_ids, strict=True):
        if enrolment is None or (purchase.ended_at is not None and not purchase.is_ended_late):
            continue
        attended = _marks(purchase, enrolment, chance, now)
        marks += attended
        _conclude(purchase, enrolment, [mark["status"] for mark in attended], results, completions, chance, now)
    insert_rows(Attendance, marks)
    insert_rows(Assessment, results)
    insert_rows(Completion, completions)


def _marks(purchase: Purchase, enrolment: int, chance: Random, now: datetime) -> list[dict[str, Any]]:
    """Most come nearly always, some now and then, a few stop coming."""
    diligence = chance.choices((0.97, 0.88, 0.6, 0.2), (48, 36, 11, 5))[0]
    return [
        {
            "enrolment_id": enrolment,
            "session_id": session.id,
            "status": _status(diligence, chance),
            "source": "register",
            "recorded_at": session.ends_at + MARKED_AFTER,
            "recorded_by_id": None,
            "reason": "",
        }
        for session in purchase.run.run.sessions
        if session.ends_at + MARKED_AFTER <= now
    ]


def _status(diligence: float, chance: Random) -> str:
    if chance.random() < diligence:
        return "present"
    return "excused" if chance.random() < 0.3 else "absent"  # noqa: PLR2004 - some of those away had asked


def _conclude(
    purchase: Purchase,
    enrolment: int,
    statuses: list[str],
    results: list[dict[str, Any]],
    completions: list[dict[str, Any]],
    chance: Random,
    now: datetime,
) -> None:
    run = purchase.run.run
    end = purchase.run.plan.ends_at
    assessed = end + ASSESSED_AFTER
    passed = chance.random() < PASS_SHARE
    if run.completion_needs_pass and assessed <= now:
        results.append({"enrolment_id": enrolment, "passed": passed, "recorded_at": assessed, "recorded_by_id": None})
    recorded = assessed if run.completion_needs_pass else end + MARKED_AFTER
    if recorded > now:
        return
    rule = _rule(run)
    if progress(rule, statuses, passed=passed, is_over=True).is_complete:
        completions.append(
            {
                "enrolment_id": enrolment,
                "completed_at": completed_at(end, assessed, needs_pass=rule.needs_pass),
                "recorded_at": recorded,
                "rule_version": rule.version,
                "evidence": {"present": statuses.count("present"), "sessions": len(statuses)},
            }
        )


def _rule(run: CourseRun) -> CompletionRule:
    return CompletionRule(run.completion_attendance_percent, run.completion_needs_pass, run.completion_rule_version)
