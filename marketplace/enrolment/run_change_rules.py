"""Pure decisions about a changed run: what one may choose, and what happens to those who do not."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from marketplace.catalog.run_rules import moment, wall_clock
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Callable


class RunChangeKind(StrEnum):
    """What a provider does to a run that people are in."""

    CANCELLED = "cancelled"
    MOVED = "moved"
    MERGED = "merged"


class Choice(StrEnum):
    """What a person may choose."""

    REFUND = "refund"
    STAY = "stay"
    MOVE = "move"


class AnswerState(StrEnum):
    """Where one person's answer stands."""

    WAITING = "waiting"
    TOLD = "told"
    SETTLED = "settled"
    FAILED = "failed"


# docs/refunds.md draws these. A failed one is driven again by hand.
TRANSITIONS: dict[AnswerState, frozenset[AnswerState]] = {
    AnswerState.WAITING: frozenset({AnswerState.TOLD, AnswerState.SETTLED, AnswerState.FAILED}),
    AnswerState.TOLD: frozenset({AnswerState.SETTLED, AnswerState.FAILED}),
    AnswerState.FAILED: frozenset({AnswerState.TOLD, AnswerState.SETTLED, AnswerState.FAILED}),
    AnswerState.SETTLED: frozenset(),
}
# Of a cancelled run nobody can stay; a merged run's people move unless they say otherwise.
CHOICES: dict[str, tuple[Choice, ...]] = {
    RunChangeKind.CANCELLED: (Choice.REFUND, Choice.MOVE),
    RunChangeKind.MOVED: (Choice.STAY, Choice.MOVE, Choice.REFUND),
    RunChangeKind.MERGED: (Choice.MOVE, Choice.REFUND),
}
DEFAULTS: dict[str, Choice] = {
    RunChangeKind.CANCELLED: Choice.REFUND,
    RunChangeKind.MOVED: Choice.STAY,
    RunChangeKind.MERGED: Choice.MOVE,
}
ANSWER_WITHIN = timedelta(days=7)
REMIND_BEFORE = timedelta(days=3)


def check_may_change(*, state: str, starts_at: datetime | None, now: datetime) -> None:
    """Raise the Refused that says why a run cannot be changed any more."""
    if state == "cancelled":
        raise Refused("run_cancelled", lazy("This run has been cancelled."))
    if state != "scheduled" or starts_at is None or now >= starts_at:
        raise Refused("run_started", lazy("Only a run that has not started yet can be changed."))


def check_move(*, to: datetime | None, starts_at: datetime | None, is_elsewhere: bool, now: datetime) -> None:
    """Raise the Refused that says why a run cannot be moved so: to what is over, or to where and when it is already."""
    if to is not None and to <= now:
        raise Refused("move_to_past", lazy("The new start must lie ahead."))
    if not is_elsewhere and to in {None, starts_at}:
        raise Refused("moves_nothing", lazy("Enter a new start or a new place."))


def shift(start: datetime, to: datetime, *, zone: str) -> Callable[[datetime], datetime]:
    """How the moments of a run move when its start does: by so much time on the wall clocks of its zone.

    What began at seven in the evening does so after a change of clocks as well; it raises Invalid for an hour that
    clocks go forward over.
    """
    by = wall_clock(to, zone) - wall_clock(start, zone)
    return lambda when: moment(wall_clock(when, zone) + by, zone)


def answer_by(kind: str, *, starts_at: datetime, now: datetime) -> datetime:
    """Until when people may choose: a week, but not beyond the start; money of a cancelled run does not wait longer."""
    return now + ANSWER_WITHIN if kind == RunChangeKind.CANCELLED else min(now + ANSWER_WITHIN, starts_at)


def check_choice(kind: str, choice: str) -> None:
    """Raise Invalid for what one may not choose here."""
    if choice not in CHOICES[kind]:
        raise Invalid("choice", lazy("Choose one of the ways shown."))
