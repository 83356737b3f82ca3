"""Passwords: argon2id through Flask-Security, and the same work for an address nobody has."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from flask_security import hash_password, verify_and_update_password
from flask_security.utils import verify_password

from marketplace.accounts.rules import normal_password, password_fault

if TYPE_CHECKING:
    from marketplace.accounts.models import Person


def hashed(password: str, *, name: str, email: str) -> str:
    """The hash to keep; raises Invalid for a password that is too easy to guess. Takes about 50 ms on purpose."""
    fault = password_fault(password, about={"name": name, "email": email})
    if fault is not None:
        raise fault
    return hash_password(normal_password(password))


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
