"""Sign-ins: begun, found again by the key in the cookie, listed and ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import contains_eager

from marketplace.accounts import keys
from marketplace.accounts.models import Person, SignIn
from marketplace.accounts.rules import LONGEST_USER_AGENT, REMEMBERED_FOR, SEEN_EVERY, SIGNED_IN_FOR, share_of
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import NotFound
from marketplace.foundation.ids import public_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


def begin(person: Person, *, user_agent: str, address: str, is_remembered: bool, now: datetime) -> str:
    """Record that a browser is signed in; returns the key for its cookie."""
    key = keys.draw()
    with transaction():
        add(
            SignIn(
                person_id=person.id,
                key_hash=keys.digest(key),
                user_agent=share_of(user_agent, LONGEST_USER_AGENT),
                address=address,
                is_remembered=is_remembered,
                started_at=now,
                seen_at=now,
                expires_at=now + (REMEMBERED_FOR if is_remembered else SIGNED_IN_FOR),
                ended_at=None,
            )
        )
    return key


# Built once: every request of everyone signed in asks it.
_FIND = (
    select(SignIn)
    .join(SignIn.person)
    .options(contains_eager(SignIn.person))
    .where(
        SignIn.key_hash == bindparam("key_hash"),
        SignIn.ended_at.is_(None),
        SignIn.expires_at > bindparam("now", type_=SignIn.expires_at.type),
        Person.active,
    )
)


def find(key: str, *, now: datetime) -> SignIn | None:
    """The open sign-in of this key with its person (one query), or None if it was ended, grew old or never was."""
    return db.session.execute(_FIND, {"key_hash": keys.digest(key), "now": now}).scalar_one_or_none()


def see(sign_in: SignIn, *, now: datetime) -> None:
    """Note that it is in use and let it live on from here; writes at most every SEEN_EVERY."""
    if now - sign_in.seen_at < SEEN_EVERY:
        return
    with transaction():
        sign_in.seen_at = now
        sign_in.expires_at = now + (REMEMBERED_FOR if sign_in.is_remembered else SIGNED_IN_FOR)


def list_open(person: Person, *, now: datetime) -> Sequence[SignIn]:
    """Where the person is signed in, the latest used first."""
    query = select(SignIn).where(SignIn.person_id == person.id, SignIn.ended_at.is_(None), SignIn.expires_at > now)
    return db.session.execute(query.order_by(SignIn.seen_at.desc(), SignIn.id.desc())).scalars().all()


def end(person: Person, sign_in_id: str, *, now: datetime) -> None:
    """End one of the person's own sign-ins by its public id; raises NotFound for another's."""
    with transaction():
        query = select(SignIn.id).where(SignIn.public_id == sign_in_id, SignIn.person_id == person.id)
        row_id = db.session.execute(query).scalar()
        if row_id is None:
            raise NotFound
        sign_in = locked(SignIn, row_id)
        sign_in.ended_at = sign_in.ended_at or now


def end_all(person: Person, *, now: datetime, except_key: str | None = None) -> int:
    """End all sign-ins of the person but the one with this key; returns how many.

    Without `except_key` the person's `fs_uniquifier` changes too, so that no old cookie names anyone.
    """
    with transaction():
        open_ones = update(SignIn).where(SignIn.person_id == person.id, SignIn.ended_at.is_(None))
        if except_key is None:
            locked(Person, person.id).fs_uniquifier = public_id()
        else:
            open_ones = open_ones.where(SignIn.key_hash != keys.digest(except_key))
        result = db.session.execute(open_ones.values(ended_at=now))
        return int(result.rowcount)  # type: ignore[attr-defined]
