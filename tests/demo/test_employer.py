"""The demo's employer sees those who let it."""

from marketplace.accounts import consents
from marketplace.accounts.models import Organisation, Person
from marketplace.demo import loading
from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.participation import sent_people


def test_an_employer_to_look_around_with(app):
    loading.load(now=clock.now())

    employer = db.session.query(Organisation).filter_by(kind="employer", name_en="Pujiang Animation Studio").one()
    lines, silent = sent_people.list_lines(employer.id)
    learner = db.session.query(Person).filter_by(email="learner@demo.example").one()
    assert len(consents.sharing_people(employer.id)) == 5
    assert silent == 5
    assert learner.id in {line.enrolment.person_id for line in lines}
    assert {row.document for row in consents.list_all(learner.id)} >= {"terms", "privacy", "sharing"}
