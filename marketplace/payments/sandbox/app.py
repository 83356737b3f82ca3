"""The sandbox's own Flask application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response, request

from marketplace.payments.sandbox import api, pages

if TYPE_CHECKING:
    from marketplace.payments.sandbox.store import Store


def create_sandbox(store: Store, *, key: str) -> Flask:
    """The API and the pages over one memory; `key` is the secret key it accepts."""
    app = Flask(__name__)
    app.config.update(STORE=store, STRIPE_KEY=key)
    app.register_blueprint(api.blueprint)
    app.register_blueprint(pages.blueprint)
    app.register_error_handler(api.NoAnswer, _break_connection)
    return app


def _break_connection(_error: api.NoAnswer) -> Response:
    """Close the socket under the server: the client sees a connection that ended without an answer."""
    connection = request.environ.get("werkzeug.socket")
    if connection is not None:
        connection.close()
    return Response(status=504)
