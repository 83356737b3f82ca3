"""What this room knows of a person, told to them and forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, or_, select, update

from marketplace.accounts import second_factors
from marketplace.accounts.models import (
    AccountEvent,
    Consent,
    Invitation,
    MailedLink,
    MailOptOut,
    MemberRole,
    Membership,
    Person,
    Role,
    SignIn,
    StaffAppointment,
)
from marketplace.accounts.organisations import LastOwner
from marketplace.foundation import ids, mail
from marketplace.foundation.database import db, locked
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.personal_data import Identity, Section

if TYPE_CHECKING:
    from datetime import datetime

# Both languages, since it stands wherever the name stood, whoever reads.
NOBODY = "已注销 · Deleted"
# Reserved by RFC 2606: no mailbox can ever have such an address.
NOWHERE = "erased.invalid"
PROFILE = {
    "name": lazy("Name"),
    "email": lazy("E-mail address"),
    "locale": lazy("Language of mails"),
    "time_zone": lazy("Time zone"),
    "region": lazy("Province or region where you work"),
    "district": lazy("District, if you work in Shanghai"),
    "industry_code": lazy("Sector"),
    "occupation": lazy("Occupation"),
    "employer": lazy("Your employer"),
    "employer_size": lazy("Size of your employer"),
    "experience_band": lazy("Years of experience"),
    "confirmed_at": lazy("E-mail address confirmed"),
    "created_at": lazy("Account created"),
}


def tell(person_id: int) -> list[Section]:
    """Profile, roles, agreements, sign-ins, the account's trail and the mails of the last ninety days."""
    person = db.session.get_one(Person, person_id)
    return [
        Section("profile", lazy("Profile"), PROFILE, [{key: getattr(person, key) for key in PROFILE}]),
        _memberships(person),
        _consents(person_id),
        _sign_ins(person_id),
        _events(person_id),
        _mails(person),
    ]


def _memberships(person: Person) -> Section:
    columns = {"organisation": lazy("Organisation"), "role": lazy("Role"), "since": lazy("Since")}
    rows = [
        {"organisation": str(pick(row.organisation, "name")), "role": row.role, "since": row.created_at}
        for row in person.memberships
    ]
    rows += [{"organisation": "–", "role": row.role, "since": row.appointed_at} for row in person.appointments]
    return Section("roles", lazy("Organisations you act for"), columns, rows)


def _consents(person_id: int) -> Section:
    columns = {
        "document": lazy("Text"),
        "version": lazy("Version"),
        "act": lazy("How"),
        "reference": lazy("Order"),
        "given_at": lazy("Agreed"),
        "withdrawn_at": lazy("Withdrawn"),
    }
    found = db.session.scalars(select(Consent).filter_by(person_id=person_id).order_by(Consent.id))
    return Section("consents", lazy("What you agreed to"), columns, [_values(row, columns) for row in found])


def _sign_ins(person_id: int) -> Section:
    columns = {
        "started_at": lazy("Signed in"),
        "seen_at": lazy("Last used"),
        "ended_at": lazy("Ended"),
        "address": lazy("Network address"),
        "user_agent": lazy("Browser"),
    }
    found = db.session.scalars(select(SignIn).filter_by(person_id=person_id).order_by(SignIn.id))
    return Section("sign_ins", lazy("Where you are signed in"), columns, [_values(row, columns) for row in found])


def _events(person_id: int) -> Section:
    columns = {"occurred_at": lazy("Time"), "kind": lazy("What happened")}
    found = db.session.scalars(select(AccountEvent).filter_by(person_id=person_id).order_by(AccountEvent.id))
    return Section("events", lazy("What happened lately"), columns, [_values(row, columns) for row in found])


def _mails(person: Person) -> Section:
    columns = {"created_at": lazy("Written"), "subject": lazy("Subject"), "sent_at": lazy("Sent")}
    # Also those sent to an address of theirs that is no more.
    theirs = or_(OutgoingMail.reader_id == person.id, OutgoingMail.recipient == person.email)
    found = db.session.scalars(select(OutgoingMail).where(theirs).order_by(OutgoingMail.id))
    return Section("mails", lazy("Mails"), columns, [_values(row, columns) for row in found])


def _values(row: object, columns: dict[str, object]) -> dict[str, object]:
    return {key: getattr(row, key) for key in columns}


def find_obstacle(person_id: int) -> Refused | None:
    """Why the person cannot go yet: an organisation would have no owner, or the programme no administrator."""
    owned = select(Membership.organisation_id).filter_by(person_id=person_id, role=MemberRole.OWNER)
    others = select(Membership.organisation_id).where(
        Membership.role == MemberRole.OWNER, Membership.person_id != person_id
    )
    if db.session.scalar(
        select(func.count()).select_from(owned.where(Membership.organisation_id.not_in(others)).subquery())
    ):
        return LastOwner()
    administrators = set(db.session.scalars(select(StaffAppointment.person_id).filter_by(role=Role.ADMINISTRATOR)))
    if administrators == {person_id}:
        return Refused("last_administrator", lazy("You are the only administrator. Appoint another one first."))
    return None


def identity_of(person: Person) -> Identity:
    """Name and every address we still know the person by."""
    links = db.session.scalars(select(MailedLink.email).filter_by(person_id=person.id).distinct())
    return Identity(person.id, person.name, tuple(dict.fromkeys([person.email, *links])))


def forget(identity: Identity, *, now: datetime) -> None:
    """Blank the person's row, delete what only served the account, keep the trail and the consents without a name.

    Region, sector and experience stay: codes shared by many, without which last year's figures would change. Locks the
    person.
    """
    person = locked(Person, identity.person_id)
    for model in (SignIn, MailedLink, MailOptOut, Membership):
        db.session.execute(delete(model).where(model.person_id == person.id))
    db.session.execute(delete(StaffAppointment).where(StaffAppointment.person_id == person.id))
    open_sharing = update(Consent).where(
        Consent.person_id == person.id, Consent.document == "sharing", Consent.withdrawn_at.is_(None)
    )
    db.session.execute(open_sharing.values(withdrawn_at=now))
    unclaimed = func.coalesce(Invitation.withdrawn_at, Invitation.accepted_at, now)
    db.session.execute(
        update(Invitation)
        .where(or_(*(Invitation.email == address for address in identity.addresses)))
        .values(email=f"{ids.public_id()}@{NOWHERE}", withdrawn_at=unclaimed)
    )
    second_factors.forget(person.id)
    mail.forget(person.id, identity.addresses, identity.words)
    _blank(person, now=now)


def _blank(person: Person, *, now: datetime) -> None:
    person.public_id, person.fs_uniquifier = ids.public_id(), ids.public_id()
    person.name, person.email = NOBODY, f"{person.public_id}@{NOWHERE}"
    person.password = person.occupation = person.employer = person.district = None
    person.active, person.erased_at = False, now
    db.session.flush()
    db.session.expire(person, ["memberships", "appointments"])
