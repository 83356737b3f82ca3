"""Organisations: joined by invitation, never without an owner, closed to strangers."""

import re
from datetime import timedelta

import pytest

from marketplace.accounts import keys, organisations
from marketplace.accounts.mailed_links import LinkSpent
from marketplace.accounts.models import AccountEvent, Invitation, Membership
from marketplace.accounts.organisations import LastOwner
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.mail import OutgoingMail
from tests.factories import make_member, make_organisation, make_person, make_staff, sign_in


@pytest.fixture
def organisation(app):
    """A university."""
    return make_organisation()


@pytest.fixture
def owner(organisation):
    """Its only owner."""
    return make_member(organisation, "owner", locale="en")


def invited(organisation, owner, email, role="editor"):
    """Invite and return the path of the mailed link."""
    organisations.invite(organisation, email=email, role=role, actor=owner, now=clock.now())
    jobs.run_pending()
    newest = db.session.query(OutgoingMail).order_by(OutgoingMail.id.desc()).first()
    assert (newest.message, newest.recipient) == ("accounts/invitation", email.lower())
    return re.search(r"http://localhost(/\S+)", newest.text)[1]


def roles(organisation):
    """Who has which roles."""
    found = db.session.query(Membership).filter_by(organisation_id=organisation.id)
    return sorted((row.person.name, row.role) for row in found)


def test_an_invitation_makes_a_member_once(client, organisation, owner):
    guest = make_person(email="guest@example.com", name="Guest")
    path = invited(organisation, owner, "Guest@Example.com")
    key = path.rsplit("/", 1)[1]
    assert db.session.query(Invitation.key_hash).scalar() == keys.digest(key)

    sign_in(client, guest)
    assert client.get(path).status_code == 200
    assert ("Guest", "editor") not in roles(organisation), "looking accepts nothing"
    assert client.post(path).location == f"/organisations/{organisation.public_id}/members"
    assert ("Guest", "editor") in roles(organisation)
    assert client.post(path).status_code == 410
    assert db.session.query(AccountEvent.kind).order_by(AccountEvent.id).all() == [("invited",), ("joined",)]


def test_an_invitation_is_for_its_address_alone(client, organisation, owner):
    path = invited(organisation, owner, "guest@example.com")
    sign_in(client, make_person(email="other@example.com"))
    assert client.post(path).status_code == 409
    assert len(roles(organisation)) == 1


def test_an_invitation_grows_old_and_can_be_withdrawn(organisation, owner):
    now = clock.now()
    first = invited(organisation, owner, "guest@example.com").rsplit("/", 1)[1]
    with pytest.raises(LinkSpent):
        organisations.find_invitation(first, now=now + timedelta(days=15))
    with pytest.raises(Refused, match="uq_invitation_open"):
        organisations.invite(organisation, email="guest@example.com", role="editor", actor=owner, now=now)

    [waiting] = organisations.list_invitations(organisation)
    organisations.withdraw(organisation, waiting.public_id, actor=owner, now=now)
    with pytest.raises(LinkSpent):
        organisations.find_invitation(first, now=now)
    invited(organisation, owner, "guest@example.com")


def test_an_invitation_speaks_the_language_of_whoever_is_known(organisation, owner):
    make_person(email="known@example.com", locale="zh")
    for email in ("known@example.com", "unknown@example.com"):
        invited(organisation, owner, email)
    assert [mail.locale for mail in db.session.query(OutgoingMail).order_by("id")] == ["zh", "en"]


def test_a_member_is_not_invited_to_the_same_role(organisation, owner):
    with pytest.raises(Refused, match="already_member"):
        organisations.invite(organisation, email=owner.email, role="owner", actor=owner, now=clock.now())


def test_roles_are_given_and_taken(client, organisation, owner):
    member = make_member(organisation, "instructor", name="Member")
    path = f"/organisations/{organisation.public_id}/members/{member.public_id}/roles"
    sign_in(client, owner)
    client.post(path, data={"role": "registrar"})
    client.post(f"{path}/take", data={"role": "instructor"})
    assert roles(organisation) == sorted([("Member", "registrar"), (owner.name, "owner")])
    assert client.post(path, data={"role": "emperor"}).status_code == 400
    client.post(path, data={"role": "registrar"})
    assert "already has this role" in client.get(f"/organisations/{organisation.public_id}/members").text


def test_the_last_owner_stays(organisation, owner):
    with pytest.raises(LastOwner):
        organisations.remove_role(organisation, owner.public_id, "owner", actor=owner, now=clock.now())
    second = make_member(organisation, "owner")
    organisations.remove_role(organisation, owner.public_id, "owner", actor=second, now=clock.now())
    with pytest.raises(LastOwner):
        organisations.remove_role(organisation, second.public_id, "owner", actor=second, now=clock.now())


def test_strangers_get_nothing_and_members_no_more_than_their_role(client, organisation, owner):
    base = f"/organisations/{organisation.public_id}"
    outsider = make_member(make_organisation(), "owner")
    sign_in(client, outsider)
    for method, path in (("GET", "/members"), ("GET", "/edit"), ("POST", "/invitations")):
        assert client.open(base + path, method=method).status_code == 404
    assert client.post(f"{base}/members/{owner.public_id}/roles", data={"role": "editor"}).status_code == 404

    sign_in(client, make_member(organisation, "editor"))
    page = client.get(f"{base}/members")
    assert (page.status_code, "Invite" in page.text) == (200, False)
    assert client.get(f"{base}/edit").status_code == 403


def test_nobody_is_made_a_member_through_another_organisation(organisation, owner):
    with pytest.raises(NotFound):
        organisations.add_role(organisation, make_person().public_id, "editor", actor=owner, now=clock.now())


def test_an_owner_changes_the_words_but_not_the_kind(client, organisation, owner):
    sign_in(client, owner)
    values = {
        "name_zh": "",
        "name_en": "Renamed",
        "country": "GB",
        "website": "https://example.org/",
        "kind": "employer",
    }
    path = f"/organisations/{organisation.public_id}/edit"
    assert client.post(path, data=values).status_code == 303
    assert (organisation.name_zh, organisation.name_en, organisation.kind) == ("", "Renamed", "university")
    for wrong in ({"name_en": ""}, {"country": "Britain"}, {"website": "javascript:alert(1)"}):
        assert client.post(path, data=values | wrong).status_code == 422


def test_an_administrator_opens_an_organisation_and_invites_its_owner(client):
    sign_in(client, make_staff("administrator"))
    values = {"kind": "employer", "name_en": "Studio", "country": "CN", "owner_email": "boss@example.com"}
    assert client.post("/staff/organisations", data=values).status_code == 303
    invitation = db.session.query(Invitation).one()
    assert (invitation.email, invitation.role, invitation.organisation.name_en) == (
        "boss@example.com",
        "owner",
        "Studio",
    )
    assert "Studio" in client.get("/staff/organisations").text
