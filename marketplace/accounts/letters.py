"""Mails about accounts, written by jobs: a door answers alike, and as fast, whether an address is known or not.

A job's arguments are row numbers (0 for nobody), never addresses: they end up in tables and logs that operators read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import current_app

from marketplace.accounts import mail_preferences, mailed_links
from marketplace.accounts.models import MailedLink, Person
from marketplace.foundation import clock, jobs, mail
from marketplace.foundation.database import db, transaction

if TYPE_CHECKING:
    from config import Settings
    from marketplace.foundation.mail import OutgoingMail


def write(
    person: Person, message: str, *, key: str, kind: str | None = None, calendar: str | None = None, **context: Any
) -> OutgoingMail | None:
    """Write a mail to a person in their language; None if it was written before, is not wanted, or nobody is there.

    `key` names the act behind it ("order:7f…"), `kind` is one of mail_preferences.KINDS, or None for a mail that cannot
    be stopped. Call inside a transaction.
    """
    if not person.active or (kind and kind in mail_preferences.stopped(person.id)):
        return None
    settings: Settings = current_app.config["SETTINGS"]
    stop = None
    if kind:
        stop = f"{settings.public_url}/mail/stop/{mail_preferences.key_for(person, kind, secret=settings.secret_key)}"
    extras = mail.Extras(calendar=calendar, unsubscribe_url=stop, reader_id=person.id)
    context |= {"person": person}
    return mail.send(message, to=person.email, locale=person.locale, key=key, extras=extras, **context)


@jobs.task(name="accounts.welcome", queue="mail")
def welcome(person_id: int) -> None:
    """Ask a new person to confirm the address."""
    _send_link(person_id, "confirm")


@jobs.task(name="accounts.mail_reset", queue="mail")
def mail_reset(person_id: int) -> None:
    """Send the link that sets a new password; to someone who never confirmed, the link that confirms."""
    someone = db.session.get(Person, person_id)
    if someone is not None:
        _send_link(person_id, "reset" if someone.confirmed_at else "confirm")


@jobs.task(name="accounts.already_registered", queue="mail")
def already_registered(person_id: int) -> None:
    """Tell a person that someone tried to register with their address, and how to get in."""
    _tell(person_id, "already_registered")


@jobs.task(name="accounts.password_changed", queue="mail")
def password_changed(person_id: int) -> None:
    """Tell a person that the password was changed, in case it was not them."""
    _tell(person_id, "password_changed")


@jobs.task(name="accounts.nobody", queue="mail")
def nobody(person_id: int) -> None:
    """The job of a request that has no one to write to: it costs the request what a letter costs."""


@jobs.task(name="accounts.mail_new_address", queue="mail")
def mail_new_address(link_id: int) -> None:
    """Send the link that makes a new address the person's; its key is drawn here, as it is kept nowhere."""
    with transaction():
        link = db.session.get(MailedLink, link_id)
        person = db.session.get(Person, link.person_id) if link is not None else None
        if link is None or link.used_at is not None or person is None or not person.active:
            return
        _send(person, "accounts/change_email", to=link.email, link_key=mailed_links.draw_again(link))


def tell_old_address(person: Person, new_email: str) -> None:
    """Tell the present address that it is about to be replaced; call inside the transaction that does it."""
    _send(person, "accounts/email_changed", to=person.email, new_email=new_email)


def _send_link(person_id: int, purpose: str) -> None:
    with transaction():
        person = db.session.get(Person, person_id)
        if person is None or not person.active or (purpose == "confirm" and person.confirmed_at):
            return
        key = mailed_links.draw(person, purpose, person.email, now=clock.now())
        _send(person, f"accounts/{purpose}", to=person.email, link_key=key)


def _tell(person_id: int, message: str) -> None:
    with transaction():
        person = db.session.get(Person, person_id)
        if person is not None and person.active:
            _send(person, f"accounts/{message}", to=person.email)


def _send(person: Person, message: str, *, to: str, **context: Any) -> None:
    extras = mail.Extras(reader_id=person.id)
    mail.send(message, to=to, locale=person.locale, extras=extras, person=person, **context)
