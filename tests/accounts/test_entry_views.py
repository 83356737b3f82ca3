"""The doors into an account, as a browser sees them: nobody learns which addresses are known."""

import re
from datetime import timedelta

import pytest

from marketplace.accounts import people
from marketplace.accounts.models import Person
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, transaction
from marketplace.foundation.mail import OutgoingMail
from tests.factories import make_person

PASSWORD = "seven quiet lanterns"
NEW = {"name": "Li Na", "email": "li.na@example.com", "password": PASSWORD}
FORM = NEW | {"agrees": "y"}


def mails():
    """Message, recipient and language of every mail written, after all jobs ran."""
    jobs.run_pending()
    return [(mail.message, mail.recipient, mail.locale) for mail in db.session.query(OutgoingMail).order_by("id")]


def mailed_path():
    """The path of the link in the newest mail."""
    newest = db.session.query(OutgoingMail).order_by(OutgoingMail.id.desc()).first()
    return re.search(r"http://localhost(/\S+)", newest.text)[1]


@pytest.fixture
def person(app):
    """Someone who registered and confirmed."""
    people.register(locale="en", now=clock.now(), **NEW)
    found = people.find_by_email(NEW["email"])
    with transaction():
        found.confirmed_at = clock.now()
    jobs.run_pending()
    db.session.query(OutgoingMail).delete()
    return found


def signed_in(client):
    """Whether the client may open the account page."""
    return client.get("/account").status_code == 200


def test_registering_confirming_and_signing_out(client):
    answer = client.post("/register", data=FORM)
    assert (answer.status_code, answer.location) == (303, "/mail-sent")
    assert mails() == [("accounts/confirm", "li.na@example.com", "zh")]

    path = mailed_path()
    assert client.get(path).status_code == 200
    assert db.session.query(Person).one().confirmed_at is None, "opening the link alone confirms nothing"
    assert client.post(path, data={"password": "wrong"}).status_code == 422
    assert client.post(path, data={"password": PASSWORD}).location == "/account"
    assert signed_in(client)
    assert client.get(path).status_code == 410

    client.post("/sign-out")
    assert not signed_in(client)


def test_a_name_is_more_than_spaces(client):
    assert client.post("/register", data=FORM | {"name": " \u3000"}).status_code == 422


def test_registering_a_known_address_looks_the_same_and_tells_its_owner(client, person):
    fresh = client.post("/register", data=FORM | {"email": "new@example.com"})
    known = client.post("/register", data=FORM | {"name": "Mallory", "password": "another long secret"})

    assert (known.status_code, known.location, known.data) == (fresh.status_code, fresh.location, fresh.data)
    assert mails() == [
        ("accounts/confirm", "new@example.com", "zh"),
        ("accounts/already_registered", "li.na@example.com", "en"),
    ]
    assert people.prove(NEW["email"], PASSWORD, now=clock.now()) is person


@pytest.mark.parametrize("path", ["/forgot-password", "/confirm"])
def test_asking_for_a_link_looks_the_same_for_every_address(client, person, path):
    answers = [
        client.post(path, data={"email": email})
        for email in (NEW["email"], "nobody@example.com", make_person(confirmed_at=None).email)
    ]
    assert [(answer.status_code, answer.location) for answer in answers] == [(303, "/mail-sent")] * 3
    assert len({answer.data for answer in answers}) == 1


def test_a_wrong_password_and_an_unknown_address_get_one_answer(client, person):
    wrong = client.post("/sign-in", data={"email": NEW["email"], "password": "wrong wrong wrong"})
    unknown = client.post("/sign-in", data={"email": "no.na@example.com", "password": "wrong wrong wrong"})

    assert (wrong.status_code, unknown.status_code) == (422, 422)
    assert wrong.text.replace(NEW["email"], "") == unknown.text.replace("no.na@example.com", "")


