"""The part of Stripe's API that the marketplace uses, spoken as Stripe speaks it: forms in, JSON out, keys kept."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, request

from marketplace.payments.sandbox import chaos, checkout, refunds
from marketplace.payments.sandbox.errors import ApiError, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from marketplace.payments.sandbox.store import Body, Store

blueprint = Blueprint("api", __name__, url_prefix="/v1")
KINDS = {
    "payment_intents": "payment_intent",
    "charges": "charge",
    "refunds": "refund",
    "events": "event",
    "balance_transactions": "balance_transaction",
    "payouts": "payout",
    "disputes": "dispute",
}
EXPANDABLE = {"payment_intent", "latest_charge", "charge", "source", "balance_transaction"}


class NoAnswer(Exception):
    """The connection is to break without an answer."""


def store() -> Store:
    """The sandbox's memory."""
    found: Store = current_app.config["STORE"]
    return found


def parse(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Stripe's nested forms, `line_items[0][price_data][currency]=cny`, as nested dictionaries and lists."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        words = re.findall(r"[^\[\]]+", name)
        if name.endswith("[]"):
            words.append(str(len(_branch(tree, words))))
        _branch(tree, words[:-1])[words[-1]] = value
    straightened = _straighten(tree)
    return straightened if isinstance(straightened, dict) else {}


def _branch(tree: dict[str, Any], words: list[str]) -> dict[str, Any]:
    for word in words:
        tree = tree.setdefault(word, {})
    return tree


def _straighten(value: Any) -> Any:
    """Dictionaries whose keys are 0, 1, 2 … are lists."""
    if not isinstance(value, dict):
        return value
    inner = {name: _straighten(child) for name, child in value.items()}
    if inner and all(name.isdecimal() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


@blueprint.before_request
def check_key() -> None:
    """Refuse strangers, as Stripe does."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if sent != current_app.config["STRIPE_KEY"]:
        raise ApiError("Invalid API Key provided.", status=401, kind="invalid_request_error", code="api_key_invalid")


@blueprint.errorhandler(ApiError)
def refuse(error: ApiError) -> Response:
    """An error in Stripe's shape."""
    return answer(error.body, error.status)


def answer(body: Body, status: int = 200) -> Response:
    """JSON without what only the sandbox knows."""
    return Response(json.dumps(public(body)), status, mimetype="application/json")


def public(value: Any) -> Any:
    """The value without the names that begin with an underscore."""
    if isinstance(value, dict):
        return {name: public(child) for name, child in value.items() if not name.startswith("_")}
    return [public(child) for child in value] if isinstance(value, list) else value


def make(act: Callable[[dict[str, Any]], Body]) -> Response:
    """Do an act that makes or changes something: once per idempotency key, and with the trouble that was ordered."""
    asked = parse(request.form.items(multi=True))
    key = request.headers.get("Idempotency-Key", "")
    wanted = f"{request.path} {json.dumps(asked, sort_keys=True)}"
    if chaos.strikes(store(), "fail_before"):
        return _server_error()
    with store().changing():
        known = store().answered(key) if key else None
        if known is None:
            status, body = _done(act, asked)
            # Stripe keeps refusals too, except of what never began.
            if key:
                store().remember_answer(key, wanted, status, body)
        elif known[0] != wanted:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
            )
            raise ApiError(message, kind="idempotency_error")
        else:
            status, body = known[1], known[2]
    if chaos.strikes(store(), "timeout_after"):
        raise NoAnswer
    return _server_error() if chaos.strikes(store(), "fail_after") else answer(_expanded(body, asked), status)


def _done(act: Callable[[dict[str, Any]], Body], asked: dict[str, Any]) -> tuple[int, Body]:
    try:
        return 200, act(asked)
    except ApiError as error:
        return error.status, error.body


def _server_error() -> Response:
    return answer({"error": {"type": "api_error", "message": "An unknown error occurred."}}, 500)


def _expanded(body: Body, asked: dict[str, Any]) -> Body:
    for path in asked.get("expand", []):
        body = _expand(body, path.removeprefix("data.").split("."))
    return body


def _expand(body: Body, names: list[str]) -> Body:
    name, *rest = names
    if name not in EXPANDABLE or not body.get(name):
        return body
    inner = body[name] if isinstance(body[name], dict) else store().find(body[name])
    return body | {name: _expand(inner, rest) if rest and inner else inner}


def query() -> dict[str, Any]:
    """What the address asks."""
    return parse(request.args.items(multi=True))


@blueprint.post("/checkout/sessions")
def create_session() -> Response:
    """Open a session."""
    return make(lambda asked: checkout.create_session(store(), asked, request.host_url.rstrip("/")))


@blueprint.get("/checkout/sessions/<session_id>")
def retrieve_session(session_id: str) -> Response:
    """The session as it is."""
    return answer(_expanded(checkout.get_session(store(), session_id), query()))


@blueprint.post("/checkout/sessions/<session_id>/expire")
def expire_session(session_id: str) -> Response:
    """Close a session."""
    return make(lambda _asked: checkout.expire(store(), checkout.get_session(store(), session_id)))


@blueprint.get("/checkout/sessions")
def list_sessions() -> Response:
    """Sessions, newest first, filtered by payment intent, status and time."""
    return _page("checkout.session", "/v1/checkout/sessions", ("payment_intent", "status"))


@blueprint.post("/refunds")
def create_refund() -> Response:
    """Give money back."""
    return make(lambda asked: refunds.create(store(), asked))


@blueprint.get("/<plural>/<object_id>")
def retrieve(plural: str, object_id: str) -> Response:
    """Any other object."""
    found = store().find(object_id)
    if found is None or found["object"] != KINDS.get(plural):
        raise missing(KINDS.get(plural, plural), object_id)
    return answer(_expanded(found, query()))


@blueprint.get("/<plural>")
def list_objects(plural: str) -> Response:
    """Other objects, newest first."""
    if plural not in KINDS:
        raise ApiError(f"Unrecognized request URL (GET: /v1/{plural}).", status=404)
    return _page(KINDS[plural], f"/v1/{plural}", ("payment_intent", "charge", "type", "status"))


def _page(kind: str, url: str, filters: tuple[str, ...]) -> Response:
    asked = query()
    created = asked.get("created", {})
    found = [
        body
        for body in store().list_kind(kind)
        if all(asked.get(name) in {None, body.get(name)} for name in filters)
        and (not isinstance(created, dict) or _is_within(body["created"], created))
    ]
    ids = [body["id"] for body in found]
    start = ids.index(asked["starting_after"]) + 1 if asked.get("starting_after") in ids else 0
    limit = int(asked.get("limit", 10))
    page = [_expanded(body, asked) for body in found[start : start + limit]]
    return answer({"object": "list", "url": url, "has_more": len(found) > start + limit, "data": page})


def _is_within(moment: int, created: dict[str, str]) -> bool:
    return int(created.get("gte", 0)) <= moment <= int(created.get("lte", moment))
