"""An employer sees those who let it, and of them attendance and completion alone."""

from datetime import timedelta

from marketplace.accounts import consents
from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock
from marketplace.foundation.database import add, transaction
from marketplace.participation import sent_people
from marketplace.participation.models import Attendance
from tests.factories import make_member, make_organisation, make_run, sign_in


def enrolled(run, person):
    with transaction():
        return add(Enrolment(run_id=run.id, person_id=person.id, enrolled_at=clock.now() - timedelta(days=1)))


def mark(place, session, status):
    with transaction():
        add(Attendance(enrolment_id=place.id, session_id=session.id, status=status))


def test_only_those_who_share_are_seen_and_only_while_they_do(client):
    employer, run = make_organisation(kind="employer"), make_run(sessions=3)
    owner = make_member(employer, "owner", locale="en")
    open_one, silent = (make_member(employer, "learner", name=name) for name in ("Li Na", "Wang Wei"))
    for person in (open_one, silent):
        place = enrolled(run, person)
        mark(place, run.sessions[0], "absent")
        mark(place, run.sessions[0], "present")
        mark(place, run.sessions[1], "absent")
    consents.share(open_one, employer, language="en", now=clock.now())

    lines, hidden = sent_people.list_lines(employer.id)
    assert [(line.enrolment.person.name, line.attended, line.sessions) for line in lines] == [("Li Na", 1, 3)]
    assert hidden == 2
    sign_in(client, owner)
    page = client.get(f"/organisations/{employer.public_id}/training").text
    assert ("Li Na" in page, "Wang Wei" in page) == (True, False)

    [consent] = consents.list_all(open_one.id)
    consents.withdraw(open_one, consent.id, now=clock.now())
    assert sent_people.list_lines(employer.id) == ([], 3)


def test_another_organisation_sees_nothing(client):
    employer = make_organisation(kind="employer")
    sign_in(client, make_member(make_organisation(kind="employer"), "owner"))
    assert client.get(f"/organisations/{employer.public_id}/training").status_code == 404
