"""The mail that tells of a completion."""

from __future__ import annotations

from marketplace.accounts import letters, mail_preferences
from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Enrolment
from marketplace.foundation import jobs
from marketplace.foundation.database import db, transaction
from marketplace.participation.models import Completion


@jobs.task(name="participation.tell_completion", queue="mail")
def tell(completion_id: int) -> None:
    """Tell a person that a completion is recorded."""
    with transaction():
        completion = db.session.get_one(Completion, completion_id)
        enrolment = db.session.get_one(Enrolment, completion.enrolment_id)
        letters.write(
            enrolment.person,
            "participation/completed",
            key=f"completion:{enrolment.public_id}",
            kind=mail_preferences.COMPLETION,
            enrolment=enrolment,
            completion=completion,
            run=db.session.get_one(CourseRun, enrolment.run_id),
        )
