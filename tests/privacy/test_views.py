"""The doors to one's own data, and the administrators' list."""

import io
import re
import zipfile

import pytest

from marketplace.accounts import letters, people, personal
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, transaction
from marketplace.foundation.mail import OutgoingMail
from marketplace.privacy.models import Erasure
from tests.factories import make_person, make_staff, sign_in

PASSWORD = "seven quiet lanterns"


@pytest.fixture
def person(app):
    people.register(name="Li Na", email="li.na@example.com", password=PASSWORD, locale="en", now=clock.now())
    found = people.find_by_email("li.na@example.com")
    with transaction():
        found.confirmed_at = clock.now()
    jobs.run_pending()
    db.session.query(OutgoingMail).delete()
    return found


def mailed(message):
    jobs.run_pending()
    return db.session.query(OutgoingMail).filter_by(message=message).one()


def test_a_copy_is_made_once_told_and_fetched_by_its_owner_alone(client, person):
    sign_in(client, person)
    assert [client.post("/account/data").status_code for _ in range(2)] == [303, 303]
    assert "Being made" in client.get("/account/data").text

    assert "/account/data" in mailed("privacy/data_ready").text
    [path] = re.findall(r'href="(/account/data/\w+\.zip)"', client.get("/account/data").text)
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert "data.json" in zipfile.ZipFile(io.BytesIO(answer.data)).namelist()
    sign_in(client, make_person())
    assert client.get(path).status_code == 404


def test_a_copy_tells_the_whole_profile_and_mails_to_an_earlier_address(person):
    with transaction():
        person.employer_size = "small"
        letters.write(person, "accounts/second_factor_on", key="x")
        person.email = "na@example.org"
    told = {section.key: section.rows for section in personal.tell(person.id)}

    assert told["profile"][0]["employer_size"] == "small"
    assert len(told["mails"]) == 1


def test_deleting_needs_the_password_the_mail_and_a_press(client, person):
    sign_in(client, person)
    assert client.post("/account/delete", data={"password": "wrong"}).status_code == 422
    assert client.post("/account/delete", data={"password": PASSWORD}).location == "/mail-sent"
    path = re.search(r"http://localhost(/account/delete/\S+)", mailed("privacy/delete_confirm").text)[1]

    assert client.get(path).status_code == 200
    assert db.session.query(Erasure).count() == 0, "looking deletes nothing"
    assert client.post(path).status_code == 200
    assert client.get("/account").status_code == 303, "every sign-in has ended"
    assert client.post(path).status_code == 410
    assert "/account/delete" in mailed("privacy/delete_planned").text

    sign_in(client, person)
    assert "Keep my account" in client.get("/account/delete").text
    client.post("/account/delete/keep")
    assert db.session.query(Erasure).one().cancelled_at is not None


def test_an_administrator_does_it_for_someone_who_wrote_a_letter(client, person):
    sign_in(client, make_staff("administrator", locale="en"))
    form = {"email": person.email, "ground": "letter"}
    assert client.post("/staff/erasures", data=form | {"email": "nobody@example.com"}).status_code == 422
    assert client.post("/staff/erasures", data=form).status_code == 303
    assert client.post("/staff/erasures", data=form).status_code == 409

    planned = db.session.query(Erasure).one()
    assert person.email in client.get("/staff/erasures").text
    client.post(f"/staff/erasures/{planned.public_id}/cancel")
    assert client.post("/staff/erasures", data=form | {"at_once": "y"}).status_code == 303
    jobs.run_pending()
    page = client.get("/staff/erasures").text
    assert "li.na" not in page
    assert "Deleted" in page


def test_by_command(app, person):
    runner = app.test_cli_runner()
    assert runner.invoke(args=["privacy", "forget", "nobody@example.com", "--yes"]).exit_code == 1
    assert runner.invoke(args=["privacy", "forget", person.email, "--yes"]).output == "forgotten\n"
    assert people.find_by_email("li.na@example.com") is None
