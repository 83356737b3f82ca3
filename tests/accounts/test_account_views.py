"""The doors of one's own account."""

import re

import pytest

from marketplace.accounts import people, sign_ins
from marketplace.accounts.industries import INDUSTRIES
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, transaction
from marketplace.foundation.mail import OutgoingMail
from tests.factories import make_person, sign_in

PASSWORD = "seven quiet lanterns"


@pytest.fixture
def person(app):
    """Someone with a password."""
    people.register(name="Li Na", email="li.na@example.com", password=PASSWORD, locale="en", now=clock.now())
    found = people.find_by_email("li.na@example.com")
    with transaction():
        found.confirmed_at = clock.now()
    jobs.run_pending()
    return found


@pytest.fixture
def visitor(client, person):
    """Their visitor, signed in."""
    return sign_in(client, person)


def mailed(message):
    """The mails of a kind, oldest first."""
    jobs.run_pending()
    return db.session.query(OutgoingMail).filter_by(message=f"accounts/{message}").order_by("id").all()


def test_every_optional_field_of_the_profile_says_why(visitor):
    page = visitor.get("/account").text
    assert len(re.findall(r"\(optional\)</span></label>\s*<p class=.field-hint", page)) == page.count("(optional)") == 7
    assert all(industry.code in page for industry in INDUSTRIES.values())


def test_the_profile_is_saved_and_shown_again(visitor, person):
    values = {"name": "Na Li", "locale": "en", "time_zone": "Europe/London", "region": "310000", "district": "310104"}
    values |= {"industry_code": "8850", "occupation": "Curator", "employer": "", "employer_size": "small"}
    values |= {"experience_band": "5-9"}
    assert visitor.post("/account", data=values).status_code == 303
    assert {name: getattr(person, name) for name in values} == values | {"employer": None}
    assert '<option selected value="8850">' in visitor.get("/account").text


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": " \u3000"}, {"region": "999999"}, {"time_zone": "Mars/Olympus"}, {"locale": "fr"}]
)
def test_a_wrong_profile_is_refused(visitor, person, wrong):
    assert visitor.post("/account", data={"name": "Na", "locale": "en", "time_zone": "UTC"} | wrong).status_code == 422
    assert person.name == "Li Na"


def test_changing_the_password_keeps_this_browser_and_ends_the_others(app, visitor, person):
    other = sign_in(app.test_client(), person)
    assert (
        visitor.post("/account/password", data={"password": "no", "new_password": "nine loud umbrellas"}).status_code
        == 422
    )
    data = {"password": PASSWORD, "new_password": "nine loud umbrellas"}
    assert visitor.post("/account/password", data=data).location == "/account/security"
    assert visitor.get("/account/security").status_code == 200
    assert other.get("/account/security").status_code == 303
    assert [mail.recipient for mail in mailed("password_changed")] == ["li.na@example.com"]


def test_the_address_changes_after_the_new_mailbox_answers(visitor, person):
    assert visitor.post("/account/email", data={"email": "na@example.org", "password": "no"}).status_code == 422
    answer = visitor.post("/account/email", data={"email": "na@example.org", "password": PASSWORD})
    assert answer.location == "/mail-sent"
    [mail] = mailed("change_email")
    assert (mail.recipient, person.email) == ("na@example.org", "li.na@example.com")

    path = re.search(r"http://localhost(/\S+)", mail.text)[1]
    assert visitor.get(path).status_code == 200
    assert person.email == "li.na@example.com"
    assert visitor.post(path).location == "/account"
    assert person.email == "na@example.org"
    assert [told.recipient for told in mailed("email_changed")] == ["li.na@example.com"]
    assert visitor.get("/account").status_code == 200, "the person stays signed in: the key is not the address"


def test_who_takes_the_account_back_takes_the_thiefs_links_too(visitor, person):
    visitor.post("/account/email", data={"email": "thief@example.org", "password": PASSWORD})
    [mail] = mailed("change_email")
    people.ask_for_reset("li.na@example.com")
    [reset] = mailed("reset")

    visitor.post(re.search(r"http://localhost(/\S+)", reset.text)[1], data={"password": "nine loud umbrellas"})

    assert visitor.post(re.search(r"http://localhost(/\S+)", mail.text)[1]).status_code == 410
    assert person.email == "li.na@example.com"


def test_a_taken_address_gets_the_same_answer(visitor):
    taken = make_person(email="taken@example.org")
    answers = [
        visitor.post("/account/email", data={"email": email, "password": PASSWORD})
        for email in ("free@example.org", taken.email)
    ]
    assert {(answer.status_code, answer.location) for answer in answers} == {(303, "/mail-sent")}
    assert [mail.recipient for mail in mailed("change_email")] == ["free@example.org"]
    assert [mail.recipient for mail in mailed("already_registered")] == ["taken@example.org"]


def test_sign_ins_are_listed_and_ended(app, visitor, person):
    other = sign_in(app.test_client(), person)
    page = visitor.get("/account/sessions").text
    [ending] = re.findall(r'action="(/account/sessions/\w+/end)"', page)
    assert page.count("This browser") == 1

    assert visitor.post(ending).status_code == 303
    assert other.get("/account").status_code == 303
    assert visitor.get("/account").status_code == 200


def test_every_other_sign_in_ends_at_once(app, visitor, person):
    others = [sign_in(app.test_client(), person) for _ in range(2)]
    visitor.post("/account/sessions/end-others")
    assert [client.get("/account").status_code for client in (visitor, *others)] == [200, 303, 303]


def test_the_sign_in_of_another_person_does_not_exist(visitor):
    stranger = make_person()
    sign_ins.begin(stranger, user_agent="", address="", is_remembered=False, now=clock.now())
    [theirs] = sign_ins.list_open(stranger, now=clock.now())
    assert visitor.post(f"/account/sessions/{theirs.public_id}/end").status_code == 404
    assert sign_ins.list_open(stranger, now=clock.now()) == [theirs]


def test_a_closed_account_is_signed_out(visitor, person):
    with transaction():
        person.active = False
    assert visitor.get("/account").status_code == 303


def test_what_happened_is_shown(visitor, person):
    people.change_password(person, old=PASSWORD, new="nine loud umbrellas", now=clock.now())
    sign_in(visitor, person)
    assert "Password changed" in visitor.get("/account/security").text
