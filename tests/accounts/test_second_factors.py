"""The second factor: codes of an app and recovery codes, each usable once; and what a change of it ends."""

import dataclasses
import re
from datetime import UTC, datetime, timedelta

import pytest

from marketplace.accounts import people, second_factors, staff, totp_rules
from marketplace.accounts.models import RecoveryCode, SecondFactor
from marketplace.accounts.second_factors import WrongCode
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, transaction
from marketplace.foundation.mail import OutgoingMail
from tests.factories import make_person, make_staff, sign_in

PASSWORD = "seven quiet lanterns"
EMAIL = "li.na@example.com"


@pytest.fixture
def now(app):
    clock.set_to(datetime(2026, 11, 24, 12, 0, 10, tzinfo=UTC))
    return clock.now()


@pytest.fixture
def person(now):
    people.register(name="Li Na", email=EMAIL, password=PASSWORD, locale="en", now=now)
    found = people.find_by_email(EMAIL)
    with transaction():
        found.confirmed_at = now
    return found


def code(secret, moment):
    return totp_rules.code_of(secret, int(moment.timestamp()) // 30)


@pytest.fixture
def guarded(person, now):
    """Secret and recovery codes of a person whose factor is on."""
    secret = second_factors.begin(person)
    return secret, second_factors.confirm(person, code(secret, now), now=now)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(59, "94287082"), (1111111109, "07081804"), (1234567890, "89005924"), (20000000000, "65353130")],
)
def test_codes_are_those_of_rfc_6238(seconds, expected):
    assert totp_rules.code_of(b"12345678901234567890", seconds // 30, digits=8) == expected


def test_a_code_works_once_and_only_near_its_time(guarded, person, now):
    secret, _codes = guarded
    with pytest.raises(WrongCode):
        second_factors.prove(person, code(secret, now), now=now)
    later = now + timedelta(seconds=30)
    second_factors.prove(person, code(secret, later), now=later)
    with pytest.raises(WrongCode):
        second_factors.prove(person, code(secret, later), now=later)
    with pytest.raises(WrongCode):
        second_factors.prove(person, code(secret, later + timedelta(minutes=2)), now=later)


def test_a_recovery_code_works_once_however_it_is_typed(guarded, person, now):
    _secret, codes = guarded
    assert len(set(codes)) == second_factors.codes_left(person.id) == 10
    second_factors.prove(person, f" {codes[0].upper().replace('-', ' ')} ", now=now)
    with pytest.raises(WrongCode):
        second_factors.prove(person, codes[0], now=now)
    assert second_factors.codes_left(person.id) == 9


def test_a_code_is_read_as_people_type_it(client, person, now):
    secret = second_factors.begin(person)
    wide = code(secret, now).translate({ord("0") + digit: ord("\uff10") + digit for digit in range(10)})
    assert len(second_factors.confirm(person, f" {wide[:3]} {wide[3:]}", now=now)) == 10

    client.post("/sign-in", data={"email": EMAIL, "password": PASSWORD})
    for typed in ("１２３４５６", "éé3456", "²³³³³³"):
        assert client.post("/sign-in/code", data={"code": typed}).status_code == 422


def test_neither_secret_nor_codes_stand_in_the_database(guarded):
    secret, codes = guarded
    kept = [row.secret for row in db.session.query(SecondFactor)] + [
        row.code_hash for row in db.session.query(RecoveryCode)
    ]
    assert not any(word in text for text in kept for word in (secret.hex(), *codes, totp_rules.readable(secret)))


def test_a_factor_that_was_not_confirmed_guards_nothing(person, now):
    secret = second_factors.begin(person)
    assert second_factors.begin(person) == secret, "reloading the page keeps the picture"
    with pytest.raises(WrongCode):
        second_factors.confirm(person, "000000", now=now)
    assert not second_factors.is_on(person.id)


def test_setting_it_up_signing_in_with_it_and_switching_it_off(client, person, now):
    elsewhere = sign_in(client.application.test_client(), person)
    sign_in(client, person)
    page = client.get("/account/second-factor").text
    assert "<svg" in page
    assert re.search(r"<code>[A-Z2-7 ]{30,}</code>", page)
    secret = second_factors.begin(person)
    assert client.post("/account/second-factor", data={"code": "1"}).status_code == 422
    page = client.post("/account/second-factor", data={"code": code(secret, now)}).text
    [first, *_] = re.findall(r"<code>(\w{4}-\w{4}-\w{4})</code>", page)
    assert client.get("/account").status_code == 200, "this browser stays, with a new session"
    assert elsewhere.get("/account").status_code == 303

    client.post("/sign-out")
    half = client.post("/sign-in", data={"email": EMAIL, "password": PASSWORD, "next": "/my"})
    assert half.location == "/sign-in/code"
    assert client.get("/account").status_code == 303, "the password alone opens nothing"
    assert client.post("/sign-in/code", data={"code": "000000"}).status_code == 422
    assert client.post("/sign-in/code", data={"code": first}).location == "/my"

    assert client.post("/account/second-factor/off", data={"password": "wrong"}).status_code == 422
    assert client.post("/account/second-factor/off", data={"password": PASSWORD}).status_code == 303
    client.post("/sign-out")
    assert client.post("/sign-in", data={"email": EMAIL, "password": PASSWORD}).location == "/account"
    jobs.run_pending()
    told = [mail.message for mail in db.session.query(OutgoingMail).order_by("id") if "second" in mail.message]
    assert told == ["accounts/second_factor_on", "accounts/second_factor_off"]


def test_the_proof_of_the_password_grows_old(client, guarded, now):
    client.post("/sign-in", data={"email": EMAIL, "password": PASSWORD})
    clock.set_to(now + timedelta(minutes=11))
    assert client.get("/sign-in/code").location == "/sign-in"


def test_staff_may_be_required_to_have_one(app, client, monkeypatch, now):
    analyst = make_staff("analyst", locale="en")
    sign_in(client, analyst)
    assert client.get("/staff/figures").status_code == 200
    monkeypatch.setitem(
        app.config, "SETTINGS", dataclasses.replace(app.config["SETTINGS"], staff_second_factor="required")
    )
    assert client.get("/staff/figures").location == "/account/second-factor"
    assert client.get("/account").status_code == 200

    secret = second_factors.begin(analyst)
    client.post("/account/second-factor", data={"code": code(secret, now)})
    assert client.get("/staff/figures").status_code == 200


def test_who_gets_or_loses_a_staff_role_signs_in_anew(client, now):
    person, administrator = make_person(), make_staff("administrator")
    for change in (staff.appoint, staff.dismiss):
        sign_in(client, person)
        change(person, "analyst", actor=administrator, now=now)
        assert client.get("/account").status_code == 303
