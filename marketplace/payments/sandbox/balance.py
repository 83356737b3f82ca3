"""The balance: a transaction for each movement, with its fee, and payouts to a bank that does not exist."""

from __future__ import annotations

import json
from collections import defaultdict

from marketplace.payments.sandbox import chaos
from marketplace.payments.sandbox.events import emit
from marketplace.payments.sandbox.store import Body, Store, draw_id, now

DAY = 24 * 3600
# Of a payment Stripe keeps so many basis points and a fixed part; money of a payment can be paid out after a day.
FEE_SHARE, FEE_FIXED = 290, 200
AVAILABLE_AFTER = DAY
ARRIVES_AFTER = 2 * DAY


def fee_of(amount: int) -> int:
    """What is kept of a payment; never more than itself."""
    return min(amount, (amount * FEE_SHARE + 5_000) // 10_000 + FEE_FIXED)


def book(store: Store, kind: str, source: Body, amount: int, *, fee: int = 0) -> Body:
    """Write a movement of the balance caused by an object; the sign is the balance's."""
    if chaos.strikes(store, "balance_differs"):
        amount -= 1
    made = store.save(
        {
            "id": draw_id("txn"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": now() + (AVAILABLE_AFTER if amount > 0 else 0),
            "created": now(),
            "currency": source["currency"],
            "description": None,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [{"amount": fee, "currency": source["currency"], "type": "stripe_fee"}] if fee else [],
            "net": amount - fee,
            "reporting_category": kind,
            "source": source["id"],
            "status": "available" if amount <= 0 else "pending",
            "type": kind,
            "_paid_out": kind == "payout",
        }
    )
    if "balance_transaction" in source:
        store.save(source | {"balance_transaction": made["id"]})
        source["balance_transaction"] = made["id"]
    return made


def pay_out(store: Store, *, is_early: bool = False) -> list[Body]:
    """Send what is available to the bank, a payout for each currency; also what is not ripe, if early."""
    with store.changing():
        ripe: dict[str, list[Body]] = defaultdict(list)
        for one in store.list_kind("balance_transaction"):
            if not one["_paid_out"] and (is_early or one["available_on"] <= now()):
                ripe[one["currency"]].append(one)
        return [_send(store, currency, ones) for currency, ones in ripe.items() if sum(one["net"] for one in ones) > 0]


def _send(store: Store, currency: str, parts: list[Body]) -> Body:
    payout: Body = {
        "id": draw_id("po"),
        "object": "payout",
        "amount": sum(one["net"] for one in parts),
        "arrival_date": now() + ARRIVES_AFTER,
        "automatic": True,
        "balance_transaction": None,
        "created": now(),
        "currency": currency,
        "destination": "ba_sandbox",
        "failure_code": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "status": "in_transit",
        "type": "bank_account",
    }
    store.save(payout)
    book(store, "payout", payout, -payout["amount"])
    for one in parts:
        store.save(one | {"_paid_out": True, "status": "available"})
    emit(store, "payout.created", payout)
    return payout


def do_chores(store: Store) -> None:
    """Pay out once a day what is available, and let payouts arrive."""
    query = "SELECT max(made) FROM object WHERE kind = 'payout'"
    last = store.rows(query)[0][0]
    oldest = store.rows("SELECT min(made) FROM object WHERE kind = 'balance_transaction'")[0][0]
    if oldest is not None and now() - (last or oldest) >= DAY:
        pay_out(store)
    arriving = "SELECT body FROM object WHERE kind = 'payout' AND json_extract(body, '$.status') = 'in_transit'"
    for row in store.rows(arriving):
        payout = json.loads(row[0])
        if payout["arrival_date"] <= now():
            emit(store, "payout.paid", store.save(payout | {"status": "paid"}))
