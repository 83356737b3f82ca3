"""Which mails a person does not want. Only kinds listed here can be stopped: the others are about money or safety."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import delete, select

from marketplace.accounts.models import MailOptOut, Person
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import NotFound
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

REMINDER, COMPLETION = "reminder", "completion"
KINDS = {
    REMINDER: lazy("A reminder two days before a course begins"),
    COMPLETION: lazy("A note when you have completed a course"),
}


def stopped(person_id: int) -> frozenset[str]:
    """The kinds of mail the person does not want."""
    return frozenset(db.session.scalars(select(MailOptOut.kind).filter_by(person_id=person_id)))


def choose(person: Person, wanted: Collection[str], *, now: datetime) -> None:
    """Want exactly these of KINDS."""
    with transaction():
        unwanted = KINDS.keys() - set(wanted)
        db.session.execute(
            delete(MailOptOut).where(MailOptOut.person_id == person.id, MailOptOut.kind.not_in(unwanted))
        )
        for kind in unwanted - stopped(person.id):
            add(MailOptOut(person_id=person.id, kind=kind, since=now))


def stop(key: str, *, secret: str, now: datetime) -> str:
    """Stop the kind of mail that this key came with; twice is once. The kind; raises NotFound for a forged key."""
    person, kind = find(key, secret=secret)
    with transaction():
        if kind not in stopped(person.id):
            add(MailOptOut(person_id=person.id, kind=kind, since=now))
    return kind


def find(key: str, *, secret: str) -> tuple[Person, str]:
    """Whose key this is, and for which kind; raises NotFound."""
    try:
        public_id, kind = _signer(secret).loads(key)
    except (BadSignature, ValueError) as error:
        raise NotFound from error
    person = db.session.scalars(select(Person).filter_by(public_id=public_id)).one_or_none()
    if person is None or kind not in KINDS:
        raise NotFound
    return person, kind


def key_for(person: Person, kind: str, *, secret: str) -> str:
    """The key that stops one kind of mail to one person, and can do nothing else. It does not expire."""
    return str(_signer(secret).dumps([person.public_id, kind]))


def _signer(secret: str) -> URLSafeSerializer:
    return URLSafeSerializer(secret, salt="stop-mails")
