"""What is written to a person about their subsidy, in their language; nobody can stop a mail about what they owe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace.accounts import letters
from marketplace.funding import subsidy_names

if TYPE_CHECKING:
    from flask_babel import LazyString

    from marketplace.funding.subsidy_models import Subsidy


def send_approved(subsidy: Subsidy) -> None:
    """The application was accepted: what is paid, and what has to be done for it by when."""
    _send("funding/approved", subsidy)


def send_ended(subsidy: Subsidy, *, reason: str | LazyString, was_earned: bool = False) -> None:
    """It lapsed or was rejected: why, and what the person owes now, or that they owe nothing.

    `was_earned`: the conditions were met, and only the review did not come in time.
    """
    _send("funding/ended", subsidy, reason=reason, was_earned=was_earned)


def send_lapses_soon(subsidy: Subsidy) -> bool:
    """Nothing shows yet that the conditions are met: what is to be done by when, and what follows otherwise.

    Once for each deadline; whether it was written now.
    """
    return _send("funding/lapses_soon", subsidy, when=f"earn:{int(subsidy.earn_by.timestamp())}")


def send_extended(subsidy: Subsidy) -> None:
    """An officer gives more time to meet the conditions: until when."""
    _send("funding/extended", subsidy, when=f"extended:{int(subsidy.earn_by.timestamp())}")


def _send(
    message: str, subsidy: Subsidy, *, reason: str | LazyString = "", was_earned: bool = False, when: str = ""
) -> bool:
    written = letters.write(
        subsidy.person,
        message,
        key=f"subsidy:{subsidy.public_id}:{when or subsidy.state}",
        subsidy=subsidy,
        programme=subsidy.programme,
        rule=subsidy.rule_version.rule,
        names=subsidy_names,
        reason=reason,
        was_earned=was_earned,
    )
    return written is not None
