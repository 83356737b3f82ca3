"""`python -m marketplace.payments.sandbox --port=5010 --state=FILE --webhook-url=URL`: the sandbox as a process."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

from werkzeug.serving import WSGIRequestHandler, make_server

from config import SANDBOX_STRIPE_KEY, SANDBOX_WEBHOOK_SECRET
from marketplace.payments.sandbox import checkout
from marketplace.payments.sandbox.app import create_sandbox
from marketplace.payments.sandbox.events import Courier
from marketplace.payments.sandbox.store import Store

if TYPE_CHECKING:
    from types import FrameType


class QuietHandler(WSGIRequestHandler):
    """Answers without a line in the log for each request, and breaks the connection when told to."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def main() -> None:
    """Serve until told to stop; refuses to run in production."""
    if os.environ.get("MARKETPLACE_ENV") == "production":
        raise SystemExit("The payments sandbox does not run in production.")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5010)
    parser.add_argument("--state", default=":memory:")
    parser.add_argument("--webhook-url", required=True)
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = Store(options.state)
    secret = os.environ.get("STRIPE_WEBHOOK_SECRET") or SANDBOX_WEBHOOK_SECRET
    courier = Courier(store, url=options.webhook_url, secret=secret, chores=lambda: checkout.do_chores(store))
    app = create_sandbox(store, key=os.environ.get("STRIPE_SECRET_KEY") or SANDBOX_STRIPE_KEY)
    server = make_server("127.0.0.1", options.port, app, threaded=True, request_handler=QuietHandler)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        courier.stopping.set()
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    courier.start()
    server.serve_forever()


if __name__ == "__main__":
    main()
