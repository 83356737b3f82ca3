"""Decisions about accounts that need nothing but their arguments."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING

from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from marketplace.foundation.i18n import LazyString

# NIST SP 800-63B-4, 3.1.1.2 and ASVS 5.0 V6.2: length and a list of common ones, no rules of composition.
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 128
FEWEST_DIFFERENT_CHARACTERS = 5
LINKS_LIVE = {"confirm": timedelta(days=3), "reset": timedelta(hours=1), "change_email": timedelta(hours=24)}
INVITATION_LIVES = timedelta(days=14)
REMEMBERED_FOR = timedelta(days=30)
SIGNED_IN_FOR = timedelta(hours=12)
# A sign-in's last use is written down at most this often, so that reading pages stays reading.
SEEN_EVERY = timedelta(minutes=5)
LONGEST_USER_AGENT = 300
SEQUENCES = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn",
)
COMMON = frozenset({"", "password", "passwort", "iloveyou", "administrator", "letmein", "welcome", "woaini", "mima"})


def normal_password(text: str) -> str:
    """The same password from every keyboard: Unicode NFKC, as NIST SP 800-63B-4 asks."""
    return unicodedata.normalize("NFKC", text)


def password_fault(password: str, *, about: Mapping[str, str]) -> Refused | None:
    """Why a password is too easy to guess, or None. `about` holds what others know of the person: name, e-mail."""
    plain = normal_password(password)
    if len(plain) < SHORTEST_PASSWORD:
        return _bad(
            lazy("At least %(count)s characters. A short sentence is easy to remember.", count=SHORTEST_PASSWORD)
        )
    if len(plain) > LONGEST_PASSWORD:
        return _bad(lazy("Use at most %(count)s characters.", count=LONGEST_PASSWORD))
    if len(set(plain.casefold())) < FEWEST_DIFFERENT_CHARACTERS or _is_sequence(plain.casefold()):
        return _bad(lazy("This password is among the first that are guessed. Choose unrelated words."))
    if any(_contains(plain.casefold(), known.casefold()) for known in about.values()):
        return _bad(lazy("Your name or e-mail address is easy to guess. Leave it out of the password."))
    return None


def _bad(sentence: LazyString) -> Invalid:
    return Invalid("password_too_weak", sentence, {"password": sentence})


def _is_sequence(password: str) -> bool:
    """Whether it is a walk along the keyboard or the alphabet, a common word with digits, or twice the same."""
    half = len(password) // 2
    if password == password[:half] * 2:
        return True
    without_digits = password.rstrip("0123456789!.?#@*")
    if without_digits in COMMON:
        return True
    return any(password in line or password[::-1] in line for line in SEQUENCES)


def _contains(password: str, known: str) -> bool:
    words = [known, known.partition("@")[0]]
    return any(len(word) >= 4 and word in password and len(password) - len(word) < 6 for word in words)  # noqa: PLR2004


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
