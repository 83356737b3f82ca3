"""What people agree to: recorded by the act itself, shown to them, shared only while they want it."""

from hashlib import sha256

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import InternalError, ProgrammingError

from marketplace.accounts import agreements, consents, people
from marketplace.accounts.models import Consent, Membership
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, savepoint, transaction
from marketplace.foundation.errors import NotFound
from tests.factories import make_organisation, make_person, make_run, sign_in

NEW = {"name": "Li Na", "email": "li.na@example.com", "password": "seven quiet lanterns", "agrees": "y"}


def agreed(person):
    return [(row.document, row.version, row.act, row.reference) for row in reversed(consents.list_all(person.id))]


def employee():
    employer, person = make_organisation(kind="employer"), make_person()
    with transaction():
        add(Membership(person_id=person.id, organisation_id=employer.id, role="instructor"))
    return employer, person


def test_a_released_text_never_changes():
    lines = (agreements.TEXTS / "SHA256SUMS").read_text().splitlines()
    kept = {name: digest for digest, name in (line.split() for line in lines)}
    assert {path.name: sha256(path.read_bytes()).hexdigest() for path in agreements.TEXTS.glob("*.txt")} == kept


@pytest.mark.parametrize("document", agreements.NEWEST)
def test_both_languages_say_as_much(document):
    for version in range(1, agreements.NEWEST[document] + 1):
        zh, en = (agreements.read(document, version, language) for language in ("zh", "en"))
        assert [len(paragraphs) for _, paragraphs in zh.parts] == [len(paragraphs) for _, paragraphs in en.parts]


def test_a_version_that_never_was_is_not_found(client):
    for path in ("/agreements/terms/2", "/agreements/terms/0", "/agreements/cookies"):
        assert client.get(path).status_code == 404


def test_registering_agrees_to_terms_and_privacy(client):
    assert client.post("/register", data=NEW | {"agrees": ""}).status_code == 422
    assert people.find_by_email(NEW["email"]) is None
    client.post("/register", data=NEW, headers={"Accept-Language": "en"})

    found = people.find_by_email(NEW["email"])
    assert agreed(found) == [("terms", 1, "registration", ""), ("privacy", 1, "registration", "")]
    assert {row.language for row in consents.list_all(found.id)} == {"en"}


def test_an_order_agrees_to_the_terms_of_its_moment(client):
    run, person = make_run(price_minor=0), make_person()
    sign_in(client, person)
    form = {"request_key": "0123456789ab", "shown_minor": "0", "shown_currency": "CNY"}
    number = client.post(f"/runs/{run.public_id}/enrol", data=form).location.rpartition("/")[2]

    assert agreed(person) == [("terms", 1, "purchase", number)]
    assert f'href="/orders/{number}"' in client.get("/account/agreements").text


def test_sharing_with_an_employer_and_withdrawing(client):
    employer, person = employee()
    sign_in(client, person)
    path = f"/account/agreements/share/{employer.public_id}"
    assert [client.post(path).status_code for _ in range(2)] == [303, 303]
    assert consents.sharing_people(employer.id) == {person.id}

    [consent] = consents.list_all(person.id)
    assert client.post(f"/account/agreements/{consent.id}/withdraw").status_code == 303
    assert not consents.is_shared(person.id, employer.id)
    assert client.post(path).status_code == 303
    assert [row.withdrawn_at is None for row in consents.list_all(person.id)] == [True, False]


def test_nobody_shares_or_withdraws_for_others(client):
    employer, person = employee()
    consents.share(person, employer, language="zh", now=clock.now())
    [consent] = consents.list_all(person.id)
    stranger = make_person()
    sign_in(client, stranger)

    assert client.post(f"/account/agreements/share/{employer.public_id}").status_code == 404
    assert client.post(f"/account/agreements/{consent.id}/withdraw").status_code == 404
    with pytest.raises(NotFound):
        consents.share(person, make_organisation(kind="university"), language="zh", now=clock.now())


def test_the_database_keeps_what_was_agreed(app):
    employer, person = employee()
    consents.share(person, employer, language="zh", now=clock.now())
    for statement in (update(Consent).values(version=2), text("DELETE FROM consent")):
        with pytest.raises((InternalError, ProgrammingError), match="append-only"), savepoint():
            db.session.execute(statement)
