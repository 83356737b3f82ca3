"""Passwords: argon2id through Flask-Security, and the same work for an address nobody has."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from flask_security import hash_password, verify_and_update_password
from flask_security.utils import verify_password

from marketplace.accounts.rules import length_fault, normal_password, weak_password
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from marketplace.accounts.models import Person
    from marketplace.foundation.errors import Refused

# Of zxcvbn's scores 0 to 4: from 3 on more than 10^8 guesses are needed.
SAFE_SCORE = 3
LONGEST_ESTIMATED = 72


def hashed(password: str, *, name: str, email: str) -> str:
    """The hash to keep; raises Invalid for a password that is too easy to guess. Takes about 50 ms on purpose."""
    fault = length_fault(password) or _guess_fault(password, known=[name, email, email.partition("@")[0]])
    if fault is not None:
        raise fault
    return hash_password(normal_password(password))


def _guess_fault(password: str, *, known: list[str]) -> Refused | None:
    """Why a password falls early to a guesser who has lists of common ones and knows who this is, or None."""
    from zxcvbn import zxcvbn  # noqa: PLC0415 - 13 MB of word lists, which only registrations need

    if zxcvbn(normal_password(password)[:LONGEST_ESTIMATED], user_inputs=known)["score"] >= SAFE_SCORE:
        return None
    return weak_password(lazy("This password is among the first that are guessed. Choose a few unrelated words."))


def matches(person: Person | None, password: str) -> bool:
    """Whether this is the person's password, at the same cost for no person; renews a hash with old parameters."""
    plain = normal_password(password)
    if person is None or person.password is None:
        verify_password(plain, _nobodys())
        return False
    return verify_and_update_password(plain, person)


@lru_cache(maxsize=1)
def _nobodys() -> str:
    return hash_password("a password that opens nothing")
