"""What tests of payments share: a clock that stands still, someone of finance, the sandbox in this process."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from werkzeug.serving import make_server

from marketplace.accounts.models import Person
from marketplace.foundation import clock
from marketplace.payments.sandbox import checkout
from marketplace.payments.sandbox.app import create_sandbox
from marketplace.payments.sandbox.events import signature
from marketplace.payments.sandbox.store import Store
from tests.factories import make_staff


class Sandbox:
    """Its store, its address, and events handed to the application instead of being sent."""

    def __init__(self, store: Store, address: str) -> None:
        self.store = store
        self.address = address
        self.requests: list[tuple[str, str, str]] = []

    def events(self):
        """All events so far, oldest first."""
        return list(reversed(self.store.list_kind("event")))

    def forget(self):
        """As on the first day."""
        with self.store.changing():
            for table in ("object", "answer", "delivery", "switch"):
                self.store.connection.execute(f"DELETE FROM {table}")

    def session_of(self, attempt):
        """The attempt's session as it is now."""
        return checkout.get_session(self.store, attempt.session_id)

    def pay(self, attempt):
        """The person pays by card and it succeeds."""
        checkout.try_to_pay(self.store, self.session_of(attempt), method="card")

    def decline(self, attempt):
        """The person's card is declined."""
        checkout.try_to_pay(self.store, self.session_of(attempt), method="card", failure="card_declined")

    def delay(self, attempt):
        """The person chooses a method that settles later."""
        checkout.begin_delayed(self.store, self.session_of(attempt), method="alipay")

    def settle(self, attempt, failure=None):
        """The delayed money arrives, or the payment fails."""
        checkout.settle(self.store, self.session_of(attempt), failure=failure)


@pytest.fixture
def now(app) -> datetime:
    """A whole second at which the clock stands still."""
    moment = clock.now().replace(microsecond=0)
    clock.set_to(moment)
    return moment


@pytest.fixture
def officer(app) -> Person:
    """Someone of finance."""
    return make_staff("finance_officer")


@pytest.fixture
def sandbox(app) -> Iterator[Sandbox]:
    with running_sandbox(app) as made:
        yield made


@contextmanager
def running_sandbox(app) -> Iterator[Sandbox]:
    """A sandbox of its own that this application calls instead of Stripe."""
    store = Store(":memory:")
    wsgi = create_sandbox(store, key=app.config["SETTINGS"].stripe_secret_key)
    server = make_server("127.0.0.1", 0, wsgi, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made = Sandbox(store, f"http://127.0.0.1:{server.server_port}")

    def keep():
        from flask import request  # noqa: PLC0415 - the sandbox's request, not the marketplace's

        made.requests.append((request.method, request.full_path.rstrip("?"), request.get_data(as_text=True)))

    wsgi.before_request(keep)
    settings = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(settings, stripe_api_base=made.address)
    try:
        yield made
    finally:
        app.config["SETTINGS"] = settings
        server.shutdown()
        thread.join()
        server.server_close()


def signed(app, payload: bytes, *, at: int) -> dict[str, str]:
    """The headers Stripe would send with a payload."""
    secret = app.config["SETTINGS"].stripe_webhook_secret
    return {"Stripe-Signature": signature(payload, secret, at), "Content-Type": "application/json"}
