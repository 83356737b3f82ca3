"""Which mails a person does not want, and the one click that says so."""

import re

import pytest

from marketplace.accounts import letters, mail_preferences
from marketplace.foundation import clock, mail
from marketplace.foundation.database import transaction
from tests.factories import make_person, sign_in

STOP = re.compile(r"http://localhost(/mail/stop/\S+)")


def reminder(person, key="1"):
    with transaction():
        return letters.write(person, "accounts/password_changed", key=key, kind=mail_preferences.REMINDER)


def stop_path(written):
    return STOP.search(written.text)[1]


def test_a_mail_that_can_be_stopped_says_how_in_words_and_headers(app):
    written = reminder(make_person(locale="zh"))
    sent = mail.compose(written, app.config["SETTINGS"])

    assert sent["List-Unsubscribe"] == f"<http://localhost{stop_path(written)}>"
    assert sent["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "不再接收此类邮件" in written.text
    assert stop_path(written) in written.html


def test_one_click_stops_that_kind_and_no_other(app, client):
    person = make_person()
    path = stop_path(reminder(person))

    assert client.get(path).status_code == 200, "looking stops nothing"
    assert mail_preferences.stopped(person.id) == frozenset()
    # As a mail program sends it: no cookie, no token of ours.
    app.config["WTF_CSRF_ENABLED"] = True
    try:
        answers = [client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code for _ in range(2)]
    finally:
        app.config["WTF_CSRF_ENABLED"] = False
    assert answers == [200, 200]
    assert mail_preferences.stopped(person.id) == {mail_preferences.REMINDER}
    assert reminder(person, "2") is None
    with transaction():
        assert letters.write(person, "accounts/password_changed", key="3") is not None, "safety is always told"


def test_a_forged_key_opens_nothing(client):
    key = mail_preferences.key_for(make_person(), mail_preferences.REMINDER, secret="another secret")
    assert client.post(f"/mail/stop/{key}").status_code == 404


def test_choosing_on_the_account_page(client):
    person = make_person(locale="en")
    sign_in(client, person)

    client.post("/account/mails", data={"kind": ["completion"]})
    assert mail_preferences.stopped(person.id) == {"reminder"}
    page = client.get("/account/mails").text
    assert [bool(re.search(f'id="kind-{kind}" checked', page)) for kind in ("reminder", "completion")] == [False, True]
    client.post("/account/mails", data={"kind": ["reminder", "completion"]})
    assert mail_preferences.stopped(person.id) == frozenset()


@pytest.mark.parametrize("values", [{"active": False}])
def test_nobody_is_written_to_who_is_not_there(app, values):
    assert reminder(make_person(**values)) is None


def test_a_kind_outside_the_list_cannot_be_chosen(app):
    person = make_person()
    mail_preferences.choose(person, ["everything"], now=clock.now())
    assert mail_preferences.stopped(person.id) == set(mail_preferences.KINDS)