def test_signing_in_leads_back_but_never_elsewhere(client, person):
    stopped = client.get("/account/sessions?x=1")
    assert (stopped.status_code, stopped.location) == (303, "/sign-in?next=/account/sessions?x%3D1")

    page = client.get(stopped.location)
    assert 'value="/account/sessions?x=1"' in page.text
    for wanted, given in (
        ("/account/sessions?x=1", "/account/sessions?x=1"),
        ("//evil.example/", "/"),
        ("", "/account"),
    ):
        data = {"email": NEW["email"], "password": PASSWORD, "next": wanted}
        assert client.post("/sign-in", data=data).location == given


def test_registering_leads_on_to_where_one_was_going(client):
    page = client.get("/sign-in?next=/courses?q%3Ddesign").text
    [link] = re.findall(r'href="(/register\?[^"]+)"', page)
    client.get(link)
    client.post("/register", data=FORM)
    jobs.run_pending()
    assert client.post(mailed_path(), data={"password": PASSWORD}).location == "/courses?q=design"
    assert client.get("/sign-in?next=/account/security").location == "/account/security", "signed in already"


def test_a_form_whose_session_ended_leads_back_to_its_page(client):
    answer = client.post("/account/password", headers={"Referer": "http://localhost/account/password"})
    assert answer.location == "/sign-in?next=/account/password"
    assert client.post("/account/password", headers={"HX-Request": "true"}).headers["HX-Redirect"] == "/sign-in?next=/"


def test_an_unconfirmed_person_is_sent_the_link_again(client):
    make_person(email="new@example.com", confirmed_at=None, password=None)
    assert client.post("/sign-in", data={"email": "new@example.com", "password": PASSWORD}).status_code == 422
    assert mails() == [], "a wrong password sends nothing"

    client.post("/register", data=FORM)
    jobs.run_pending()
    clock.set_to(clock.now() + timedelta(minutes=11))
    sent = {"email": NEW["email"], "password": PASSWORD}
    answers = [client.post("/sign-in?lang=en", data=sent) for _ in range(3)]
    assert [("sent you the link once more" in one.text, one.status_code) for one in answers] == [
        (True, 422),
        (False, 422),
        (False, 422),
    ]
    assert "We sent you the link a few minutes ago" in answers[2].text
    assert mails() == [("accounts/confirm", "li.na@example.com", "zh")] * 2


def test_a_reset_ends_what_was_open_and_tells_the_person(client, app, person):
    other = app.test_client()
    other.post("/sign-in", data={"email": NEW["email"], "password": PASSWORD})
    assert signed_in(other)

    client.post("/forgot-password", data={"email": NEW["email"]})
    assert mails() == [("accounts/reset", NEW["email"], "en")]
    path = mailed_path()
    assert client.post(path, data={"password": "short"}).status_code == 422
    assert client.post(path, data={"password": "nine loud umbrellas"}).location == "/sign-in"
    assert mails()[1:] == [("accounts/password_changed", NEW["email"], "en")]
    assert not signed_in(other)
    assert client.post("/sign-in", data={"email": NEW["email"], "password": "nine loud umbrellas"}).status_code == 303


def test_pages_that_name_a_person_are_stored_nowhere(client, person):
    assert client.get("/sign-in").headers["Cache-Control"] == "private, no-cache"
    client.post("/sign-in", data={"email": NEW["email"], "password": PASSWORD})
    assert client.get("/account").headers["Cache-Control"] == "no-store"


def test_the_session_is_new_after_signing_in(client, person):
    with client.session_transaction() as session:
        session["planted"] = "by someone else"
    client.post("/sign-in", data={"email": NEW["email"], "password": PASSWORD})
    with client.session_transaction() as session:
        assert "planted" not in session
        assert not session.permanent


def test_the_language_of_the_account_is_spoken(client, person):
    client.post("/sign-in", data={"email": NEW["email"], "password": PASSWORD, "remember": "y"})
    assert '<html lang="en"' in client.get("/account").text
    with client.session_transaction() as session:
        assert session.permanent
