"""Registering, confirming, proving, resetting and changing: what each act promises."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from marketplace.accounts import keys, mailed_links, people, sign_ins
from marketplace.accounts.mailed_links import LinkSpent
from marketplace.accounts.models import AccountEvent, MailedLink, Person
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Invalid
from marketplace.foundation.mail import OutgoingMail

PASSWORD = "seven quiet lanterns"
NOW = datetime(2026, 3, 1, 4, tzinfo=UTC)


@pytest.fixture(autouse=True)
def stopped_clock(app: Flask) -> None:
    """Every test of this module happens at NOW."""
    clock.set_to(NOW)


def registered(email: str = "li.na@example.com", name: str = "Li Na") -> Person:
    """A person waiting for confirmation."""
    people.register(name=name, email=email, password=PASSWORD, locale="en", now=NOW)
    found = people.find_by_email(email)
    assert found is not None
    return found


def confirmed(email: str = "li.na@example.com") -> Person:
    """A person who may sign in."""
    person = registered(email)
    with transaction():
        person.confirmed_at = NOW
    return person


def link(person: Person, purpose: str) -> str:
    """The key of a fresh link."""
    with transaction():
        return mailed_links.draw(person, purpose, person.email, now=NOW)


def test_the_address_is_one_however_it_is_typed() -> None:
    person = registered("Li.Na@Example.COM")
    assert person.email == "li.na@example.com"
    assert people.find_by_email("  LI.NA@example.com ") is person
    assert people.find_by_email("no address") is None


def test_the_password_is_kept_as_argon2id() -> None:
    person = registered()
    assert re.match(r"\$argon2id\$v=19\$", person.password or "")


@pytest.mark.parametrize(
    "password", ["short", "1234567890", "passwordpassword", "password2026!", "li.na@example.com", "aaaaaaaaaaaa"]
)
def test_a_password_that_is_guessed_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        people.register(name="Li Na", email="li.na@example.com", password=password, locale="en", now=NOW)
    assert list(refused.value.fields) == ["password"]
    assert people.find_by_email("li.na@example.com") is None


def test_registering_a_confirmed_address_again_changes_nothing() -> None:
    person = confirmed()
    before = person.password
    people.register(name="Mallory", email=person.email, password="another long secret", locale="zh", now=NOW)
    db.session.refresh(person)
    assert (person.name, person.password, person.locale) == ("Li Na", before, "en")
    assert db.session.query(Person).count() == 1


def test_whoever_confirms_must_know_the_password() -> None:
    person = registered()
    key = link(person, "confirm")
    with pytest.raises(people.WrongCredentials):
        people.confirm(key, "not the password", now=NOW)
    assert person.confirmed_at is None
    assert people.confirm(key, PASSWORD, now=NOW).confirmed_at == NOW
    with pytest.raises(LinkSpent):
        people.confirm(key, PASSWORD, now=NOW)


def test_proving_needs_address_password_and_confirmation() -> None:
    person = registered()
    with pytest.raises(people.NotConfirmed):
        people.prove(person.email, PASSWORD, now=NOW)
    with transaction():
        person.confirmed_at = NOW
    assert people.prove("LI.NA@example.com", PASSWORD, now=NOW) is person
    for email, password in ((person.email, "wrong"), ("nobody@example.com", PASSWORD), ("", "")):
        with pytest.raises(people.WrongCredentials):
            people.prove(email, password, now=NOW)


def test_whoever_signs_in_unconfirmed_is_sent_the_link_once_in_a_while() -> None:
    person = registered()
    sent = []
    for minutes in (0, 1, 11, 12, 20, 40):
        now = NOW + timedelta(minutes=minutes)
        clock.set_to(now)
        jobs.run_pending()
        for _ in range(3):
            with pytest.raises(people.NotConfirmed):
                people.prove(person.email, PASSWORD, now=now)
        jobs.run_pending()
        sent.append(db.session.query(OutgoingMail).filter_by(recipient=person.email).count())
    # The first is of registering itself.
    assert sent == [1, 1, 2, 2, 2, 3]


def test_a_closed_account_proves_nothing() -> None:
    person = confirmed()
    with transaction():
        person.active = False
    with pytest.raises(people.WrongCredentials):
        people.prove(person.email, PASSWORD, now=NOW)


def test_links_are_hashed_expire_and_are_replaced_by_newer_ones() -> None:
    person = confirmed()
    first = link(person, "reset")
    assert db.session.query(MailedLink.key_hash).scalar() == keys.digest(first)
    second = link(person, "reset")
    with pytest.raises(LinkSpent):
        mailed_links.find(first, "reset", now=NOW)
    assert mailed_links.find(second, "reset", now=NOW).email == person.email
    with pytest.raises(LinkSpent):
        mailed_links.find(second, "confirm", now=NOW)
    with pytest.raises(LinkSpent):
        mailed_links.find(second, "reset", now=NOW + timedelta(hours=1))


def test_a_reset_replaces_the_password_and_ends_every_sign_in() -> None:
    person = confirmed()
    name_in_cookies = person.fs_uniquifier
    cookie = sign_ins.begin(person, user_agent="test", address="::1", is_remembered=True, now=NOW)
    people.reset_password(link(person, "reset"), "nine loud umbrellas", now=NOW)
    assert people.prove(person.email, "nine loud umbrellas", now=NOW) is person
    assert sign_ins.find(cookie, now=NOW) is None
    assert person.fs_uniquifier != name_in_cookies


def test_a_weak_new_password_leaves_the_link_usable() -> None:
    person = confirmed()
    key = link(person, "reset")
    with pytest.raises(Invalid):
        people.reset_password(key, "short", now=NOW)
    assert mailed_links.find(key, "reset", now=NOW).used_at is None


def test_changing_the_password_needs_the_old_one() -> None:
    person = confirmed()
    with pytest.raises(Invalid) as refused:
        people.change_password(person, old="wrong", new="nine loud umbrellas", now=NOW)
    assert list(refused.value.fields) == ["password"]
    people.change_password(person, old=PASSWORD, new="nine loud umbrellas", now=NOW)
    assert people.prove(person.email, "nine loud umbrellas", now=NOW) is person


def test_the_address_changes_when_the_new_mailbox_answers() -> None:
    person = confirmed()
    with transaction():
        key = mailed_links.draw(person, "change_email", "na.li@example.org", now=NOW)
    assert people.find_by_email("na.li@example.org") is None
    people.change_email(key, now=NOW)
    assert people.find_by_email("na.li@example.org") is person


def test_an_address_taken_meanwhile_is_not_taken_over() -> None:
    person = confirmed()
    with transaction():
        key = mailed_links.draw(person, "change_email", "na.li@example.org", now=NOW)
    registered("na.li@example.org", "Other")
    with pytest.raises(LinkSpent):
        people.change_email(key, now=NOW)
    assert person.email == "li.na@example.com"


def test_the_profile_keeps_what_is_given_and_empties_what_is_not() -> None:
    person = confirmed()
    people.update_profile(person, {"name": " Li Na ", "region": "310000", "district": "310101"}, now=NOW)
    assert (person.name, person.region, person.district) == ("Li Na", "310000", "310101")
    people.update_profile(person, {"region": ""}, now=NOW)
    assert (person.region, person.district) == (None, None)


def test_the_trail_cannot_be_rewritten() -> None:
    person = confirmed()
    people.update_profile(person, {"name": "Na"}, now=NOW)
    event = db.session.query(AccountEvent).one()
    assert (event.kind, event.person_id, event.actor_id) == ("profile_changed", person.id, person.id)
    with pytest.raises(Exception, match="append-only"), db.session.begin_nested():
        db.session.query(AccountEvent).delete()


def test_one_mailbox_is_one_row() -> None:
    confirmed()
    with pytest.raises(Invalid), transaction():
        add(Person(email="Upper@example.com", name="x"))
