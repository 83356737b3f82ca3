"""Organisations and who acts for them: made, joined by invitation, left; an organisation always has an owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import contains_eager

from marketplace.accounts import consents, events, keys, people
from marketplace.accounts.addresses import normal_email
from marketplace.accounts.mailed_links import LinkSpent
from marketplace.accounts.models import Invitation, MemberRole, Membership, Organisation, Person
from marketplace.accounts.names import MEMBER_ROLES
from marketplace.accounts.rules import INVITATION_LIVES
from marketplace.foundation import mail, pictures
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

DETAILS = frozenset(
    {"kind", "name_zh", "name_en", "summary_zh", "summary_en", "country", "city_zh", "city_en", "website"}
)


class LastOwner(Refused):
    """The act would leave an organisation without an owner."""

    def __init__(self) -> None:
        """Say what to do first."""
        super().__init__("last_owner", lazy("An organisation needs an owner. Make somebody else an owner first."))


def get(public_id: str) -> Organisation:
    """The organisation of this public id; raises NotFound."""
    found = db.session.execute(select(Organisation).where(Organisation.public_id == public_id)).scalar_one_or_none()
    if found is None:
        raise NotFound
    return found


def list_all() -> Sequence[Organisation]:
    """Every organisation, by name."""
    query = select(Organisation).order_by(Organisation.name_en, Organisation.name_zh, Organisation.id)
    return db.session.execute(query).scalars().all()


def list_members(organisation: Organisation) -> Sequence[Membership]:
    """The memberships of an organisation with their people, by person."""
    query = select(Membership).join(Membership.person).where(Membership.organisation_id == organisation.id)
    return (
        db.session.execute(
            query.options(contains_eager(Membership.person)).order_by(Person.name, Person.id, Membership.role)
        )
        .scalars()
        .all()
    )


def list_invitations(organisation: Organisation) -> Sequence[Invitation]:
    """The open invitations, those too old included, so that they can be withdrawn and sent again."""
    query = select(Invitation).where(
        Invitation.organisation_id == organisation.id,
        Invitation.accepted_at.is_(None),
        Invitation.withdrawn_at.is_(None),
    )
    return db.session.execute(query.order_by(Invitation.created_at.desc())).scalars().all()


def create(details: Mapping[str, str | None], *, owner_email: str, actor: Person, now: datetime) -> Organisation:
    """Make an organisation and invite its first owner."""
    with transaction():
        organisation = add(Organisation(created_at=now, **_known(details)))
        events.record("organisation_created", now=now, organisation_id=organisation.id, actor_id=actor.id)
        invite(organisation, email=owner_email, role=MemberRole.OWNER, actor=actor, now=now)
        return organisation


def update(organisation: Organisation, details: Mapping[str, str | None], *, actor: Person, now: datetime) -> None:
    """Change what an organisation says of itself."""
    with transaction():
        for field, value in _known(details).items():
            setattr(organisation, field, value)
        events.record("organisation_changed", now=now, organisation_id=organisation.id, actor_id=actor.id)


def _known(details: Mapping[str, str | None]) -> dict[str, str | None]:
    given = {field: (details[field] or "").strip() for field in DETAILS & details.keys()}
    return {field: (value or None) if field == "website" else value for field, value in given.items()}


def invite(organisation: Organisation, *, email: str, role: str, actor: Person, now: datetime) -> Invitation:
    """Mail an offer of a role; says nothing about whether the address has an account. Refused if it is open already."""
    address = normal_email(email)
    key = keys.draw()
    with transaction():
        if _holds(organisation, address, role):
            raise Refused("already_member", lazy("This person already has this role in the organisation."))
        offer = add(_offer(organisation, address, role, key, actor=actor, now=now))
        known = people.find_by_email(address)
        locale = known.locale if known else actor.locale
        name = MEMBER_ROLES[MemberRole(role)]
        mail.send("accounts/invitation", to=address, locale=locale, invitation=offer, role=name, link_key=key)
        events.record("invited", now=now, organisation_id=organisation.id, actor_id=actor.id, role=role)
        return offer


def set_logo(organisation: Organisation, content: bytes | None, *, actor: Person, now: datetime) -> None:
    """Show a logo, or none without content. Locks the organisation; raises Invalid for what is no fit picture."""
    with transaction():
        row = locked(Organisation, organisation.id)
        before = row.logo_id
        alt = {"alt_zh": row.name_zh, "alt_en": row.name_en, "focus_x": 50, "focus_y": 50}
        row.logo = pictures.take_in(content, "logo", words=alt, now=now) if content is not None else None
        db.session.flush()
        if before is not None:
            pictures.remove(before)
        events.record("organisation_changed", now=now, organisation_id=row.id, actor_id=actor.id)


def _offer(
    organisation: Organisation, address: str, role: str, key: str, *, actor: Person, now: datetime
) -> Invitation:
    return Invitation(
        organisation_id=organisation.id,
        email=address,
        role=MemberRole(role).value,
        key_hash=keys.digest(key),
        invited_by_id=actor.id,
        created_at=now,
        expires_at=now + INVITATION_LIVES,
        accepted_at=None,
        withdrawn_at=None,
    )


def _holds(organisation: Organisation, address: str, role: str) -> bool:
    query = (
        select(Membership.id)
        .join(Membership.person)
        .where(Membership.organisation_id == organisation.id, Membership.role == role, Person.email == address)
    )
    return db.session.execute(query).first() is not None


def find_invitation(key: str, *, now: datetime) -> Invitation:
    """The open invitation of this key; raises LinkSpent."""
    return _invitation(key, now=now, is_locked=False)


def _invitation(key: str, *, now: datetime, is_locked: bool) -> Invitation:
    query = select(Invitation).where(
        Invitation.key_hash == keys.digest(key),
        Invitation.accepted_at.is_(None),
        Invitation.withdrawn_at.is_(None),
        Invitation.expires_at > now,
    )
    if is_locked:
        query = query.with_for_update(of=Invitation).execution_options(populate_existing=True)
    found = db.session.execute(query).scalar_one_or_none()
    if found is None:
        raise LinkSpent
    return found


def accept(key: str, *, person: Person, now: datetime) -> Organisation:
    """Take the offered role; only with an account of the invited address. Locks the invitation: it is used once."""
    with transaction():
        invitation = _invitation(key, now=now, is_locked=True)
        if invitation.email != person.email:
            raise Refused(
                "other_address",
                lazy("This invitation is for another e-mail address. Sign in with an account of that address."),
            )
        invitation.accepted_at = now
        organisation = invitation.organisation
        if invitation.role not in {m.role for m in person.memberships if m.organisation_id == organisation.id}:
            add(Membership(person=person, organisation=organisation, role=invitation.role, created_at=now))
        _record("joined", organisation.id, person.id, person, invitation.role, now=now)
        return organisation


def withdraw(organisation: Organisation, invitation_id: str, *, actor: Person, now: datetime) -> None:
    """Take an open offer back; raises NotFound for another organisation's."""
    with transaction():
        query = select(Invitation).where(
            Invitation.public_id == invitation_id,
            Invitation.organisation_id == organisation.id,
            Invitation.accepted_at.is_(None),
        )
        invitation = db.session.execute(query.with_for_update(of=Invitation)).scalar_one_or_none()
        if invitation is None:
            raise NotFound
        invitation.withdrawn_at = invitation.withdrawn_at or now
        events.record(
            "withdrawn", now=now, organisation_id=organisation.id, actor_id=actor.id, invitation=invitation.id
        )


