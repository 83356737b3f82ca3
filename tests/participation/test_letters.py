"""A completion is told once, unless the person does not want to be told."""

from datetime import timedelta

from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.mail import OutgoingMail
from marketplace.participation import completions, registers
from marketplace.participation.registers import Mark
from tests.factories import make_person, make_run


def test_a_completion_is_told(app):
    run = make_run(
        sessions=1, starts_at=clock.now() - timedelta(hours=4), enrol_closes_at=clock.now() - timedelta(days=1)
    )
    with transaction():
        person = make_person(locale="en")
        enrolment = add(Enrolment(run_id=run.id, person_id=person.id, enrolled_at=clock.now() - timedelta(days=2)))
    registers.mark(run.sessions[0].id, {enrolment.public_id: Mark("present", "")}, actor_id=person.id, now=clock.now())
    completions.record_due(run.id, now=clock.now())
    jobs.run_pending()

    [mail] = db.session.query(OutgoingMail)
    assert (mail.subject, mail.recipient) == (f"You have completed {run.course.title_en}", person.email)
    assert f"http://localhost/my/progress/{enrolment.public_id}" in mail.text
