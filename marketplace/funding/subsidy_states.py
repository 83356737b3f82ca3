"""The states of a subsidy and the only table of its steps; docs/states.md draws it. Pure."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a subsidy stands; see TRANSITIONS."""

    APPLIED = "applied"
    RESERVED = "reserved"
    EARNED = "earned"
    CLAIMED = "claimed"
    PAID = "paid"
    REJECTED = "rejected"
    LAPSED = "lapsed"
    # The funder paid, and the order ended after all: the money is owed back to it, then sent.
    CLAWED_BACK = "clawed_back"
    SENT_BACK = "sent_back"
    # The funder paid and takes its money back, though the place stays: owed back to it, then sent.
    REVOKED = "revoked"
    REPAID = "repaid"
    CANCELLED = "cancelled"
    RELEASED = "released"


# Every step a subsidy can take: (from, act, to).
TRANSITIONS: tuple[tuple[State, str, State], ...] = (
    (State.APPLIED, "approve", State.RESERVED),
    (State.APPLIED, "reject", State.REJECTED),
    # Nobody reviewed it in time.
    (State.APPLIED, "lapse", State.LAPSED),
    (State.APPLIED, "release", State.CANCELLED),
    (State.RESERVED, "earn", State.EARNED),
    (State.RESERVED, "lapse", State.LAPSED),
    (State.RESERVED, "reject", State.REJECTED),
    (State.RESERVED, "release", State.RELEASED),
    (State.EARNED, "claim", State.CLAIMED),
    (State.EARNED, "reject", State.REJECTED),
    (State.EARNED, "lapse", State.LAPSED),
    (State.EARNED, "release", State.RELEASED),
    (State.CLAIMED, "pay", State.PAID),
    (State.CLAIMED, "reject", State.REJECTED),
    (State.CLAIMED, "release", State.RELEASED),
    (State.PAID, "release", State.CLAWED_BACK),
    (State.PAID, "claw_back", State.REVOKED),
    (State.CLAWED_BACK, "send_back", State.SENT_BACK),
    (State.REVOKED, "send_back", State.REPAID),
    # The order ended after all: what was owed or borne for it is not any more.
    (State.REJECTED, "release", State.RELEASED),
    (State.LAPSED, "release", State.RELEASED),
    (State.REVOKED, "release", State.CLAWED_BACK),
    (State.REPAID, "release", State.SENT_BACK),
    # The order was paid after it had expired, and what it had let go is still there.
    (State.CANCELLED, "reinstate", State.APPLIED),
    (State.RELEASED, "reinstate", State.RESERVED),
)
# Their amounts count as spent: an application under review too, since its order is placed at the subsidised price.
COMMITTED = frozenset({State.APPLIED, State.RESERVED, State.EARNED, State.CLAIMED, State.PAID})
# The funder pays nothing (any more) for a place that stays: the rule says what the learner owes, and the rest is borne.
UNPAID = frozenset({State.LAPSED, State.REJECTED, State.REVOKED, State.REPAID})
# They were earned by what somebody attended and completed, and somebody pays or has paid for that.
RESTS_ON_EVIDENCE = frozenset({State.EARNED, State.CLAIMED, State.PAID})
# What the funder paid is on our account and not ours.
OWED_BACK = frozenset({State.CLAWED_BACK, State.REVOKED})


def target(state: str, act: str) -> State | None:
    """The state an act leads to from here, or None where the table has no such step."""
    return next((to for source, name, to in TRANSITIONS if source == state and name == act), None)
