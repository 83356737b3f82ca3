"""What two hands do to one account or one organisation at the same instant."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest

from marketplace.accounts import mailed_links, organisations, people, staff
from marketplace.accounts.models import Membership, Organisation, Person
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Refused
from tests.factories import make_member, make_organisation, make_person, make_staff

PASSWORD = "seven quiet lanterns"
NOW = datetime(2026, 3, 1, 4, tzinfo=UTC)
HANDS = 8


def at_once(app, acts):
    """Do all acts at the same time, each on a connection of its own; gives "done" or the refusal's code for each."""
    barrier = Barrier(len(acts))

    def do(act):
        with app.app_context():
            db.session.connection()
            db.session.rollback()
            barrier.wait()
            try:
                act()
            except Refused as refused:
                return refused.code
            return "done"

    with ThreadPoolExecutor(len(acts)) as pool:
        return sorted(pool.map(do, acts))


@pytest.mark.parametrize("_round", range(5))
def test_one_address_registers_once(race_app, _round):
    def register():
        people.register(name="Li Na", email="li.na@example.com", password=PASSWORD, locale="en", now=NOW)

    assert at_once(race_app, [register] * HANDS) == ["done"] * HANDS
    with race_app.app_context():
        assert db.session.query(Person).count() == 1


@pytest.mark.parametrize("_round", range(5))
def test_a_mailed_link_is_used_once(race_app, _round):
    with race_app.app_context(), transaction():
        person = make_person()
        key = mailed_links.draw(person, "reset", person.email, now=NOW)

    def reset():
        people.reset_password(key, PASSWORD, now=NOW)

    assert at_once(race_app, [reset] * HANDS) == ["done", *["link_spent"] * (HANDS - 1)]


@pytest.mark.parametrize("_round", range(5))
def test_two_owners_cannot_both_leave(race_app, _round):
    with race_app.app_context(), transaction():
        organisation = make_organisation()
        owners = [make_member(organisation, "owner").id for _ in range(2)]
        public_id = organisation.public_id

    def leave(owner_id):
        def act():
            owner = db.session.get(Person, owner_id)
            organisations.remove_role(organisations.get(public_id), owner.public_id, "owner", actor=owner, now=NOW)

        return act

    assert at_once(race_app, [leave(owner) for owner in owners]) == ["done", "last_owner"]
    with race_app.app_context():
        assert db.session.query(Membership).filter_by(role="owner").count() == 1
        assert db.session.query(Organisation).count() == 1


@pytest.mark.parametrize("_round", range(5))
def test_two_administrators_cannot_dismiss_each_other(race_app, _round):
    with race_app.app_context(), transaction():
        chiefs = [make_staff("administrator").id for _ in range(2)]

    def dismiss(actor_id, other_id):
        def act():
            actor, other = db.session.get(Person, actor_id), db.session.get(Person, other_id)
            staff.dismiss(other, "administrator", actor=actor, now=NOW)

        return act

    answers = at_once(race_app, [dismiss(*chiefs), dismiss(*reversed(chiefs))])
    assert answers == ["done", "forbidden"]
    with race_app.app_context():
        assert len(staff.list_staff()) == 1
