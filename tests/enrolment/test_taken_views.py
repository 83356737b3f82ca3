"""A withdrawn course stays readable for those who took it, and for nobody else."""

from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from tests.factories import make_course, make_person, make_run, sign_in


def test_a_withdrawn_course_is_read_by_those_who_took_it(client):
    run = make_run(make_course(title_en="Kiln repair"))
    learner, other = make_person(locale="en"), make_person(locale="en")
    with transaction():
        db.session.add(Enrolment(run_id=run.id, person_id=learner.id, enrolled_at=clock.now()))
        run.course.state = "withdrawn"
    path = f"/my/courses/{run.course.public_id}"

    sign_in(client, learner)
    page = client.get(path).text
    assert "Kiln repair" in page
    assert "This course is no longer offered." in page
    assert client.get(f"/courses/{run.course.public_id}").status_code == 410
    sign_in(client, other)
    assert client.get(path).status_code == 404
    assert client.get("/my/courses/nowhere").status_code == 404
