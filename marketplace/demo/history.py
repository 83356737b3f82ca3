"""The demo's two years: who took which seat, paid, gave up, came and completed, as the verbs would have left it.

Rows are written in bulk rather than by 1,500 calls of the verbs; tests/demo asks the same questions of them that
reconciliation asks, so that what is written here obeys the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from marketplace.demo.chance import public_id, seeded
from marketplace.demo.rows import insert_rows
from marketplace.demo.timetable import Fate
from marketplace.enrolment.models import Enrolment, EnrolmentSource, HoldEnd, Order, OrderEvent, OrderLine, SeatHold
from marketplace.enrolment.rules import HOLD_FOR

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from marketplace.demo.offer import LoadedRun

# Of those who begin, so many give up before they pay; of those who pay, so many are given their money back.
UNPAID_SHARE, REFUNDED_SHARE = 0.12, 0.03


@dataclass(frozen=True)
class Purchase:
    """One order as it went: `outcome` is confirmed, refunded, expired or cancelled."""

    run: LoadedRun
    person_id: int
    placed_at: datetime
    settled_at: datetime
    outcome: str
    ended_at: datetime | None
    numbers: dict[str, str]
    # What a funding programme pays of it (marketplace/demo/subsidies.py).
    subsidy_minor: int = 0

    @property
    def due_minor(self) -> int:
        """What the person pays."""
        return self.run.plan.price_minor - self.subsidy_minor

    @property
    def is_ended_late(self) -> bool:
        """Whether it was given up when the run was over: the person had taken part."""
        return self.ended_at is not None and self.ended_at > self.run.plan.ends_at

    @property
    def is_bought(self) -> bool:
        """Whether it was confirmed, whatever came later."""
        return self.outcome in {"confirmed", "refunded"}


@dataclass(frozen=True)
class Written:
    """The purchases with the ids of their orders and enrolments (None for those that bought nothing)."""

    purchases: list[Purchase]
    order_ids: list[int]
    enrolment_ids: list[int | None]


def plan_purchases(runs: list[LoadedRun], people: list[int], *, now: datetime) -> list[Purchase]:
    """Who buys what and when; a person takes a run once, and nothing happens after `now`."""
    chance = seeded("purchases")
    made: list[Purchase] = []
    for run in runs:
        opens = run.plan.opens_at
        closes = min(run.plan.closes_at, now - timedelta(hours=1))
        if closes <= opens:
            continue
        wanted = run.plan.wanted
        extra = round(wanted * (UNPAID_SHARE + REFUNDED_SHARE))
        buyers = chance.sample(people, min(wanted + extra, len(people)))
        for index, person_id in enumerate(buyers):
            made.append(_purchase(run, person_id, opens, closes, chance, is_extra=index >= wanted, now=now))
    return sorted(made, key=lambda purchase: purchase.placed_at)


def _purchase(
    run: LoadedRun,
    person_id: int,
    opens: datetime,
    closes: datetime,
    chance: Random,
    *,
    is_extra: bool,
    now: datetime,
) -> Purchase:
    # More come in the first days and in the last ones than in between.
    share = chance.betavariate(0.7, 0.8)
    placed = opens + share * (closes - opens)
    settled = placed + timedelta(seconds=chance.randint(40, 700))
    outcome, ended = "confirmed", None
    if is_extra:
        outcome = chance.choice(["expired", "expired", "cancelled", "refunded"])
        if outcome == "refunded" and run.plan.price_minor == 0:
            outcome = "cancelled"
        ended = {"expired": placed + HOLD_FOR, "cancelled": settled, "refunded": settled + timedelta(days=1)}[outcome]
        ended = min(ended, now)
    if run.plan.fate is Fate.CANCELLED and outcome == "confirmed":
        # A run that did not take place gave the money back.
        outcome, ended = ("refunded" if run.plan.price_minor else "cancelled"), min(settled + timedelta(days=3), now)
    numbers = {name: public_id(chance) for name in ("hold", "order", "request", "enrolment", "attempt", "refund")}
    return Purchase(run, person_id, placed, settled, outcome, ended, numbers)


def write_purchases(purchases: list[Purchase]) -> Written:
    """Insert holds, orders, lines, timelines and enrolments. Call inside a transaction."""
    holds = insert_rows(SeatHold, [_hold(purchase) for purchase in purchases])
    orders = insert_rows(Order, [_order(*pair) for pair in zip(purchases, holds, strict=True)])
    lines = insert_rows(OrderLine, [_line(*pair) for pair in zip(purchases, orders, strict=True)])
    pairs = zip(purchases, orders, strict=True)
    insert_rows(OrderEvent, [event for purchase, order_id in pairs for event in _events(purchase, order_id)])
    bought = [index for index, purchase in enumerate(purchases) if purchase.is_bought]
    enrolments = insert_rows(Enrolment, [_enrolment(purchases[index]) for index in bought])
    insert_rows(
        EnrolmentSource,
        [
            {
                "enrolment_id": enrolment,
                "order_line_id": lines[index],
                "granted_at": purchases[index].settled_at,
                "revoked_at": purchases[index].ended_at,
            }
            for index, enrolment in zip(bought, enrolments, strict=True)
        ],
    )
    by_index = dict(zip(bought, enrolments, strict=True))
    return Written(purchases, orders, [by_index.get(index) for index in range(len(purchases))])


def _hold(purchase: Purchase) -> dict[str, Any]:
    reason = HoldEnd.TAKEN if purchase.is_bought else HoldEnd.RELEASED
    if purchase.outcome == "expired":
        reason = HoldEnd.EXPIRED
    return {
        "public_id": purchase.numbers["hold"],
        "run_id": purchase.run.run.id,
        "person_id": purchase.person_id,
        "until": purchase.placed_at + HOLD_FOR,
        "created_at": purchase.placed_at,
        "ended_at": purchase.settled_at if purchase.is_bought else purchase.ended_at,
        "end_reason": reason.value,
    }


def _order(purchase: Purchase, hold_id: int) -> dict[str, Any]:
    return {
        "public_id": purchase.numbers["order"],
        "person_id": purchase.person_id,
        "state": "confirmed" if purchase.is_bought else purchase.outcome,
        "hold_id": hold_id,
        "locale": "zh",
        "currency": "CNY",
        "total_minor": purchase.due_minor,
        "placed_at": purchase.placed_at,
        "expires_at": purchase.placed_at + HOLD_FOR,
        "confirmed_at": purchase.settled_at if purchase.is_bought else None,
        "ended_at": None if purchase.is_bought else purchase.ended_at,
        "request_key": purchase.numbers["request"],
    }


def _line(purchase: Purchase, order_id: int) -> dict[str, Any]:
    fields = purchase.run.plan.course.fields
    return {
        "order_id": order_id,
        "run_id": purchase.run.run.id,
        "price_minor": purchase.run.plan.price_minor,
        "subsidy_minor": purchase.subsidy_minor,
        "voucher_minor": 0,
        "due_minor": purchase.due_minor,
        "terms_version": 1,
        "title_zh": fields["title_zh"],
        "title_en": fields["title_en"],
        "price_rule": {"rule": "list_price", "version": 1},
    }


def _events(purchase: Purchase, order_id: int) -> list[dict[str, Any]]:
    told: list[tuple[str, datetime, int | None, dict[str, str]]] = [
        ("placed", purchase.placed_at, purchase.person_id, {})
    ]
    if purchase.is_bought:
        told.append(("confirmed", purchase.settled_at, None, {"attempt": purchase.numbers["attempt"]}))
    if purchase.ended_at is not None:
        names = ["refunded", "enrolment_ended"] if purchase.outcome == "refunded" else [purchase.outcome]
        told += [(name, purchase.ended_at, None, {}) for name in names]
    return [
        {
            "order_id": order_id,
            "kind": kind,
            "occurred_at": moment,
            "recorded_at": moment,
            "actor_id": actor,
            "details": details,
        }
        for kind, moment, actor, details in told
    ]


def _enrolment(purchase: Purchase) -> dict[str, Any]:
    return {
        "public_id": purchase.numbers["enrolment"],
        "run_id": purchase.run.run.id,
        "person_id": purchase.person_id,
        "enrolled_at": purchase.settled_at,
        "ended_at": purchase.ended_at,
        "end_reason": "refunded" if purchase.ended_at is not None else None,
        "recorded_at": purchase.settled_at,
    }
