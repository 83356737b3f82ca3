"""The table of permissions, rendered whole: each door tried by each kind of visitor."""

from contextlib import contextmanager

import pytest
from flask import g

from marketplace.accounts import permissions
from marketplace.accounts.models import MemberRole, Role
from marketplace.accounts.permissions import PERMISSIONS, Permission, SignInNeeded
from marketplace.foundation.errors import Forbidden, NotFound
from tests.factories import make_member, make_organisation, make_person, make_staff

MEMBERS = [role.value for role in MemberRole]
STAFF = [role.value for role in Role]


@pytest.fixture
def visitors(app):
    """One person of each kind, by a name that says which."""
    university, employer = make_organisation(), make_organisation(kind="employer")
    found = {"stranger": None, "person": make_person()}
    found |= {f"provider {role}": make_member(university, role) for role in MEMBERS}
    found |= {f"employer {role}": make_member(employer, role) for role in MEMBERS}
    return found | {f"staff {role}": make_staff(role) for role in STAFF}


def allowed(demanded, visitor):
    """What the words of the table promise, said a second time and otherwise than in the code."""
    group, _, role = visitor.partition(" ")
    wanted = demanded.roles
    if demanded.kind in {"public", "machine"}:
        return True
    if demanded.kind in {"signed_in", "own"}:
        return visitor != "stranger"
    if demanded.kind == "staff":
        return group == "staff" and (not wanted or role in wanted or role == "administrator")
    is_organisation = group == "provider" or (group == "employer" and demanded.kind == "member")
    return is_organisation and ((not wanted and role != "learner") or role in wanted or role == "owner")


@contextmanager
def request_of(app, person):
    """A request in which this person asks, or nobody."""
    with app.test_request_context():
        g.pop("_login_user", None)
        if person is not None:
            g._login_user = person  # where Flask-Login keeps the person of a request
        yield
        g.pop("_login_user", None)


def opens(app, endpoint, person):
    """Whether the check before each request lets the person through."""
    with request_of(app, person):
        try:
            permissions.check(endpoint)
        except (SignInNeeded, Forbidden):
            return False
        return True


def test_every_door_opens_to_exactly_those_the_table_names(app, visitors):
    doors = sorted({rule.endpoint for rule in app.url_map.iter_rules() if not rule.build_only})
    rendered = {door: [name for name, person in visitors.items() if opens(app, door, person)] for door in doors}
    promised = {door: [name for name in visitors if allowed(PERMISSIONS[door], name)] for door in doors}
    assert rendered == promised


def test_a_door_outside_the_table_stays_shut(app, visitors):
    assert not any(opens(app, "nowhere.at_all", person) for person in visitors.values())


@pytest.mark.parametrize("text", ["", "everyone", "staff:owner", "member:reviewer", "own:editor", "staff:analyst|cook"])
def test_words_outside_the_vocabulary_are_refused(text):
    with pytest.raises(ValueError, match="unknown permission"):
        Permission.parse(text)


def test_a_door_is_entered_once():
    def profile():
        pass

    profile.__module__ = "marketplace.accounts.account_views"
    with pytest.raises(ValueError, match="in the table"):
        permissions.permission("public")(profile)


def test_what_belongs_to_others_does_not_exist(app, visitors):
    person, other = visitors["person"], make_person()
    with request_of(app, person):
        assert permissions.require("own", owner_id=person.id) is person
        for owner in (other.id, None):
            with pytest.raises(NotFound):
                permissions.require("own", owner_id=owner)


def test_members_act_in_their_own_organisation_with_their_own_role(app):
    mine, theirs = make_organisation(), make_organisation()
    registrar = make_member(mine, "registrar")
    with request_of(app, registrar):
        permissions.require("provider:registrar|instructor", organisation_ids=[theirs.id, mine.id])
        permissions.require("member", organisation_ids=[mine.id])
        with pytest.raises(Forbidden):
            permissions.require("provider:editor", organisation_ids=[mine.id])
        with pytest.raises(NotFound):
            permissions.require("provider:registrar", organisation_ids=[theirs.id])


def test_an_owner_does_everything_at_home(app):
    mine = make_organisation()
    owner = make_member(mine, "owner")
    with request_of(app, owner):
        for role in MEMBERS:
            assert permissions.require(f"provider:{role}", organisation_ids=[mine.id]) is owner


def test_one_of_several_demands_is_enough(app):
    mine, theirs = make_organisation(), make_organisation()
    demands = ("staff:finance_officer", "provider:registrar")
    for person in (make_staff("finance_officer"), make_member(theirs, "registrar")):
        with request_of(app, person):
            assert permissions.require(*demands, organisation_ids=[theirs.id]) is person
    for person, refusal in ((make_member(mine, "registrar"), NotFound), (make_member(theirs, "editor"), Forbidden)):
        with request_of(app, person), pytest.raises(refusal):
            permissions.require(*demands, organisation_ids=[theirs.id])


def test_links_are_shown_to_those_who_may_follow_them(app, visitors):
    with request_of(app, visitors["staff analyst"]):
        seen = [
            permissions.may_open(door) for door in ("accounts.sign_in", "accounts.profile", "accounts.staff_people")
        ]
        assert seen == [True, True, False]
