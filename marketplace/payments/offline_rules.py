"""Pure rules of bank transfers: when a second officer must look, and how a reference is compared."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from marketplace.foundation.money import Money

# The bank's days are Shanghai's.
ZONE = ZoneInfo("Asia/Shanghai")
LONGEST_REFERENCE = 100


def needs_second_officer(amount: Money, *, limit: int) -> bool:
    """Whether an amount is above the limit, in whole units of its currency: at the limit one officer is enough."""
    return amount.major > limit


def normalised(reference: str) -> str:
    """A bank's reference without the spaces and letter cases that two people type differently."""
    return "".join(reference.split()).upper()[:LONGEST_REFERENCE]


def day_of(moment: datetime) -> date:
    """The bank's day of a moment."""
    return moment.astimezone(ZONE).date()
