"""The second factor: a code of an authenticator app, or one of ten recovery codes, each usable once.

The app's secret must be read to check a code, so it is sealed with a key drawn from SECRET_KEY; recovery codes are kept
as hashes. Whether the password was right is asked before, by people.prove.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import unicodedata
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet
from flask import current_app
from sqlalchemy import delete, exists, select

from marketplace.accounts import events, keys, letters, passwords, sign_ins, totp_rules
from marketplace.accounts.models import Person, RecoveryCode, SecondFactor
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

RECOVERY_CODES = 10


class WrongCode(Invalid):
    """Not the app's code of this moment, nor a recovery code that is left; or it was used already."""

    def __init__(self) -> None:
        """One sentence for all three."""
        sentence = lazy("This code is not right, or has been used. Wait for the next one and try again.")
        super().__init__("wrong_code", sentence, {"code": sentence})


def is_on(person_id: int) -> bool:
    """Whether the person signs in with a second factor."""
    query = select(exists().where(SecondFactor.person_id == person_id, SecondFactor.confirmed_at.is_not(None)))
    return bool(db.session.scalar(query))


def begin(person: Person) -> bytes:
    """The secret to put into an app; it counts for nothing until confirmed. Asked again it is the same."""
    with transaction():
        locked(Person, person.id)
        found = db.session.get(SecondFactor, person.id)
        if found is None:
            secret = secrets.token_bytes(totp_rules.SECRET_BYTES)
            found = add(SecondFactor(person_id=person.id, secret=_sealed(secret), confirmed_at=None, last_step=0))
        return _opened(found.secret)


def confirm(person: Person, code: str, *, now: datetime) -> list[str]:
    """Switch it on with a code from the app; the recovery codes, shown this once. Every sign-in ends.

    Raises WrongCode. Locks the factor.
    """
    with transaction():
        factor = _locked(person)
        if factor.confirmed_at is not None:
            raise Refused("second_factor_on", lazy("The second factor is on already."))
        _use_app(factor, _plain(code), now=now)
        factor.confirmed_at = now
        return _changed(person, "second_factor_on", now=now)


def prove(person: Person, code: str, *, now: datetime) -> None:
    """Use up an app's code or a recovery code; raises WrongCode. Locks the factor, so that a code works once."""
    with transaction():
        factor = _locked(person)
        plain = _plain(code)
        if plain.isdigit() and len(plain) == totp_rules.DIGITS:
            _use_app(factor, plain, now=now)
            return
        query = select(RecoveryCode).filter_by(person_id=person.id, code_hash=keys.digest(plain), used_at=None)
        found = db.session.scalars(query.with_for_update()).one_or_none()
        if found is None:
            raise WrongCode
        found.used_at = now
        events.record("recovery_code_used", now=now, person_id=person.id)


def switch_off(person: Person, password: str, *, now: datetime) -> None:
    """Sign in with the password alone from now on; raises Invalid for a wrong password. Every sign-in ends."""
    with transaction():
        if not passwords.matches(person, password):
            sentence = lazy("This is not your present password.")
            raise Invalid("wrong_password", sentence, {"password": sentence})
        forget(person.id)
        _changed(person, "second_factor_off", now=now)


def codes_left(person_id: int) -> int:
    """How many recovery codes were not used yet."""
    return db.session.query(RecoveryCode).filter_by(person_id=person_id, used_at=None).count()


def forget(person_id: int) -> None:
    """Delete secret and recovery codes; call inside a transaction."""
    for model in (RecoveryCode, SecondFactor):
        db.session.execute(delete(model).where(model.person_id == person_id))


def _changed(person: Person, kind: str, *, now: datetime) -> list[str]:
    """What follows a switch: other sign-ins end, the trail and the person are told, recovery codes are drawn."""
    sign_ins.end_all(person, now=now)
    events.record(kind, now=now, person_id=person.id)
    letters.write(person, f"accounts/{kind}", key=f"{kind}:{now.isoformat()}")
    if kind == "second_factor_off":
        return []
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.person_id == person.id))
    codes = [keys.draw_readable() for _ in range(RECOVERY_CODES)]
    for code in codes:
        add(RecoveryCode(person_id=person.id, code_hash=keys.digest(code.replace("-", "")), used_at=None))
    return codes


def _plain(code: str) -> str:
    """A code as drawn, however it was typed: in groups, in capitals, in the wide digits of a Chinese keyboard."""
    return "".join(unicodedata.normalize("NFKC", code).split()).replace("-", "").lower()


def _locked(person: Person) -> SecondFactor:
    factor = db.session.get(SecondFactor, person.id, with_for_update=True, populate_existing=True)
    if factor is None:
        raise WrongCode
    return factor


def _use_app(factor: SecondFactor, code: str, *, now: datetime) -> None:
    step = totp_rules.matching_step(_opened(factor.secret), code, last_step=factor.last_step, now=now)
    if step is None:
        raise WrongCode
    factor.last_step = step


def _box() -> Fernet:
    secret_key = current_app.config["SETTINGS"].secret_key
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"second factor:" + secret_key.encode()).digest()))


def _sealed(secret: bytes) -> str:
    return _box().encrypt(secret).decode()


def _opened(sealed: str) -> bytes:
    return _box().decrypt(sealed.encode())
