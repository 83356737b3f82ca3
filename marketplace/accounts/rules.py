"""Decisions about accounts that need nothing but their arguments."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING

from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from marketplace.foundation.i18n import LazyString

# NIST SP 800-63B-4, 3.1.1.2 and ASVS 5.0 V6.2: length and a list of common ones, no rules of composition.
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 128
LINKS_LIVE = {
    "confirm": timedelta(days=3),
    "reset": timedelta(hours=1),
    "change_email": timedelta(hours=24),
    "delete": timedelta(hours=24),
}
# Who signs in unconfirmed is sent the link again, but not on every try.
LINK_AGAIN_AFTER = timedelta(minutes=10)
INVITATION_LIVES = timedelta(days=14)
REMEMBERED_FOR = timedelta(days=30)
SIGNED_IN_FOR = timedelta(hours=12)
# Long enough to find the telephone.
HALF_SIGNED_IN_FOR = timedelta(minutes=10)
# A sign-in's last use is written down at most this often, so that reading pages stays reading.
SEEN_EVERY = timedelta(minutes=5)
LONGEST_USER_AGENT = 300


def normal_password(text: str) -> str:
    """The same password from every keyboard: Unicode NFKC, as NIST SP 800-63B-4 asks."""
    return unicodedata.normalize("NFKC", text)


def length_fault(password: str) -> Refused | None:
    """Why a password's length is refused, or None."""
    length = len(normal_password(password))
    if length < SHORTEST_PASSWORD:
        sentence = lazy("At least %(count)s characters. A short sentence is easy to remember.", count=SHORTEST_PASSWORD)
        return weak_password(sentence)
    if length > LONGEST_PASSWORD:
        return weak_password(lazy("Use at most %(count)s characters.", count=LONGEST_PASSWORD))
    return None


def weak_password(sentence: LazyString) -> Invalid:
    """The refusal of a password that is to be."""
    return Invalid("password_too_weak", sentence, {"password": sentence})


def share_of(text: str, limit: int) -> str:
    """The beginning of a text somebody else wrote, without control characters."""
    return "".join(character for character in text if character.isprintable())[:limit]


# The first that is found names it: Edge calls itself Chrome too, and Chrome calls itself Safari.
BROWSERS = (
    ("MicroMessenger", "WeChat"),
    ("Edg", "Edge"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS = (
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def browser_name(user_agent: str) -> str:
    """What people call the browser and the system in a User-Agent, as "Firefox, Windows", or the text itself."""
    found = [next((name for mark, name in marks if mark in user_agent), "") for marks in (BROWSERS, SYSTEMS)]
    return ", ".join(filter(None, found)) or user_agent or "?"
