"""Officers hear in time of what ends if nobody acts, once a week before and once two days before."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.foundation.mail import OutgoingMail
from marketplace.funding import claims, deadlines, programmes, subsidies
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_rules import Rule
from tests.factories import make_person, make_staff
from tests.funding.made import funder_paid, make_programme, make_subsidy

REVIEWED = Rule(percent=50, needs_review=True)


@pytest.fixture
def programme(app):
    return make_programme(rule=REVIEWED)


@pytest.fixture
def reader(programme):
    """An officer beside the one who made the programme; others hear nothing."""
    make_staff("finance_officer")
    return make_staff("funding_officer", locale="en")


def told(now, reader):
    """What the reader was written in this run of the job."""
    mails = select(OutgoingMail).where(OutgoingMail.message == "funding/deadlines")
    before = len(db.session.scalars(mails).all())
    count = deadlines.tell_all(now=now)
    written = db.session.scalars(mails.order_by(OutgoingMail.id)).all()[before:]
    assert len(written) == count
    return [(mail.subject, mail.text) for mail in written if mail.recipient == reader.email]


def test_applications_are_told_a_week_before_their_deadline_and_again_at_its_end(programme, reader):
    first, _second = (make_subsidy(programme, make_person()) for _ in range(2))
    ends = first.earn_by
    assert told(ends - timedelta(days=7, seconds=1), reader) == []

    [(subject, body)] = told(ends - timedelta(days=7), reader)
    assert subject == f"2 applications wait for a review: {programme.name_en}"
    assert f"/staff/funding/{programme.public_id}/applications?state=applied" in body
    assert told(ends - timedelta(days=6), reader) == []
    assert len(told(ends - timedelta(days=1), reader)) == 1
    assert told(ends - timedelta(hours=1), reader) == []
    assert told(ends, reader) == []


def test_what_was_reviewed_is_not_told_and_what_is_earned_is_until_it_is_claimed(programme, reader):
    subsidy = make_subsidy(programme, make_person())
    subsidies.approve(subsidy.id, note="", actor_id=reader.id, now=clock.now())
    assert told(subsidy.earn_by - timedelta(days=3), reader) == []

    subsidies.earn(subsidy.id, {}, now=clock.now())
    [(subject, body)] = told(subsidy.claim_by - timedelta(days=3), reader)
    assert subject == f"1 subsidy is earned and not claimed: {programme.name_en}"
    last = subsidy.last_day
    assert f"{last:%B} {last.day}, {last.year}" in body


def test_nobody_is_told_whose_account_is_closed(programme, reader):
    subsidy = make_subsidy(programme, make_person())
    with transaction():
        reader.active = False
    assert told(subsidy.earn_by - timedelta(days=3), reader) == []


def claimed(programme, officer, now):
    subsidy = make_subsidy(programme, make_person())
    subsidies.approve(subsidy.id, note="", actor_id=officer.id, now=clock.now())
    subsidies.earn(subsidy.id, {}, now=clock.now())
    return claims.make_batch(programme.id, None, actor_id=officer.id, now=now), subsidy


def test_a_batch_that_the_funder_has_not_paid_in_time_is_told_every_four_weeks(programme, reader):
    batch, subsidy = claimed(programme, reader, clock.now())
    over = batch.pay_by
    assert told(over - timedelta(seconds=1), reader) == []

    [(subject, body)] = told(over, reader)
    assert subject == f"1 claim batch is not paid in time: {programme.name_en}"
    day = batch.expected_on
    assert f"{day:%B} {day.day}, {day.year}" in body
    assert f"/staff/funding/{programme.public_id}/claims" in body
    assert told(over + timedelta(days=27), reader) == []
    assert len(told(over + timedelta(days=28), reader)) == 1

    # Another one that becomes late is told at once.
    second, _subsidy = claimed(programme, reader, over + timedelta(days=29))
    [(subject, _body)] = told(second.pay_by, reader)
    assert subject == f"2 claim batches are not paid in time: {programme.name_en}"

    subsidies.reject(subsidy.id, reason="重复", actor_id=reader.id, now=clock.now())
    paid = funder_paid(64000, "B 2", now=second.pay_by)
    claims.mark_paid(second.id, paid, actor_id=reader.id, now=second.pay_by)
    assert told(second.pay_by + timedelta(days=300), reader) == []


def test_paying_the_newest_overdue_batch_makes_no_older_one_new(programme, reader):
    first, _subsidy = claimed(programme, reader, clock.now())
    second, _subsidy = claimed(programme, reader, clock.now() + timedelta(days=40))
    assert len(told(first.pay_by, reader)) == 1
    assert len(told(second.pay_by, reader)) == 1

    paid = funder_paid(64000, "B 2", now=second.pay_by)
    claims.mark_paid(second.id, paid, actor_id=reader.id, now=second.pay_by + timedelta(hours=1))

    assert told(second.pay_by + timedelta(days=1), reader) == []
    assert told(second.pay_by + timedelta(days=27), reader) == []
    [(subject, _body)] = told(second.pay_by + timedelta(days=28), reader)
    assert subject == f"1 claim batch is not paid in time: {programme.name_en}"
    history = [one.details for one in programmes.list_events(programme.id) if one.kind == "overdue_told"]
    assert history == [{"batches": 1}, {"batches": 2}, {"batches": 1}]


def test_a_new_officer_hears_of_what_is_overdue_the_next_morning(programme, reader):
    batch, _subsidy = claimed(programme, reader, clock.now())
    assert len(told(batch.pay_by, reader)) == 1
    late = make_staff("funding_officer", locale="en")
    assert len(told(batch.pay_by + timedelta(days=1), late)) == 1
    assert told(batch.pay_by + timedelta(days=2), late) == []


def test_a_learner_hears_in_time_of_what_lapses_unearned(app):
    programme = make_programme(rule=Rule(percent=50, attendance_percent=80))
    waiting = make_subsidy(programme, make_person(locale="en"))
    earned, released = (make_subsidy(programme, make_person()) for _ in range(2))
    subsidies.earn(earned.id, {}, now=clock.now())
    subsidies.release(released.order_line_id, "cancelled", now=clock.now())
    ends = waiting.earn_by

    assert deadlines.tell_of_lapsing(select(Subsidy.order_line_id), now=ends - timedelta(days=7, seconds=1)) == 0
    assert deadlines.tell_of_lapsing(select(Subsidy.order_line_id), now=ends - timedelta(days=7)) == 1
    assert deadlines.tell_of_lapsing(select(Subsidy.order_line_id), now=ends - timedelta(days=6)) == 0
    assert deadlines.tell_of_lapsing(select(Subsidy.order_line_id), now=ends) == 0

    mail = db.session.scalars(select(OutgoingMail).where(OutgoingMail.message == "funding/lapses_soon")).one()
    last = waiting.last_day
    assert (mail.recipient, mail.subject) == (waiting.person.email, "Your subsidy is not earned yet: Course")
    for words in (f"{last:%B} {last.day}, {last.year}", "at least 80%", "you owe CN¥640.00", "/my/funding"):
        assert words in mail.text

    subsidies.extend(waiting.id, last + timedelta(days=30), reason="illness", actor_id=None, now=clock.now())
    assert deadlines.tell_of_lapsing(select(Subsidy.order_line_id), now=waiting.earn_by - timedelta(days=1)) == 1
