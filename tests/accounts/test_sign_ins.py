"""Sign-ins grow old, and are written to seldom."""

from datetime import UTC, datetime, timedelta

from marketplace.accounts import keys, sign_ins
from marketplace.accounts.models import SignIn
from marketplace.accounts.rules import browser_name
from marketplace.foundation import clock
from marketplace.foundation.database import db
from tests.factories import make_person, sign_in

NOW = datetime(2026, 3, 1, 4, tzinfo=UTC)


def begun(person, *, is_remembered=False):
    return sign_ins.begin(person, user_agent="x" * 400, address="::1", is_remembered=is_remembered, now=NOW)


def test_the_cookie_holds_the_key_and_the_row_its_hash(app):
    key = begun(make_person())
    row = db.session.query(SignIn).one()
    assert (row.key_hash, len(row.user_agent)) == (keys.digest(key), 300)
    assert sign_ins.find(key, now=NOW) is row
    assert sign_ins.find(row.key_hash, now=NOW) is None


def test_a_sign_in_ends_by_itself_unless_it_is_used(app):
    short, long = begun(make_person()), begun(make_person(), is_remembered=True)
    later = NOW + timedelta(hours=12)
    assert sign_ins.find(short, now=later) is None
    assert sign_ins.find(long, now=later) is not None

    sign_ins.see(sign_ins.find(long, now=later), now=later)
    assert sign_ins.find(long, now=later + timedelta(days=29)) is not None
    assert sign_ins.find(long, now=later + timedelta(days=30)) is None


def test_use_is_noted_every_five_minutes_at_most(client):
    clock.set_to(NOW)
    sign_in(client, make_person())
    row = db.session.query(SignIn).one()
    for minutes, seen in ((4, 0), (5, 5), (9, 5), (10, 10)):
        clock.set_to(NOW + timedelta(minutes=minutes))
        client.get("/account/sessions")
        assert row.seen_at == NOW + timedelta(minutes=seen)


def test_browsers_are_named():
    edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0"
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 MicroMessenger/8.0"
    assert [browser_name(text) for text in (edge, phone, "curl/8", "")] == [
        "Edge, Windows",
        "WeChat, iPhone",
        "curl/8",
        "?",
    ]
