"""Staff are appointed by administrators, or first of all on the command line."""

import pytest
from sqlalchemy import event

from marketplace.accounts import staff
from marketplace.accounts.models import AccountEvent
from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from tests.factories import make_person, make_staff, sign_in


def test_an_administrator_appoints_and_dismisses(client):
    chief, person = make_staff("administrator"), make_person(name="Wu")
    sign_in(client, chief)
    assert "Wu" in client.get("/staff/people?q=wu").text
    client.post(f"/staff/people/{person.public_id}/roles", data={"role": "analyst"})
    client.post(f"/staff/people/{person.public_id}/roles", data={"role": "analyst"})
    assert (person.staff_roles, person.has_role("analyst"), person.has_role("reviewer")) == ({"analyst"}, True, False)
    client.post(f"/staff/people/{person.public_id}/roles/take", data={"role": "analyst"})
    assert person.staff_roles == frozenset()
    trail = db.session.query(AccountEvent.kind, AccountEvent.actor_id).order_by(AccountEvent.id).all()
    assert trail == [("appointed", chief.id), ("dismissed", chief.id)]


def test_administrators_stand_in_for_every_role_but_cannot_leave_it_themselves(app):
    chief = make_staff("administrator")
    assert chief.has_role("finance_officer")
    with pytest.raises(Refused, match="own_administration"):
        staff.dismiss(chief, "administrator", actor=chief, now=clock.now())


def test_the_roles_of_everyone_on_the_page_are_one_query(app):
    for number in range(4):
        make_staff("analyst", name=f"Wu {number}")
    db.session.expunge_all()
    statements = []
    note = lambda _connection, _cursor, statement, *_rest: statements.append(statement)  # noqa: E731
    event.listen(db.engine, "before_cursor_execute", note)
    try:
        found = [*staff.list_staff(), *staff.search_people("wu")]
        assert [person.staff_roles for person in found] == [{"analyst"}] * 8
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 4


def test_words_of_a_search_are_not_patterns(app):
    make_person(name="100 %")
    assert [person.name for person in staff.search_people("%")] == ["100 %"]
    assert staff.search_people("_") == []
    assert staff.search_people(" ") == []


def test_the_first_administrator_is_appointed_on_the_command_line(app):
    person = make_person(email="first@example.com")
    runner = app.test_cli_runner()
    assert runner.invoke(args=["accounts", "appoint", "first@example.com", "administrator"]).exit_code == 0
    assert person.staff_roles == {"administrator"}
    assert "no account" in runner.invoke(args=["accounts", "appoint", "who@example.com", "analyst"]).output
