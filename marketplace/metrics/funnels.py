"""The funnel of a funding programme: from the first asking to the claim, each step counted from dated facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, exists, func, select, tuple_
from sqlalchemy.orm import aliased

from marketplace.enrolment.models import EnrolmentSource
from marketplace.foundation.database import db
from marketplace.foundation.i18n import gettext as _
from marketplace.funding.subsidy_models import Subsidy, SubsidyAttempt, SubsidyEvent
from marketplace.funding.subsidy_states import State
from marketplace.participation.models import Attendance, Completion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, what is counted, how many, and how many of a hundred of the step before."""

    name: str
    meaning: str
    count: int
    percent: int | None


def funnel(programme_id: int) -> list[Step]:
    """Every step with its count, in two queries; each step counts seats of the one before it, and no others.

    Of several marks of a person in a session the latest speaks, as it does in the figures. What a programme took as
    earned has passed its conditions, whatever they ask for: so what was claimed and paid is what its other pages say.
    """
    asked = select(func.count()).select_from(SubsidyAttempt).where(SubsidyAttempt.programme_id == programme_id)
    earned = _was("earn")
    came, completed = _has_place(_came()) | earned, _has_place(_completed()) | earned
    conditions = (_has_place(), came, completed, _was("claim"), _is_paid())
    # `and_` of the first one, two, three …: a seat that misses a step is in none of those after it.
    steps = [and_(*conditions[: number + 1]) for number in range(len(conditions))]
    counts = [func.count(), *(func.count().filter(step) for step in steps)]
    row = db.session.execute(select(*counts).where(Subsidy.programme_id == programme_id)).one()
    names = _names()
    numbers = [int(db.session.scalar(asked) or 0), *(int(number) for number in row)]
    before = [None, *numbers]
    return [
        Step(name, meaning, number, number * 100 // whole if whole else None)
        for (name, meaning), number, whole in zip(names, numbers, before, strict=False)
    ]


def chart(steps: Sequence[Step]) -> dict[str, Any]:
    """What js/charts.js draws of it."""
    numbers = [step.count for step in steps]
    return {
        "labels": [step.name for step in steps],
        "series": [{"code": "funnel", "name": _("Seats"), "unit": "", "numbers": numbers}],
    }


def _has_place(*what: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the seat's line granted a place, of which something is true."""
    return exists().where(EnrolmentSource.order_line_id == Subsidy.order_line_id, *what)


def _came() -> ColumnElement[bool]:
    later = aliased(Attendance)
    corrected = exists().where(
        later.enrolment_id == Attendance.enrolment_id,
        later.session_id == Attendance.session_id,
        tuple_(later.recorded_at, later.id) > tuple_(Attendance.recorded_at, Attendance.id),
    )
    is_theirs = Attendance.enrolment_id == EnrolmentSource.enrolment_id
    return exists().where(is_theirs, Attendance.status == "present", ~corrected)


def _completed() -> ColumnElement[bool]:
    return exists().where(Completion.enrolment_id == EnrolmentSource.enrolment_id)


def _was(act: str) -> ColumnElement[bool]:
    return exists().where(SubsidyEvent.subsidy_id == Subsidy.id, SubsidyEvent.act == act)


def _is_paid() -> ColumnElement[bool]:
    paid: ColumnElement[bool] = Subsidy.state == State.PAID
    return paid


def _names() -> list[tuple[str, str]]:
    return [
        (_("Asked for it"), _("buyers who pressed the button with this programme, refused ones too")),
        (_("Applied"), _("seats ordered at the subsidised price")),
        (_("Took a place"), _("orders paid, or free after the subsidy")),
        (_("Came"), _("at least one session attended, by the latest mark, or the programme's conditions met")),
        (_("Completed"), _("the rule of the run satisfied, or the programme's conditions met")),
        (_("Claimed"), _("claimed of the funder")),
        (_("Granted and paid"), _("paid by the funder and not clawed back")),
    ]
