"""The funnel of a funding programme: from the first asking to the claim, each step counted from dated facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, func, select

from marketplace.enrolment.models import EnrolmentSource
from marketplace.foundation.database import db
from marketplace.foundation.i18n import gettext as _
from marketplace.funding.subsidy_models import Subsidy, SubsidyAttempt, SubsidyEvent
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
    """Every step with its count, in two queries; each step counts seats of the one before it."""
    asked = select(func.count()).select_from(SubsidyAttempt).where(SubsidyAttempt.programme_id == programme_id)
    enrolled = exists().where(EnrolmentSource.order_line_id == Subsidy.order_line_id)
    present = _of_place(Attendance.enrolment_id) & (Attendance.status == "present")
    completed = _of_place(Completion.enrolment_id)
    attended = exists().where(EnrolmentSource.order_line_id == Subsidy.order_line_id, present)
    is_complete = exists().where(EnrolmentSource.order_line_id == Subsidy.order_line_id, completed)
    tests: Sequence[ColumnElement[bool]] = (enrolled, attended, is_complete, _was("claim"), _was("pay"))
    counts = [func.count(), *(func.count().filter(test) for test in tests)]
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


def _of_place(column: Any) -> ColumnElement[bool]:
    matches: ColumnElement[bool] = column == EnrolmentSource.enrolment_id
    return matches


def _was(act: str) -> ColumnElement[bool]:
    return exists().where(SubsidyEvent.subsidy_id == Subsidy.id, SubsidyEvent.act == act)


def _names() -> list[tuple[str, str]]:
    return [
        (_("Asked for it"), _("buyers who pressed the button with this programme, refused ones too")),
        (_("Applied"), _("seats ordered at the subsidised price")),
        (_("Took a place"), _("orders paid, or free after the subsidy")),
        (_("Came"), _("at least one session attended")),
        (_("Completed"), _("the rule of the run satisfied")),
        (_("Claimed"), _("claimed of the funder")),
        (_("Granted and paid"), _("paid by the funder")),
    ]
