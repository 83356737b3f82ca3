"""Events: written with the change they tell of, delivered by a thread, signed as Stripe signs."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from marketplace.payments.sandbox import chaos
from marketplace.payments.sandbox.store import Body, Store, draw_id, now

if TYPE_CHECKING:
    from collections.abc import Callable

API_VERSION = "2026-10-28"
# After these many seconds a delivery that was not answered with 2xx is tried again; then never.
RETRY_AFTER = (1, 3, 10, 30, 120, 600)
TIMEOUT_SECONDS = 20


def emit(store: Store, kind: str, subject: Body) -> Body:
    """Write an event about an object as it is now, and plan its delivery under the switches of this moment."""
    event: Body = {
        "id": draw_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": now(),
        "data": {"object": subject},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }
    with store.changing():
        store.save(event)
        if not chaos.strikes(store, "drop"):
            due = time.time() + chaos.amount(store, "delay_seconds")
            for _ in range(2 if chaos.is_on(store, "duplicate") else 1):
                store.enqueue(event["id"], due)
    return event


def signature(payload: bytes, secret: str, moment: int) -> str:
    """The header Stripe-Signature: https://docs.stripe.com/webhooks#verify-manually."""
    signed = hmac.new(secret.encode(), f"{moment}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={moment},v1={signed}"


class Courier(threading.Thread):
    """Delivers what is due, in order, until it is stopped; `chores` run between deliveries."""

    def __init__(self, store: Store, *, url: str, secret: str, chores: Callable[[], None]) -> None:
        """Deliver to `url`, signing with `secret`."""
        super().__init__(name="courier", daemon=True)
        self.store, self.url, self.secret, self.chores = store, url, secret, chores
        self.stopping = threading.Event()

    def run(self) -> None:
        """Look every tenth of a second."""
        while not self.stopping.wait(0.1):
            self.chores()
            self.deliver_due()

    def deliver_due(self) -> None:
        """Make every delivery that is due, unless deliveries are held back."""
        if chaos.is_on(self.store, "hold"):
            return
        for number, event_id, tries in self.store.due_deliveries(newest_first=chaos.is_on(self.store, "reorder")):
            event = self.store.find(event_id)
            if event is None or self._is_taken(event):
                self.store.note_delivery(number, state="delivered", tries=tries + 1)
            elif tries < len(RETRY_AFTER):
                due = time.time() + RETRY_AFTER[tries]
                self.store.note_delivery(number, state="waiting", due=due, tries=tries + 1)
            else:
                self.store.note_delivery(number, state="given up", tries=tries + 1)

    def _is_taken(self, event: Body) -> bool:
        payload = json.dumps(event).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Sandbox/1.0",
            # Signed with the machine's clock: the receiver checks its age against its own.
            "Stripe-Signature": signature(payload, self.secret, int(time.time())),
        }
        request = urllib.request.Request(self.url, data=payload, headers=headers, method="POST")  # noqa: S310 - given at start
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the same
                return bool(200 <= answer.status < 300)  # noqa: PLR2004 - HTTP's own numbers
        except OSError:
            return False
