"""The door Stripe knocks at. A wrong signature is the only thing it is refused for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import jsonify, request

from marketplace.accounts.permissions import permission
from marketplace.foundation import clock
from marketplace.foundation.web import csrf
from marketplace.payments import events, stripe_gateway
from marketplace.payments.blueprint import blueprint

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

log = structlog.get_logger("webhooks")


@blueprint.post("/webhooks/stripe")
@permission("machine")
def stripe_webhook() -> ResponseReturnValue:
    """Store the event and answer at once; a job does the rest."""
    try:
        event = stripe_gateway.verify_event(request.get_data(), request.headers.get("Stripe-Signature", ""))
    except stripe_gateway.BadSignature:
        log.warning("webhook with a wrong signature")
        return jsonify(error="signature"), 400
    is_new = events.store(event, now=clock.now())
    return jsonify(received=True, new=is_new)


# Stripe signs its requests and has no page of ours to take a token from.
csrf.exempt(stripe_webhook)
