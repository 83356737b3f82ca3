"""Public ids: what people see in addresses and mails instead of row numbers, and the few numbers that staff see."""

from __future__ import annotations

import secrets

# Crockford's base 32 (https://www.crockford.com/base32.html): no I, L, O or U, so an id survives being read aloud.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = 12
# Digits that always fit a bigint.
LONGEST_NUMBER = 18


def public_id() -> str:
    """Draw 60 random bits as 12 characters: not guessable, not countable, unique by a constraint of each table."""
    bits = secrets.randbits(5 * LENGTH)
    return "".join([ALPHABET[bits >> 5 * place & 31] for place in range(LENGTH)])


def normalised(text: str) -> str:
    """Read an id as a person may type it: upper case, spaces, O for 0, I or L for 1."""
    plain = "".join(text.split()).replace("-", "").lower()
    return plain.translate(str.maketrans("oil", "011"))


def row_number(text: str) -> int | None:
    """Read the number of a row from an address; None for what names no row."""
    return int(text) if text.isdecimal() and len(text) <= LONGEST_NUMBER else None
