"""Checkout Sessions and what follows from them: payment intents, charges, and the events that tell of each change."""

from __future__ import annotations

import json
from typing import Any

from marketplace.payments.sandbox import balance, chaos
from marketplace.payments.sandbox.errors import ApiError, missing
from marketplace.payments.sandbox.events import emit
from marketplace.payments.sandbox.store import Body, Store, draw_id, now

SHORTEST, LONGEST = 30 * 60, 24 * 3600
# Between two clocks that were read at different moments.
TOLERANCE = 60
DECLINED = {
    "card_declined": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "authentication_failed": "The confirmation of this payment failed.",
    "payment_method_provider_decline": "The provider of the payment method declined the payment.",
}


def create_session(store: Store, asked: dict[str, Any], address: str) -> Body:
    """Open a session for what was asked; `address` is where the sandbox itself is reached."""
    currency, items = _items(asked)
    total = sum(item["amount_total"] for item in items)
    expires_at = int(asked.get("expires_at") or now() + LONGEST)
    if not SHORTEST - TOLERANCE <= expires_at - now() <= LONGEST + TOLERANCE:
        raise ApiError(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    if "success_url" not in asked:
        raise ApiError("Missing required param: success_url.", code="parameter_missing", param="success_url")
    session_id = draw_id("cs_test")
    return store.save(
        {
            "id": session_id,
            "object": "checkout.session",
            "amount_subtotal": total,
            "amount_total": total,
            "cancel_url": asked.get("cancel_url"),
            "client_reference_id": asked.get("client_reference_id"),
            "created": now(),
            "currency": currency,
            "customer": None,
            "customer_details": None,
            "customer_email": asked.get("customer_email"),
            "expires_at": expires_at,
            "livemode": False,
            "locale": asked.get("locale"),
            "metadata": asked.get("metadata", {}),
            "mode": asked.get("mode", "payment"),
            "payment_intent": None,
            "payment_method_types": asked.get("payment_method_types", ["card"]),
            "payment_status": "unpaid",
            "status": "open",
            "success_url": asked["success_url"],
            "url": f"{address}/pay/{session_id}",
            # Not Stripe's: what the page shows and what the intent will carry.
            "_items": items,
            "_intent_metadata": asked.get("payment_intent_data", {}).get("metadata", {}),
        }
    )


def _items(asked: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    items = []
    for item in asked.get("line_items", []):
        price = item.get("price_data", {})
        quantity, unit = int(item.get("quantity", 1)), int(price.get("unit_amount", -1))
        if unit < 0 or quantity < 1 or "currency" not in price:
            raise ApiError("Each line item needs a price and a quantity.", param="line_items")
        name = price.get("product_data", {}).get("name", "")
        items.append({"name": name, "currency": price["currency"], "amount_total": unit * quantity})
    currencies = {item["currency"] for item in items}
    if len(currencies) != 1:
        raise ApiError("All line items must have the same currency.", param="line_items")
    return currencies.pop(), items


def get_session(store: Store, session_id: str) -> Body:
    """The session, expired if its time has come."""
    with store.changing():
        session = store.find(session_id)
        if session is None or session["object"] != "checkout.session":
            raise missing("checkout.session", session_id)
        if session["status"] == "open" and session["expires_at"] <= now():
            return expire(store, session)
        return session


def expire(store: Store, session: Body) -> Body:
    """Close an open session."""
    if session["status"] != "open":
        raise ApiError(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This session is {session["status"]}.',
            code="resource_already_exists" if session["status"] == "expired" else "checkout_session_not_open",
        )
    with store.changing():
        session |= {"status": "expired", "url": None}
        store.save(session)
        emit(store, "checkout.session.expired", session)
    return session


def try_to_pay(store: Store, session: Body, *, method: str, failure: str | None = None) -> Body:
    """A person paid with an immediate method, or was declined with `failure`; the session after that."""
    with store.changing():
        intent = _intent(store, session)
        if failure is not None:
            _fail(store, intent, method=method, failure=failure)
            return session
        charge = _charge(store, intent, method=method, status="succeeded")
        _succeed(store, intent, charge)
        return _complete(store, session, payment_status="paid")


def begin_delayed(store: Store, session: Body, *, method: str) -> Body:
    """A person chose a method that is settled later: the session is complete and unpaid."""
    with store.changing():
        intent = _intent(store, session)
        wait = chaos.amount(store, "settle_seconds")
        intent |= {"status": "processing", "_method": method, "_settles_at": now() + wait if wait else None}
        store.save(intent)
        emit(store, "payment_intent.processing", intent)
        return _complete(store, session, payment_status="unpaid")


def settle(store: Store, session: Body, *, failure: str | None = None) -> Body:
    """The delayed money arrives, or never will."""
    with store.changing():
        intent = store.find(session["payment_intent"] or "")
        if intent is None or intent["status"] != "processing":
            raise ApiError("Nothing is on its way for this session.")
        intent["_settles_at"] = None
        if failure is not None:
            _fail(store, intent, method=intent["_method"], failure=failure)
            emit(store, "checkout.session.async_payment_failed", session)
            return session
        _succeed(store, intent, _charge(store, intent, method=intent["_method"], status="succeeded"))
        session["payment_status"] = "paid"
        store.save(session)
        emit(store, "checkout.session.async_payment_succeeded", session)
        return session


def do_chores(store: Store) -> None:
    """Expire sessions whose time has come, settle delayed payments that are due, pay out what is available."""
    with store.changing():
        for session in _unfinished(store):
            if session["status"] == "open":
                get_session(store, session["id"])
                continue
            intent = store.find(session["payment_intent"] or "") or {}
            if intent.get("_settles_at") and intent["_settles_at"] <= now():
                settle(store, session)
        balance.do_chores(store)


def _unfinished(store: Store) -> list[Body]:
    query = """
        SELECT body FROM object WHERE kind = 'checkout.session' AND (json_extract(body, '$.status') = 'open'
            OR json_extract(body, '$.status') = 'complete' AND json_extract(body, '$.payment_status') = 'unpaid')
    """
    return [json.loads(row[0]) for row in store.rows(query)]


def _intent(store: Store, session: Body) -> Body:
    """The session's intent, made when a person first tries to pay, as Stripe does."""
    if session["status"] != "open":
        raise ApiError("This Checkout Session is not open any more.", code="checkout_session_not_open")
    found = store.find(session["payment_intent"]) if session["payment_intent"] else None
    if found is not None:
        return found
    intent = store.save(
        {
            "id": draw_id("pi"),
            "object": "payment_intent",
            "amount": session["amount_total"],
            "amount_received": 0,
            "capture_method": "automatic_async",
            "created": now(),
            "currency": session["currency"],
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": session["_intent_metadata"],
            "payment_method_types": session["payment_method_types"],
            "status": "requires_payment_method",
            "_session": session["id"],
        }
    )
    session["payment_intent"] = intent["id"]
    store.save(session)
    emit(store, "payment_intent.created", intent)
    return intent


def _charge(store: Store, intent: Body, *, method: str, status: str, failure: str | None = None) -> Body:
    return store.save(
        {
            "id": draw_id("ch"),
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": intent["amount"] if status == "succeeded" else 0,
            "amount_refunded": 0,
            "balance_transaction": None,
            "captured": status == "succeeded",
            "created": now(),
            "currency": intent["currency"],
            "disputed": False,
            "failure_code": failure,
            "livemode": False,
            "metadata": intent["metadata"],
            "paid": status == "succeeded",
            "payment_intent": intent["id"],
            "payment_method_details": {"type": method},
            "refunded": False,
            "status": status,
        }
    )


def _succeed(store: Store, intent: Body, charge: Body) -> None:
    intent |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "latest_charge": charge["id"],
        "last_payment_error": None,
    }
    store.save(intent)
    balance.book(store, "charge", charge, charge["amount"], fee=balance.fee_of(charge["amount"]))
    emit(store, "charge.succeeded", charge)
    emit(store, "payment_intent.succeeded", intent)


def _fail(store: Store, intent: Body, *, method: str, failure: str) -> None:
    charge = _charge(store, intent, method=method, status="failed", failure=failure)
    error = {"type": "card_error", "code": failure, "message": DECLINED[failure]}
    intent |= {"status": "requires_payment_method", "latest_charge": charge["id"], "last_payment_error": error}
    store.save(intent)
    emit(store, "charge.failed", charge)
    emit(store, "payment_intent.payment_failed", intent)


def _complete(store: Store, session: Body, *, payment_status: str) -> Body:
    session |= {"status": "complete", "payment_status": payment_status, "url": None}
    session["customer_details"] = {"email": session["customer_email"]}
    store.save(session)
    emit(store, "checkout.session.completed", session)
    return session
