"""Doors to planning: local times, series shown before they are made, and what belongs to others."""

import pytest

from marketplace.catalog.models import CourseRun, Session
from marketplace.foundation.database import db
from tests.factories import make_course, make_member, make_organisation, make_run, sign_in

RUN = {
    "zone": "Europe/London",
    "starts_at": "2027-03-20T10:00",
    "ends_at": "2027-04-20T13:00",
    "enrol_opens_at": "2027-01-01T00:00",
    "enrol_closes_on": "2027-03-19",
    "mode": "online",
    "language": "en",
    "capacity": "12",
    "price": "99.50",
    "currency": "GBP",
    "completion_attendance_percent": "",
    "version": "1",
}


@pytest.fixture
def course(client):
    organisation = make_organisation()
    sign_in(client, make_member(organisation, "registrar", locale="en"))
    return make_course(organisation)


def test_a_run_is_written_in_its_own_zone(client, course):
    new = f"/desk/courses/{course.public_id}/runs/new"
    assert "All times of this run are told in this zone." in client.get(new).text

    answer = client.post(new, data=RUN)

    run = db.session.query(CourseRun).one()
    assert answer.headers["Location"] == f"/desk/runs/{run.public_id}"
    assert run.starts_at.isoformat() == "2027-03-20T10:00:00+00:00"
    assert run.ends_at.isoformat() == "2027-04-20T12:00:00+00:00"
    assert run.enrol_closes_at.isoformat() == "2027-03-20T00:00:00+00:00"
    assert (run.price_minor, run.currency, run.completion_attendance_percent) == (9950, "GBP", None)
    page = client.get(answer.headers["Location"]).text
    assert "at least one session" in page
    assert "March 19, 2027, end of the day" in page
    again = client.post(f"/desk/runs/{run.public_id}/edit", data=RUN, follow_redirects=True)
    assert "Nothing was changed." in again.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"starts_at": "2027-03-28T01:30"}, "does not exist in Europe/London"),
        ({"ends_at": "2027-03-19T10:00"}, "A run ends after it starts."),
        ({"enrol_closes_on": "2026-12-30"}, "Enrolment closes after it opens."),
        ({"enrol_closes_on": "9999-12-31"}, "Enter a day, like 2026-05-31."),
        ({"starts_at": "0027-03-29T10:00"}, "Enter a day, like 2026-05-31."),
        ({"starts_at": "0001-01-01T01:00"}, "Enter a day, like 2026-05-31."),
        ({"enrol_closes_on": "31.12.2026"}, "Enter a day, like 2026-05-31."),
        ({"price": "9.995"}, "Enter an amount like 1280 or 1280.50."),
        ({"price": "-1"}, "Enter an amount like 1280 or 1280.50."),
        ({"capacity": "0"}, "Enter a number from 1 to 100000."),
        ({"zone": "Mars/Phobos"}, "Not a valid choice"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(client, course, change, said):
    answer = client.post(f"/desk/courses/{course.public_id}/runs/new", data=RUN | change)

    assert answer.status_code == 422
    assert said in answer.text
    assert db.session.query(CourseRun).count() == 0


def test_a_weekly_series_is_shown_and_then_made(client, course):
    run = make_run(course, sessions=0, state="draft", zone="Europe/London")
    series = {"starts_at": "2027-03-21T18:00", "minutes": "90", "count": "3", "every": "1"}
    path = f"/desk/runs/{run.public_id}/sessions/weekly"

    shown = client.post(path, data=series)
    assert "These sessions would be added" in shown.text
    assert "Sunday, March 28, 2027" in shown.text
    assert db.session.query(Session).count() == 0
    client.post(path, data=series | {"is_confirmed": "yes"})

    assert client.post(path, data=series | {"starts_at": "9999-12-31T18:00"}).status_code == 422
    starts = [session.starts_at.hour for session in db.session.query(Session).order_by(Session.position)]
    assert starts == [18, 17, 17]
    overlap = client.post(path, data=series | {"is_confirmed": "yes"})
    assert "Two sessions of a run cannot be at the same time." in overlap.text


def test_sessions_are_added_changed_and_removed(client, course):
    run = make_run(course, sessions=0, state="draft")
    session = {"starts_at": "2027-03-21T18:00", "minutes": "90", "title_en": "Lighting"}
    client.post(f"/desk/runs/{run.public_id}/sessions/new", data=session)
    made = db.session.query(Session).one()
    edit = f"/desk/sessions/{made.public_id}/edit"
    assert 'value="2027-03-21T18:00"' in client.get(edit).text

    client.post(edit, data=session | {"minutes": "60"})
    assert (made.ends_at - made.starts_at).total_seconds() == 3600
    client.post(f"/desk/sessions/{made.public_id}/remove")
    assert db.session.query(Session).count() == 0


def test_a_run_is_copied(client, course):
    run = make_run(course)

    client.post(f"/desk/runs/{run.public_id}/copy", data={"starts_on": "2028-01-10"})

    copy = db.session.query(CourseRun).filter_by(state="draft").one()
    assert copy.starts_at.astimezone(copy.tzinfo).date().isoformat() == "2028-01-10"
    assert len(copy.sessions) == 2


@pytest.mark.parametrize("role", ["editor", "registrar", "instructor", "finance"])
def test_editors_and_registrars_plan(client, role):
    run = make_run()
    sign_in(client, make_member(run.course.providers[0].organisation, role))

    status = client.get(f"/desk/runs/{run.public_id}/edit").status_code
    assert status == (200 if role in {"editor", "registrar"} else 403)


def test_runs_and_sessions_of_others_do_not_exist(client, course):
    other = make_run()
    session = other.sessions[0].public_id
    gets = ["", "/edit", "/copy", "/sessions/new", "/sessions/weekly"]
    posts = [f"/desk/runs/{other.public_id}/schedule", f"/desk/sessions/{session}/remove"]

    assert {client.get(f"/desk/runs/{other.public_id}{path}").status_code for path in gets} == {404}
    assert {client.post(path).status_code for path in posts} == {404}
    assert client.get(f"/desk/sessions/{session}/edit").status_code == 404
    assert client.get(f"/desk/courses/{other.course.public_id}/runs/new").status_code == 404
