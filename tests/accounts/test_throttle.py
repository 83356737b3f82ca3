"""Throttling: exact under parallel hits, shared by processes, and felt at the doors."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from marketplace import create_app
from marketplace.accounts import throttle
from marketplace.accounts.models import ThrottleHit
from marketplace.accounts.throttle import PostgresStorage
from marketplace.enrolment import pools
from marketplace.enrolment.pools import PoolWish
from marketplace.foundation import clock
from marketplace.foundation.database import db
from tests.conftest import settings_for
from tests.factories import make_person, make_run, session_of

NOW = datetime(2026, 3, 1, 4, tzinfo=UTC)


@pytest.fixture
def storage(race_app):
    """A storage on a database of its own."""
    clock.set_to(NOW)
    with race_app.app_context():
        yield PostgresStorage("marketplace://")


def test_hits_are_counted_in_windows(storage):
    assert [storage.incr("a", 60), storage.incr("a", 60), storage.incr("b", 60, amount=3)] == [1, 2, 3]
    assert (storage.get("a"), storage.get("c")) == (2, 0)
    assert storage.get_expiry("a") == (NOW + timedelta(seconds=60)).timestamp()
    clock.set_to(NOW + timedelta(seconds=60))
    assert storage.get("a") == 0
    assert storage.incr("a", 60) == 1


def test_hits_are_forgotten(storage):
    storage.incr("a", 60)
    storage.incr("b", 60)
    storage.clear("a")
    assert (storage.get("a"), storage.get("b"), storage.check()) == (0, 1, True)
    assert storage.reset() == 1


def test_no_hit_is_lost_among_forty_at_once(race_app, storage):
    def hit(_number):
        with race_app.app_context():
            return storage.incr("a", 60)

    with ThreadPoolExecutor(40) as pool:
        assert sorted(pool.map(hit, range(200))) == list(range(1, 201))


def test_windows_that_ended_are_swept(storage):
    storage.incr("old", 60)
    storage.incr("young", 3600)
    clock.set_to(NOW + timedelta(seconds=61))
    throttle.sweep()
    assert [hit.key for hit in db.session.query(ThrottleHit)] == ["young"]


def attempts(client, count, **form):
    """The statuses of attempts to sign in."""
    data = {"email": "li.na@example.com", "password": "wrong"} | form
    return [client.post("/sign-in", data=data).status_code for _ in range(count)]


@pytest.fixture
def processes(make_database, tmp_path):
    """Two applications on one database with the limits on, as two processes have them."""
    settings = settings_for(make_database(), tmp_path, environment="development")
    apps = [create_app(settings), create_app(settings)]
    for app in apps:
        app.config["WTF_CSRF_ENABLED"] = False
    yield apps
    throttle.limiter.enabled = False
    clock.reset()
    for app in apps:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def test_an_account_is_guessed_twenty_times_whatever_the_process(processes):
    here, there = (app.test_client() for app in processes)
    assert attempts(here, 10) + attempts(there, 10) == [422] * 20
    assert attempts(here, 1, email=" LI.NA@example.com") + attempts(there, 1) == [429, 429]
    assert attempts(here, 1, email="someone.else@example.com") == [422]
    clock.shift(601)
    assert attempts(here, 1) == [422]


def test_an_account_is_guarded_from_somebody_who_is_signed_in_elsewhere(processes):
    app, _other = processes
    with app.app_context():
        guessers = [session_of(app, make_person())[0] for _ in range(2)]
    here = app.test_client()
    answers = []
    for cookie in guessers:
        here.set_cookie("session", cookie)
        answers += attempts(here, 11)
    assert answers == [422] * 20 + [429] * 2


def test_an_address_in_a_form_is_no_fresh_limit(processes):
    client = processes[0].test_client()
    statuses = [client.post("/reset-password/none", data={"email": f"a{n}@example.com"}).status_code for n in range(21)]
    assert statuses == [410] * 20 + [429]


@pytest.mark.parametrize(
    ("remote", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::"),
        ("2001:db8::ffff:1", "2001:db8::"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
    ],
)
def test_a_network_is_a_whole_household(remote, network):
    assert throttle._network(remote) == network


def test_the_table_names_nobody(processes):
    attempts(processes[0].test_client(), 1)
    with processes[0].app_context():
        keys = [hit.key for hit in db.session.query(ThrottleHit)]
    assert keys
    assert not [key for key in keys if "example" in key or "127.0.0.1" in key]


def test_a_mailbox_is_not_flooded(processes):
    client = processes[0].test_client()
    mistyped = {"name": "A", "email": "a@example.com", "password": "short"}
    assert [client.post("/register", data=mistyped).status_code for _ in range(9)] == [422] * 9
    paths = ("/forgot-password", "/confirm") * 3
    statuses = [client.post(path, data={"email": "a@example.com"}).status_code for path in paths]
    assert statuses == [303] * 5 + [429]


def test_an_account_guesses_fifteen_codes_whatever_the_door(processes):
    app, _other = processes
    with app.app_context():
        person, path = make_person(), f"/runs/{make_run().public_id}/enrol"
    client = app.test_client()
    client.set_cookie("session", session_of(app, person)[0])
    data = {"request_key": "0123456789ab", "shown_minor": "128000", "shown_currency": "CNY", "voucher_code": "GUESSED"}

    doors = [path, f"{path}/price"] * 8
    assert [client.post(door, data=data).status_code for door in doors] == [422] * 15 + [429]


def test_the_code_of_kept_seats_is_not_guessed_either(processes):
    app, _other = processes
    with app.app_context():
        person, run = make_person(), make_run()
        wish = PoolWish("campaign", "code", 2, clock.now() + timedelta(days=1), code="museum-2026")
        pools.create_pool(run.id, wish, actor_id=None, now=clock.now())
        path = f"/runs/{run.public_id}"
    client = app.test_client()
    client.set_cookie("session", session_of(app, person)[0])

    assert [client.get(f"{path}/enrol?seats=museum-2026").status_code for _ in range(20)] == [200] * 20
    assert [client.get(f"{path}/enrol?seats=museum-20{number}").status_code for number in range(14)] == [200] * 14
    assert client.post(f"{path}/wait", data={"seat_code": "museum"}).status_code == 303
    assert client.get(f"{path}/enrol?seats=museum-2027").status_code == 429
    assert client.get(f"{path}/enrol").status_code == 200
