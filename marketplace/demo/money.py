"""The money of the demo's orders: attempts, refunds, and the ledger that explains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketplace.demo.rows import insert_rows
from marketplace.payments import ledger
from marketplace.payments.models import LedgerEntry, LedgerTransaction, PaymentAttempt, Refund
from marketplace.payments.stripe_gateway import SHORTEST_SESSION

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.demo.history import Purchase, Written

Posting = tuple[str, str, int, "datetime", dict[str, int]]


def write_money(written: Written) -> None:
    """Insert attempts, refunds and ledger of the purchases that had a price. Call inside a transaction."""
    pairs = zip(written.purchases, written.order_ids, strict=True)
    paid = [(purchase, order) for purchase, order in pairs if purchase.is_bought and purchase.run.plan.price_minor]
    attempts = insert_rows(PaymentAttempt, [_attempt(*pair) for pair in paid])
    refunded = [
        (purchase, attempt)
        for (purchase, _order), attempt in zip(paid, attempts, strict=True)
        if purchase.outcome == "refunded"
    ]
    insert_rows(Refund, [_refund(*pair) for pair in refunded])
    _post([posting for purchase, order in paid for posting in _postings(purchase, order)])


def _attempt(purchase: Purchase, order_id: int) -> dict[str, Any]:
    number = purchase.numbers["attempt"]
    return {
        "public_id": number,
        "order_id": order_id,
        "state": "paid",
        "session_id": f"cs_demo_{number}",
        "payment_intent_id": f"pi_demo_{number}",
        "amount_minor": purchase.run.plan.price_minor,
        "currency": "CNY",
        "expires_at": purchase.placed_at + SHORTEST_SESSION,
        "created_at": purchase.placed_at,
        "paid_at": purchase.settled_at,
    }


def _refund(purchase: Purchase, attempt_id: int) -> dict[str, Any]:
    number = purchase.numbers["refund"]
    return {
        "public_id": number,
        "attempt_id": attempt_id,
        "amount_minor": purchase.run.plan.price_minor,
        "currency": "CNY",
        "reason": "run cancelled" if purchase.run.plan.fate == "cancelled" else "asked for by the learner",
        "state": "succeeded",
        "stripe_refund_id": f"re_demo_{number}",
        "created_at": purchase.ended_at,
        "settled_at": purchase.ended_at,
    }


def _postings(purchase: Purchase, order_id: int) -> list[Posting]:
    price = purchase.run.plan.price_minor
    bought = {ledger.STRIPE_BALANCE: price, ledger.UNEARNED_REVENUE: -price}
    made: list[Posting] = [(f"payment:{purchase.numbers['attempt']}", "payment", order_id, purchase.settled_at, bought)]
    if purchase.outcome == "refunded" and purchase.ended_at is not None:
        back = {account: -amount for account, amount in bought.items()}
        made.append((f"refund:{purchase.numbers['refund']}", "refund", order_id, purchase.ended_at, back))
    return made


def _post(postings: list[Posting]) -> None:
    rows = [
        {"key": key, "kind": kind, "order_id": order_id, "occurred_at": moment, "recorded_at": moment}
        for key, kind, order_id, moment, _entries in postings
    ]
    ids = insert_rows(LedgerTransaction, rows)
    entries = [
        {"transaction_id": transaction, "account": account, "amount_minor": amount, "currency": "CNY"}
        for transaction, posting in zip(ids, postings, strict=True)
        for account, amount in posting[4].items()
    ]
    insert_rows(LedgerEntry, entries)
