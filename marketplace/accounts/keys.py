"""Keys that prove something to whoever holds them: drawn at random, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets


def draw() -> str:
    """A new key of 256 random bits, fit for an address or a cookie."""
    return secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """What the database keeps. The key has full entropy, so a plain hash is enough and an index can find it."""
    return hashlib.sha256(key.encode()).hexdigest()
