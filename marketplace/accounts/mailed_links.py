"""Links sent by mail: drawn for a purpose, found by their key, used once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from marketplace.accounts import keys
from marketplace.accounts.models import MailedLink, Person
from marketplace.accounts.rules import LINKS_LIVE
from marketplace.foundation.database import add, db
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime


class LinkSpent(Refused):
    """The link was used, replaced by a newer one, or is too old. HTTP 410."""

    status = 410

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__(
            "link_spent", lazy("This link has been used or is too old. Ask for a new one and use the latest mail.")
        )


def draw(person: Person, purpose: str, email: str, *, now: datetime) -> str:
    """The key of a new link; earlier links of the same purpose stop working. Call inside a transaction."""
    return draw_again(plan(person, purpose, email, now=now))


def plan(person: Person, purpose: str, email: str, *, now: datetime) -> MailedLink:
    """A new link whose key is drawn when its mail is written; earlier ones of the same purpose stop working."""
    retire(person, purpose, now=now)
    return add(
        MailedLink(
            person_id=person.id,
            purpose=purpose,
            key_hash=keys.digest(keys.draw()),
            email=email,
            created_at=now,
            expires_at=now + LINKS_LIVE[purpose],
            used_at=None,
        )
    )


def draw_again(link: MailedLink) -> str:
    """Another key for the link in place of the one it had. Call inside a transaction."""
    key = keys.draw()
    link.key_hash = keys.digest(key)
    db.session.flush()
    return key


def was_drawn(person: Person, purpose: str, *, since: datetime) -> bool:
    """Whether a link of this purpose that still works was drawn after `since`."""
    query = select(MailedLink.id).where(
        MailedLink.person_id == person.id,
        MailedLink.purpose == purpose,
        MailedLink.used_at.is_(None),
        MailedLink.created_at > since,
    )
    return db.session.scalar(query.limit(1)) is not None


def retire(person: Person, purpose: str, *, now: datetime) -> None:
    """Make the person's open links of this purpose worthless."""
    open_ones = update(MailedLink).where(
        MailedLink.person_id == person.id, MailedLink.purpose == purpose, MailedLink.used_at.is_(None)
    )
    db.session.execute(open_ones.values(used_at=now))


def find(key: str, purpose: str, *, now: datetime) -> MailedLink:
    """The open link of this key; raises LinkSpent."""
    return _found(key, purpose, now=now, is_locked=False)


def use(key: str, purpose: str, *, now: datetime) -> MailedLink:
    """Use the link up, locking it, so that two clicks use it once; raises LinkSpent. Call inside a transaction."""
    link = _found(key, purpose, now=now, is_locked=True)
    link.used_at = now
    return link


def _found(key: str, purpose: str, *, now: datetime, is_locked: bool) -> MailedLink:
    query = select(MailedLink).where(
        MailedLink.key_hash == keys.digest(key),
        MailedLink.purpose == purpose,
        MailedLink.used_at.is_(None),
        MailedLink.expires_at > now,
    )
    if is_locked:
        query = query.with_for_update().execution_options(populate_existing=True)
    link = db.session.execute(query).scalar_one_or_none()
    if link is None:
        raise LinkSpent
    return link
