"""Trouble to order: what a network and a payment provider do on a bad day."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marketplace.payments.sandbox.store import Store

# name: (meaning, what it counts down in; "" = stays until it is turned off)
SWITCHES = {
    "delay_seconds": "Every event is delivered this many seconds late.",
    "duplicate": "Every event is delivered twice.",
    "reorder": "Events that are due together are delivered in the opposite order.",
    "hold": "Events are kept back until this is turned off.",
    "drop": "The next so many events are never delivered.",
    "fail_before": "The next so many calls that make something answer 500 and make nothing.",
    "fail_after": "The next so many calls that make something do so, and answer 500.",
    "timeout_after": "The next so many calls that make something do so, and the connection breaks without an answer.",
    "refund_fails": "The next so many refunds are accepted and fail afterwards.",
    "balance_differs": "The next so many movements of the balance are one unit short.",
    "settle_seconds": "A delayed method settles this many seconds after it was chosen; empty: by the button alone.",
}


def amount(store: Store, name: str) -> float:
    """A switch as a number; 0 when it is off."""
    value = store.switch(name)
    return float(value) if value else 0.0


def is_on(store: Store, name: str) -> bool:
    """Whether a switch is on."""
    return amount(store, name) > 0


def strikes(store: Store, name: str) -> bool:
    """Whether this trouble happens now; it counts down."""
    with store.changing():
        left = int(amount(store, name))
        if left > 0:
            store.turn(name, str(left - 1))
        return left > 0
