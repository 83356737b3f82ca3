"""Refunds: of a charge, in part or whole, never more than was paid."""

from __future__ import annotations

from typing import Any

from marketplace.payments.sandbox import balance, chaos
from marketplace.payments.sandbox.errors import ApiError, missing
from marketplace.payments.sandbox.events import emit
from marketplace.payments.sandbox.store import Body, Store, draw_id, now


def create(store: Store, asked: dict[str, Any]) -> Body:
    """Refund a payment intent's or a charge's money."""
    charge = _charge(store, asked)
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount = int(asked.get("amount") or left)
    if left == 0:
        raise ApiError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if not 0 < amount <= left:
        raise ApiError(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left}).", param="amount"
        )
    if any(one["charge"] == charge["id"] and one["status"] != "won" for one in store.list_kind("dispute")):
        raise ApiError(f"Charge {charge['id']} has been charged back.", code="charge_disputed")
    fails = chaos.strikes(store, "refund_fails")
    refund = store.save(
        {
            "id": draw_id("re"),
            "object": "refund",
            "amount": amount,
            "balance_transaction": None,
            "charge": charge["id"],
            "created": now(),
            "currency": charge["currency"],
            "metadata": asked.get("metadata", {}),
            "payment_intent": charge["payment_intent"],
            "reason": asked.get("reason"),
            "status": "pending" if fails else "succeeded",
        }
    )
    balance.book(store, "refund", refund, -amount)
    emit(store, "refund.created", refund)
    _count(store, charge, amount)
    if fails:
        failed = store.save(refund | {"status": "failed", "failure_reason": "expired_or_canceled_card"})
        _count(store, charge, -amount)
        balance.book(store, "refund_failure", failed, amount)
        emit(store, "refund.failed", failed)
    return refund


def _count(store: Store, charge: Body, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    store.save(charge)
    if amount > 0:
        emit(store, "charge.refunded", charge)


def _charge(store: Store, asked: dict[str, Any]) -> Body:
    charge_id = asked.get("charge")
    if asked.get("payment_intent"):
        intent = store.find(asked["payment_intent"])
        if intent is None:
            raise missing("payment_intent", asked["payment_intent"])
        if intent["status"] != "succeeded":
            raise ApiError(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.")
        charge_id = intent["latest_charge"]
    charge = store.find(charge_id or "")
    if charge is None:
        raise missing("charge", str(charge_id))
    return charge
