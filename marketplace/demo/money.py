"""The money of the demo's orders: attempts, refunds, and the ledger that explains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from marketplace.demo.rows import insert_rows
from marketplace.enrolment.models import RefundDue
from marketplace.foundation.money import Money
from marketplace.payments import posting_rules
from marketplace.payments.models import LedgerEntry, LedgerTransaction, PaymentAttempt, Refund
from marketplace.payments.posting_rules import Account, Entries
from marketplace.payments.stripe_gateway import SHORTEST_SESSION

if TYPE_CHECKING:
    from marketplace.demo.history import Purchase, Written


@dataclass(frozen=True)
class Posting:
    """A ledger transaction to be written, with the moment it happened and was recorded."""

    key: str
    kind: str
    moment: datetime
    entries: Entries
    order_id: int | None = None
    run_id: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


def write_money(written: Written) -> None:
    """Insert attempts, refunds and ledger of the purchases that had a price. Call inside a transaction."""
    pairs = zip(written.purchases, written.order_ids, strict=True)
    paid = [(purchase, order) for purchase, order in pairs if purchase.is_bought and purchase.run.plan.price_minor]
    attempts = insert_rows(PaymentAttempt, [_attempt(*pair) for pair in paid])
    refunded = [
        (purchase, order, attempt)
        for (purchase, order), attempt in zip(paid, attempts, strict=True)
        if purchase.outcome == "refunded"
    ]
    facts = insert_rows(RefundDue, [_refund_due(purchase, order) for purchase, order, _attempt in refunded])
    refunds = [
        _refund(purchase, attempt, fact) for (purchase, _order, attempt), fact in zip(refunded, facts, strict=True)
    ]
    insert_rows(Refund, refunds)
    post_all([posting for purchase, order in paid for posting in _postings(purchase, order)])


def _attempt(purchase: Purchase, order_id: int) -> dict[str, Any]:
    number = purchase.numbers["attempt"]
    return {
        "public_id": number,
        "order_id": order_id,
        "state": "paid",
        "session_id": f"cs_demo_{number}",
        "payment_intent_id": f"pi_demo_{number}",
        "amount_minor": purchase.due_minor,
        "currency": "CNY",
        "expires_at": purchase.placed_at + SHORTEST_SESSION,
        "created_at": purchase.placed_at,
        "paid_at": purchase.settled_at,
    }


def _refund_due(purchase: Purchase, order_id: int) -> dict[str, Any]:
    return {
        "key": f"demo:{purchase.numbers['refund']}",
        "order_id": order_id,
        "payer": "learner",
        "attempt_public_id": purchase.numbers["attempt"],
        "amount_minor": purchase.due_minor,
        "currency": "CNY",
        "reason": _reason(purchase),
        "source": "marketplace",
        "recorded_at": purchase.ended_at,
        "picked_up_at": purchase.ended_at,
    }


def _reason(purchase: Purchase) -> str:
    if purchase.is_ended_late:
        return "complaint upheld"
    return "run cancelled" if purchase.run.plan.fate == "cancelled" else "asked for by the learner"


def _refund(purchase: Purchase, attempt_id: int, refund_due_id: int) -> dict[str, Any]:
    number = purchase.numbers["refund"]
    return {
        "public_id": number,
        "attempt_id": attempt_id,
        "refund_due_id": refund_due_id,
        "amount_minor": purchase.due_minor,
        "currency": "CNY",
        "reason": _reason(purchase),
        "state": "succeeded",
        "stripe_refund_id": f"re_demo_{number}",
        "created_at": purchase.ended_at,
        "settled_at": purchase.ended_at,
    }


def _postings(purchase: Purchase, order_id: int) -> list[Posting]:
    price = Money(purchase.due_minor, "CNY")
    bought = posting_rules.received(price, into=Account.STRIPE_BALANCE, is_kept=True)
    key, run_id = f"payment:{purchase.numbers['attempt']}", purchase.run.run.id
    made = [Posting(key, "payment", purchase.settled_at, bought, order_id, run_id)]
    if purchase.outcome == "refunded" and purchase.ended_at is not None:
        back = posting_rules.given_back(price, out_of=Account.STRIPE_BALANCE)
        made.append(
            Posting(f"refund:{purchase.numbers['refund']}", "refund", purchase.ended_at, back, order_id, run_id)
        )
    return made


def post_all(postings: Sequence[Posting]) -> None:
    """Insert postings as if each had been made at its moment. Call inside a transaction."""
    rows = [
        {
            "key": posting.key,
            "kind": posting.kind,
            "order_id": posting.order_id,
            "run_id": posting.run_id,
            "occurred_at": posting.moment,
            "recorded_at": posting.moment,
            "details": posting.details,
        }
        for posting in postings
    ]
    ids = insert_rows(LedgerTransaction, rows)
    entries = [
        {
            "transaction_id": transaction,
            "account": str(entry.account),
            "amount_minor": entry.amount.minor,
            "currency": entry.amount.currency,
            "organisation_id": entry.organisation_id,
            "programme_id": entry.programme_id,
        }
        for transaction, posting in zip(ids, postings, strict=True)
        for entry in posting.entries
    ]
    insert_rows(LedgerEntry, entries)
