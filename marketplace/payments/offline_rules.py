"""Pure rules of bank transfers: when a second officer must look, and how a reference is compared."""

from __future__ import annotations

from marketplace.foundation.money import Money

LONGEST_REFERENCE = 100


def needs_second_officer(amount: Money, *, limit: int) -> bool:
    """Whether an amount is above the limit, in whole units of its currency: at the limit one officer is enough."""
    return amount.major > limit


def normalised(reference: str) -> str:
    """A bank's reference without the spaces and letter cases that two people type differently."""
    return "".join(reference.split()).upper()[:LONGEST_REFERENCE]
