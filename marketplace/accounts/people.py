"""The acts of a person's account: register, confirm, prove who one is, reset, change password and address, profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from marketplace.accounts import consents, events, letters, mailed_links, passwords, sign_ins
from marketplace.accounts.addresses import normal_email
from marketplace.accounts.models import Person
from marketplace.accounts.rules import LINK_AGAIN_AFTER
from marketplace.foundation import jobs
from marketplace.foundation.database import add, db, locked, savepoint, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

PROFILE_FIELDS = frozenset(
    {"name", "locale", "time_zone", "region", "district", "industry_code", "occupation"}
    | {"employer", "employer_size", "experience_band"}
)

# Somebody who knew the old password may have asked for these; with the first the account would become theirs.
LINKS_OF_A_THIEF = ("change_email", "reset", "delete")


class WrongCredentials(Refused):
    """The address and the password do not belong together; which of the two is wrong is not said. HTTP 422."""

    status = 422

    def __init__(self) -> None:
        """One sentence for a wrong password, an unknown address and a closed account."""
        super().__init__("wrong_credentials", lazy("The e-mail address or the password is not right."))


class NotConfirmed(Refused):
    """The password is right, the address is not confirmed yet. HTTP 422."""

    status = 422

    def __init__(self, *, is_sent_now: bool) -> None:
        """Say that a new mail is on its way, or that one was sent a moment ago."""
        just_sent = lazy("Confirm your e-mail address first. We have just sent you the link once more.")
        sent_before = lazy(
            "Confirm your e-mail address first. We sent you the link a few minutes ago; look among unwanted mail too."
        )
        super().__init__("not_confirmed", just_sent if is_sent_now else sent_before)


def find_by_email(email: str) -> Person | None:
    """The person with this address, however it is typed."""
    try:
        wanted = normal_email(email)
    except Invalid:
        return None
    return db.session.execute(select(Person).where(Person.email == wanted)).scalar_one_or_none()


def register(*, name: str, email: str, password: str, locale: str, now: datetime) -> None:
    """Make an account that waits for confirmation; for a known address the same, seen from outside.

    Someone with a confirmed account is told by mail. An account never confirmed takes the new name and password:
    whoever confirms must know the password too, so nobody can prepare an account for another's address. What
    registering agrees to is recorded with it.
    """
    address = normal_email(email)
    password_hash = passwords.hashed(password, name=name, email=address)
    with transaction():
        known = find_by_email(address)
        if known is None:
            known = _added(Person(email=address, name=name, locale=locale, password=password_hash, created_at=now))
        elif known.confirmed_at is None:
            waiting = locked(Person, known.id)
            waiting.name, waiting.password, waiting.locale = name, password_hash, locale
        if known.confirmed_at is None:
            consents.register(known.id, language=locale, now=now)
        if known.confirmed_at:
            jobs.enqueue(letters.already_registered, person_id=known.id)
        else:
            jobs.enqueue(letters.welcome, key=_welcome_key(known), person_id=known.id)


def _added(person: Person) -> Person:
    """Insert, or give the one that another request inserted for the same address in this instant."""
    try:
        with savepoint():
            return add(person)
    except Refused:
        return db.session.execute(select(Person).where(Person.email == person.email)).scalar_one()


def prove(email: str, password: str, *, now: datetime) -> Person:
    """The person with this address and password; raises WrongCredentials or NotConfirmed.

    Who is not confirmed is sent the link again, at most every LINK_AGAIN_AFTER.
    """
    with transaction():
        person = find_by_email(email)
        is_right = passwords.matches(person, password)
        if person is None or not is_right or not person.active:
            raise WrongCredentials
        is_sent_now = person.confirmed_at is None and _send_link_again(person, now=now)
    if person.confirmed_at is None:
        raise NotConfirmed(is_sent_now=is_sent_now)
    return person


def _send_link_again(person: Person, *, now: datetime) -> bool:
    """Send the confirming link unless one is fresh or on its way; whether it is sent."""
    if mailed_links.was_drawn(person, "confirm", since=now - LINK_AGAIN_AFTER):
        return False
    return jobs.enqueue(letters.welcome, key=_welcome_key(person), person_id=person.id) is not None


def _welcome_key(person: Person) -> str:
    """The job of the confirming link waits once, however often it is asked for."""
    return f"confirm:{person.id}"


def confirm(key: str, password: str, *, now: datetime) -> Person:
    """Confirm the address the link was sent to; raises LinkSpent, or WrongCredentials and leaves the link usable."""
    with transaction():
        link = mailed_links.use(key, "confirm", now=now)
        person = locked(Person, link.person_id)
        if person.email != link.email:
            raise mailed_links.LinkSpent
        if not passwords.matches(person, password) or not person.active:
            raise WrongCredentials
        person.confirmed_at = person.confirmed_at or now
        events.record("confirmed", now=now, person_id=person.id)
        return person


def ask_for_confirmation(email: str) -> None:
    """Send the confirming link again if the address waits for one; takes the same time for any address."""
    person = find_by_email(email)
    is_waiting = person is not None and person.confirmed_at is None
    with transaction():
        jobs.enqueue(letters.welcome if is_waiting else letters.nobody, person_id=person.id if person else 0)


def ask_for_reset(email: str) -> None:
    """Send the link that sets a new password if anyone has this address; takes the same time for any address."""
    person = find_by_email(email)
    with transaction():
        jobs.enqueue(letters.mail_reset if person else letters.nobody, person_id=person.id if person else 0)


def reset_password(key: str, password: str, *, now: datetime) -> Person:
    """Set a new password with the mailed link and end every sign-in; raises LinkSpent or Invalid."""
    with transaction():
        link = mailed_links.use(key, "reset", now=now)
        person = locked(Person, link.person_id)
        if person.email != link.email or not person.active:
            raise mailed_links.LinkSpent
        _set_password(person, password, now=now, kind="password_reset")
        sign_ins.end_all(person, now=now)
        return person


def change_password(person: Person, *, old: str, new: str, now: datetime) -> None:
    """Replace the password and end every sign-in, this one too: the door begins a new one."""
    with transaction():
        _demand_password(person, old)
        _set_password(locked(Person, person.id), new, now=now, kind="password_changed")
        sign_ins.end_all(person, now=now)


def ask_for_new_email(person: Person, *, new_email: str, password: str, now: datetime) -> None:
    """Send a link to the new address; nothing changes before it is used. Says nothing about whose address it is."""
    address = normal_email(new_email)
    with transaction():
        _demand_password(person, password)
        known = find_by_email(address)
        if known is None:
            link = mailed_links.plan(person, "change_email", address, now=now)
            jobs.enqueue(letters.mail_new_address, link_id=link.id)
        else:
            jobs.enqueue(letters.already_registered, person_id=known.id)
        events.record("email_change_asked", now=now, person_id=person.id)


def change_email(key: str, *, now: datetime) -> Person:
    """Make the address the link was sent to the person's; raises LinkSpent, also when it was taken meanwhile."""
    with transaction():
        link = mailed_links.use(key, "change_email", now=now)
        person = locked(Person, link.person_id)
        if find_by_email(link.email) is not None or not person.active:
            raise mailed_links.LinkSpent
        letters.tell_old_address(person, link.email)
        person.email = link.email
        mailed_links.retire(person, "reset", now=now)
        events.record("email_changed", now=now, person_id=person.id)
        return person


def update_profile(person: Person, values: Mapping[str, str | None], *, now: datetime) -> None:
    """Write the profile fields in `values`; empty ones become NULL, a district without a region is dropped."""
    with transaction():
        mine = locked(Person, person.id)
        for field in PROFILE_FIELDS & values.keys():
            setattr(mine, field, (values[field] or "").strip() or None)
        if mine.region is None:
            mine.district = None
        events.record("profile_changed", now=now, person_id=person.id)


def _demand_password(person: Person, password: str) -> None:
    if not passwords.matches(person, password):
        sentence = lazy("This is not your present password.")
        raise Invalid("wrong_password", sentence, {"password": sentence})


def _set_password(person: Person, password: str, *, now: datetime, kind: str) -> None:
    person.password = passwords.hashed(password, name=person.name, email=person.email)
    for purpose in LINKS_OF_A_THIEF:
        mailed_links.retire(person, purpose, now=now)
    events.record(kind, now=now, person_id=person.id)
    jobs.enqueue(letters.password_changed, person_id=person.id)
