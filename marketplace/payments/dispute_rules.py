"""Pure decisions about disputes: what Stripe's statuses mean to us, and which states may follow which."""

from __future__ import annotations

from enum import StrEnum


class DisputeState(StrEnum):
    """Where a dispute stands: an inquiry holds no money back yet, the last two are final."""

    INQUIRY = "inquiry"
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class PlaceDecision(StrEnum):
    """What staff decide about the place of a disputed payment."""

    KEEP = "keep"
    SUSPEND = "suspend"
    END = "end"


# docs/refunds.md draws these.
TRANSITIONS: dict[DisputeState, frozenset[DisputeState]] = {
    DisputeState.INQUIRY: frozenset({DisputeState.OPEN, DisputeState.WON, DisputeState.LOST}),
    DisputeState.OPEN: frozenset({DisputeState.WON, DisputeState.LOST}),
    DisputeState.WON: frozenset(),
    DisputeState.LOST: frozenset(),
}
FINAL = frozenset({DisputeState.WON, DisputeState.LOST})
# https://docs.stripe.com/api/disputes/object#dispute_object-status
STATES = {
    "warning_needs_response": DisputeState.INQUIRY,
    "warning_under_review": DisputeState.INQUIRY,
    "warning_closed": DisputeState.WON,
    "needs_response": DisputeState.OPEN,
    "under_review": DisputeState.OPEN,
    "won": DisputeState.WON,
    "prevented": DisputeState.WON,
    "lost": DisputeState.LOST,
}


def next_state(current: str | None, status: str) -> DisputeState | None:
    """The state after Stripe's status was read; None when nothing changes. A status we do not know holds money back."""
    wanted = STATES.get(status, DisputeState.OPEN)
    if current is None or (wanted != current and wanted in TRANSITIONS[DisputeState(current)]):
        return wanted
    return None
