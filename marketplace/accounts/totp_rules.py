"""Codes of authenticator apps: RFC 6238 with SHA-1, six digits and thirty seconds, which every app knows."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from datetime import datetime

STEP_SECONDS = 30
DIGITS = 6
# A code of the step before and after is taken too: clocks differ, and typing takes time.
DRIFT = (0, -1, 1)
SECRET_BYTES = 20


def code_of(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of one step (RFC 4226, section 5.3)."""
    digest = hmac.new(secret, step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**digits:0{digits}}"


def matching_step(secret: bytes, code: str, *, last_step: int, now: datetime) -> int | None:
    """The step whose code this is, if it is near `now` and later than the last one used: a code works once."""
    present = int(now.timestamp()) // STEP_SECONDS
    for step in (present + drift for drift in DRIFT):
        if step > last_step and hmac.compare_digest(code_of(secret, step).encode(), code.encode()):
            return step
    return None


def readable(secret: bytes) -> str:
    """The secret as people type it: base 32 in groups of four."""
    text = base64.b32encode(secret).decode().rstrip("=")
    return " ".join(text[index : index + 4] for index in range(0, len(text), 4))


def address(secret: bytes, *, account: str, issuer: str) -> str:
    """What the square picture holds: https://github.com/google/google-authenticator/wiki/Key-Uri-Format."""
    key = base64.b32encode(secret).decode().rstrip("=")
    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?secret={key}&issuer={quote(issuer)}"
