"""Keys that prove something to whoever holds them: drawn at random, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets

from marketplace.foundation.ids import public_id


def draw() -> str:
    """A new key of 256 random bits, fit for an address or a cookie."""
    return secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """What the database keeps. The key has full entropy, so a plain hash is enough and an index can find it."""
    return hashlib.sha256(key.encode()).hexdigest()


def draw_readable() -> str:
    """A new key of 60 random bits that people write down: three groups of four, without letters that look alike."""
    drawn = public_id()
    return "-".join(drawn[index : index + 4] for index in range(0, len(drawn), 4))
