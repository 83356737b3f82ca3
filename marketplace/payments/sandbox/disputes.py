"""Disputes: a cardholder asks their bank for the money back; a tester says how it ends."""

from __future__ import annotations

from marketplace.payments.sandbox import balance
from marketplace.payments.sandbox.errors import ApiError, missing
from marketplace.payments.sandbox.events import emit
from marketplace.payments.sandbox.store import Body, Store, draw_id, now

FEE = 1500
DAY = 24 * 3600


def open_dispute(store: Store, charge_id: str, *, reason: str = "fraudulent") -> Body:
    """A charge is disputed: the bank takes its money and a fee at once."""
    with store.changing():
        charge = store.find(charge_id)
        if charge is None or charge["object"] != "charge":
            raise missing("charge", charge_id)
        if charge["disputed"] or charge["status"] != "succeeded" or charge["refunded"]:
            raise ApiError("This charge cannot be disputed.")
        dispute: Body = {
            "id": draw_id("dp"),
            "object": "dispute",
            "amount": charge["amount"] - charge["amount_refunded"],
            "balance_transactions": [],
            "charge": charge_id,
            "created": now(),
            "currency": charge["currency"],
            "evidence_details": {"due_by": now() + 7 * DAY, "has_evidence": False, "submission_count": 0},
            "is_charge_refundable": False,
            "livemode": False,
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "reason": reason,
            "status": "needs_response",
        }
        store.save(dispute)
        store.save(charge | {"disputed": True})
        emit(store, "charge.dispute.created", dispute)
        _move(store, dispute, -dispute["amount"], fee=FEE)
        emit(store, "charge.dispute.funds_withdrawn", dispute)
        return dispute


def close(store: Store, dispute_id: str, *, is_won: bool) -> Body:
    """The bank decides."""
    with store.changing():
        dispute = store.find(dispute_id)
        if dispute is None or dispute["object"] != "dispute":
            raise missing("dispute", dispute_id)
        if dispute["status"] not in {"needs_response", "under_review"}:
            raise ApiError("This dispute is closed.")
        dispute["status"] = "won" if is_won else "lost"
        store.save(dispute)
        if is_won:
            _move(store, dispute, dispute["amount"])
            emit(store, "charge.dispute.funds_reinstated", dispute)
        emit(store, "charge.dispute.closed", dispute)
        return dispute


def _move(store: Store, dispute: Body, amount: int, *, fee: int = 0) -> None:
    moved = balance.book(store, "adjustment", dispute, amount, fee=fee)
    dispute["balance_transactions"] = [*dispute["balance_transactions"], moved]
    store.save(dispute)
