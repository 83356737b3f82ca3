"""Every request the gateway sends, held against Stripe's own description of its API."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest

from marketplace.foundation import clock, ids
from marketplace.foundation.database import db
from marketplace.foundation.money import Money
from marketplace.payments import stripe_gateway
from marketplace.payments.models import PaymentAttempt
from marketplace.payments.sandbox import disputes
from marketplace.payments.stripe_gateway import GatewayError, PageWanted
from tests.buying import place_order
from tests.factories import make_person, make_run
from tests.payments.test_payments import BACK, paid, start

# Parameters that are newer than the description at hand (2023-08-16); none so far.
NEWER: frozenset[str] = frozenset()


@pytest.fixture
def spec(shared_data):
    return json.loads((shared_data / "stripe" / "spec3.2023-09.json").read_text())


def schema_of(spec, method, path):
    """The schema of a request's form, and of its query, in Stripe's description."""
    for template, operations in spec["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in operations:
            operation = operations[method.lower()]
            content = operation.get("requestBody", {}).get("content", {})
            form = content.get("application/x-www-form-urlencoded", {}).get("schema", {"properties": {}})
            query = {one["name"]: one["schema"] for one in operation.get("parameters", []) if one["in"] == "query"}
            return form, {"properties": query}
    raise AssertionError(f"Stripe knows no {method} {path}")


def faults(schema, keys, value):
    """What is wrong with one parameter, following its keys into the schema; empty when a branch accepts it."""
    if "anyOf" in schema:
        found = [faults(branch, keys, value) for branch in schema["anyOf"]]
        return [] if any(not one for one in found) else found[0]
    if not keys:
        if "enum" in schema and value not in schema["enum"]:
            return [f"{value!r} is none of {schema['enum']}"]
        if schema.get("type") == "integer" and not re.fullmatch(r"-?\d+", value):
            return [f"{value!r} is no integer"]
        if schema.get("type") in {"object", "array"}:
            return [f"{value!r} stands for a {schema['type']}"]
        return [f"{len(value)} characters"] if len(value) > schema.get("maxLength", 10**6) else []
    key, rest = keys[0], keys[1:]
    if schema.get("type") == "array":
        return faults(schema["items"], rest, value)
    if key in schema.get("properties", {}):
        return faults(schema["properties"][key], rest, value)
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        return faults(more, rest, value)
    return [] if key in NEWER else [f"there is no {key}"]


def check(spec, requests):
    for method, path, body in requests:
        form, query = schema_of(spec, method, path.partition("?")[0])
        for schema, text in ((form, body), (query, path.partition("?")[2])):
            for name, value in parse_qsl(text, keep_blank_values=True):
                keys = [key for key in re.split(r"[\[\]]+", name) if key]
                assert faults(schema, keys, value) == [], f"{method} {path} {name}"


def test_the_check_itself_can_fail(spec):
    good = ("POST", "/v1/refunds", "payment_intent=pi_1&amount=5")
    check(spec, [good])
    for wrong in ("amount=many", "colour=red", "reason=because"):
        with pytest.raises(AssertionError):
            check(spec, [("POST", "/v1/refunds", wrong)])
    with pytest.raises(AssertionError):
        check(spec, [("POST", "/v1/moons", "")])


def test_every_request_is_as_stripe_describes_it(app, sandbox, spec):
    now = clock.now()
    run, person = make_run(), make_person()
    order = place_order(run.id, person.id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now)
    attempt = paid(sandbox, order, now)
    db.session.rollback()
    refund = stripe_gateway.create_refund(
        key="refund1", payment_intent_id=attempt.payment_intent_id, amount=Money(100, "CNY")
    )
    stripe_gateway.retrieve_refund(refund.id)
    charge = sandbox.store.find(attempt.payment_intent_id)["latest_charge"]
    stripe_gateway.retrieve_dispute(disputes.open_dispute(sandbox.store, charge)["id"])
    other = make_run(currency="EUR")
    second = place_order(
        other.id, person.id, shown_price=other.price, request_key=ids.public_id(), locale="en", now=now
    )
    stripe_gateway.expire_session(start(second, now=now).session_id)

    stripe_gateway.list_balance_transactions(now - timedelta(days=1), now, None)
    stripe_gateway.list_balance_transactions(None, now, "txn_1")
    stripe_gateway.list_payouts(now - timedelta(days=1), now, "po_1")

    sent = {
        (method, re.sub(r"(cs|re|dp)_\w+", "…", path.partition("?")[0])) for method, path, _body in sandbox.requests
    }
    assert sent == {
        ("POST", "/v1/checkout/sessions"),
        ("GET", "/v1/checkout/sessions/…"),
        ("POST", "/v1/checkout/sessions/…/expire"),
        ("POST", "/v1/refunds"),
        ("GET", "/v1/refunds/…"),
        ("GET", "/v1/disputes/…"),
        ("GET", "/v1/balance_transactions"),
        ("GET", "/v1/payouts"),
    }
    check(spec, sandbox.requests)


def test_the_page_asks_for_the_frozen_amount_in_the_orders_language(app, sandbox):
    now = clock.now()
    run = make_run()
    order = place_order(
        run.id, make_person().id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now
    )
    session = sandbox.session_of(start(order, now=now))

    assert (session["amount_total"], session["currency"], session["locale"]) == (128000, "cny", "zh")
    assert session["client_reference_id"] == db.session.query(PaymentAttempt.public_id).scalar()
    assert session["success_url"] == BACK["return_url"]


def test_a_request_stripe_refuses_is_permanent_and_one_it_misses_is_not(app, sandbox):
    with pytest.raises(GatewayError) as refused:
        stripe_gateway.retrieve_session("cs_test_nothing")
    assert refused.value.is_permanent

    sandbox.store.turn("fail_before", "9")
    page = PageWanted("k", "o", Money(100, "CNY"), "t", "a@b.cn", "zh", clock.now(), "http://x/r", "http://x/c")
    with pytest.raises(GatewayError) as missed:
        stripe_gateway.create_session(page)
    assert not missed.value.is_permanent


def test_stripe_is_never_called_inside_a_transaction(app, sandbox):
    from marketplace.foundation.database import transaction  # noqa: PLC0415 - beside its only use

    with pytest.raises(RuntimeError, match="inside a transaction"), transaction():
        stripe_gateway.retrieve_session("cs_test_1")