def add_role(organisation: Organisation, person_id: str, role: str, *, actor: Person, now: datetime) -> None:
    """Give a member one more role; raises NotFound for someone who is not a member."""
    with transaction():
        person = _member(organisation, person_id)
        add(Membership(person=person, organisation=organisation, role=MemberRole(role).value, created_at=now))
        _record("role_given", organisation.id, person.id, actor, role, now=now)


def remove_role(organisation: Organisation, person_id: str, role: str, *, actor: Person, now: datetime) -> None:
    """Take a role from a member, who leaves with the last one. Locks the organisation; raises LastOwner, NotFound."""
    with transaction():
        locked(Organisation, organisation.id)
        person = _member(organisation, person_id)
        rows = db.session.execute(
            select(Membership).where(Membership.organisation_id == organisation.id, Membership.role == role)
        )
        held = {membership.person_id: membership for membership in rows.scalars()}
        if person.id not in held:
            raise NotFound
        if role == MemberRole.OWNER and len(held) == 1:
            raise LastOwner
        db.session.delete(held[person.id])
        _record("role_taken", organisation.id, person.id, actor, role, now=now)
        db.session.flush()
        if (
            db.session.scalar(
                select(Membership.id).filter_by(organisation_id=organisation.id, person_id=person.id).limit(1)
            )
            is None
        ):
            consents.withdraw_from(person.id, organisation.id, now=now)


def leave(organisation: Organisation, person: Person, *, now: datetime) -> None:
    """Give up every role in an organisation; what was shared with it ends. Locks it; raises LastOwner, NotFound."""
    with transaction():
        locked(Organisation, organisation.id)
        held = db.session.scalars(select(Membership).filter_by(organisation_id=organisation.id, person_id=person.id))
        mine = {membership.role: membership for membership in held}
        if not mine:
            raise NotFound
        owners = select(Membership.id).filter_by(organisation_id=organisation.id, role=MemberRole.OWNER)
        if MemberRole.OWNER in mine and len(db.session.scalars(owners).all()) == 1:
            raise LastOwner
        for role, membership in mine.items():
            db.session.delete(membership)
            _record("left", organisation.id, person.id, person, role, now=now)
        consents.withdraw_from(person.id, organisation.id, now=now)
        db.session.flush()
        db.session.expire(person, ["memberships"])


def _member(organisation: Organisation, person_id: str) -> Person:
    query = (
        select(Person)
        .join(Person.memberships)
        .where(Person.public_id == person_id, Membership.organisation_id == organisation.id)
    )
    found = db.session.execute(query).scalars().first()
    if found is None:
        raise NotFound
    return found


def _record(kind: str, organisation_id: int, person_id: int, actor: Person, role: str, *, now: datetime) -> None:
    events.record(kind, now=now, organisation_id=organisation_id, person_id=person_id, actor_id=actor.id, role=role)
