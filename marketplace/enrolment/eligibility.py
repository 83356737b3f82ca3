"""Who may enrol, asked by pages and lists; `orders.place` asks the same rule from its own facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import exists, select

from marketplace.accounts.models import Membership
from marketplace.catalog.models import CourseProvider
from marketplace.enrolment import rules
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Exists

    from marketplace.catalog.models import CourseRun


def check_may_enrol(run: CourseRun, person_id: int, *, now: datetime) -> None:
    """Raise the Refused that says why this person cannot take a seat in this run now."""
    rules.check_may_enrol(
        state=run.state,
        course_state=run.course.state,
        opens_at=run.enrol_opens_at,
        closes_at=run.enrol_closes_at,
        is_provider=bool(db.session.scalar(select(_is_provider(run, person_id)))),
        now=now,
    )


def check_may_take_over(run: CourseRun, person_id: int) -> None:
    """Raise the Refused that says why this person cannot take over somebody's place; the window does not matter."""
    if run.state != "scheduled":
        raise Refused("run_cancelled", lazy("This run has been cancelled."))
    if db.session.scalar(select(_is_provider(run, person_id))):
        raise Refused("own_course", lazy("You teach or manage this course, so you cannot enrol in it yourself."))


def _is_provider(run: CourseRun, person_id: int) -> Exists:
    return exists().where(
        Membership.person_id == person_id,
        Membership.organisation_id == CourseProvider.organisation_id,
        CourseProvider.course_id == run.course_id,
    )
