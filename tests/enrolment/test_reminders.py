"""A reminder two days before, once, with the sessions for the calendar."""

from datetime import timedelta

from icalendar import Calendar

from marketplace.accounts import mail_preferences
from marketplace.enrolment import reminders
from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock, mail
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.mail import OutgoingMail
from tests.factories import make_person, make_run


def enrolled(run, **values):
    with transaction():
        person = make_person(**values)
        add(Enrolment(run_id=run.id, person_id=person.id, enrolled_at=clock.now()))
    return person


def reminded():
    return sorted(mail.recipient for mail in db.session.query(OutgoingMail).filter_by(message=reminders.MESSAGE))


def test_two_days_before_and_once(app):
    run = make_run(sessions=3)
    person = enrolled(run, locale="zh")
    enrolled(make_run(ends_at=run.ends_at + timedelta(days=9), starts_at=run.starts_at + timedelta(days=8)))
    early, due = run.starts_at - timedelta(days=2, seconds=1), run.starts_at - timedelta(days=2)

    assert [reminders.remind_all(now=moment) for moment in (early, due, due + timedelta(hours=1))] == [0, 1, 0]
    assert reminded() == [person.email]
    [written] = db.session.query(OutgoingMail)
    assert written.subject == f"即将开班：{run.course.title_zh}"
    sent = mail.compose(written, app.config["SETTINGS"])
    [attached] = sent.iter_attachments()
    assert (attached.get_content_type(), attached.get_filename()) == ("text/calendar", "course.ics")
    events = Calendar.from_ical(attached.get_content()).walk("VEVENT")
    assert [event.decoded("dtstart") for event in events] == [
        session.starts_at.replace(microsecond=0) for session in run.sessions
    ]


def test_a_run_that_was_moved_is_reminded_of_again(app):
    run = make_run()
    person = enrolled(run)
    reminders.remind_all(now=run.starts_at - timedelta(days=1))
    with transaction():
        run.starts_at += timedelta(days=7)
        run.ends_at += timedelta(days=7)

    assert reminders.remind_all(now=run.starts_at - timedelta(days=1)) == 1
    assert reminded() == [person.email] * 2


def test_who_left_who_does_not_want_it_and_a_cancelled_run(app):
    run, gone = make_run(), make_run(state="cancelled")
    left, unwilling, hopeful = enrolled(run), enrolled(run), enrolled(gone)
    mail_preferences.choose(unwilling, [], now=clock.now())
    with transaction():
        db.session.query(Enrolment).filter_by(person_id=left.id).one().ended_at = clock.now()

    assert reminders.remind_all(now=run.starts_at - timedelta(days=1)) == 0
    assert hopeful.email not in reminded()
