"""What the demo shows after the sale: a cancelled run with everyone settled, runs to decide about, two disputes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from marketplace.demo.chance import public_id, seeded
from marketplace.demo.rows import insert_rows
from marketplace.demo.timetable import Fate
from marketplace.enrolment.models import OrderEvent
from marketplace.enrolment.run_change_models import RunChange, RunChangeAnswer, RunMinimum
from marketplace.enrolment.run_change_rules import ANSWER_WITHIN
from marketplace.foundation.database import db
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.models import PaymentAttempt

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.demo.history import Written
    from marketplace.demo.offer import LoadedRun

TO_DECIDE, DISPUTED = 3, 2
MINIMUM_SHARE = 0.4


def write_after_sale(runs: list[LoadedRun], written: Written, *, now: datetime) -> None:
    """Insert changes of cancelled runs, minimums of open ones, and disputes of late payments."""
    for loaded in runs:
        if loaded.plan.fate is Fate.CANCELLED:
            _write_cancelled(loaded, written)
    open_runs = [one for one in runs if one.plan.fate is Fate.OPEN and one.run.starts_at and one.run.starts_at > now]
    db.session.add_all(_minimum(one, now) for one in open_runs[:TO_DECIDE])
    _write_disputes(now)


def _write_cancelled(loaded: LoadedRun, written: Written) -> None:
    pairs = zip(written.purchases, written.enrolment_ids, strict=True)
    people = [
        (enrolment, purchase.ended_at)
        for purchase, enrolment in pairs
        if enrolment is not None and purchase.run.run.id == loaded.run.id and purchase.ended_at is not None
    ]
    if not people:
        return
    chance, last = seeded(f"run change {loaded.run.id}"), max(moment for _enrolment, moment in people)
    change = {
        "public_id": public_id(chance),
        "run_id": loaded.run.id,
        "kind": "cancelled",
        "reason": "报名人数不足 / Too few people enrolled",
        "default_choice": "refund",
        "answer_by": last,
        "before": {"state": "scheduled"},
        "decided_at": last - ANSWER_WITHIN,
        **{f"people_{name}": len(people) for name in ("in_all", "told", "settled")},
        "finished_at": last,
    }
    [change_id] = insert_rows(RunChange, [change])
    insert_rows(RunChangeAnswer, [_answer(change_id, *one, public_id(chance)) for one in people])


def _answer(change_id: int, enrolment_id: int, moment: datetime, key: str) -> dict[str, Any]:
    values = {"public_id": key, "run_change_id": change_id, "enrolment_id": enrolment_id}
    return values | {"state": "settled", "choice": "refund", "chosen_at": moment, "settled_at": moment}


def _minimum(loaded: LoadedRun, now: datetime) -> RunMinimum:
    minimum = max(2, round(loaded.run.capacity * MINIMUM_SHARE))
    half_way = now + ((loaded.run.starts_at or now) - now) / 2
    return RunMinimum(run_id=loaded.run.id, minimum=minimum, decide_by=half_way)


def _write_disputes(now: datetime) -> None:
    """The newest payments that stand: one dispute is open, one was won."""
    query = select(PaymentAttempt).where(PaymentAttempt.state == "paid").order_by(PaymentAttempt.paid_at.desc())
    chance = seeded("disputes")
    for number, attempt in enumerate(db.session.scalars(query.limit(DISPUTED)).all()):
        is_won, opened_at = number > 0, max(attempt.paid_at or now, now - timedelta(days=6 + 20 * number))
        key = public_id(chance)
        dispute = {
            "public_id": key,
            "stripe_dispute_id": f"dp_demo_{key}",
            "attempt_id": attempt.id,
            "state": "won" if is_won else "open",
            "amount_minor": attempt.amount_minor,
            "currency": attempt.currency,
            "fee_minor": 0,
            "reason": "product_not_received" if is_won else "fraudulent",
            "opened_at": opened_at,
            "recorded_at": opened_at,
            "evidence_due_by": opened_at + timedelta(days=14),
            "closed_at": now if is_won else None,
            "place_decision": "keep" if is_won else None,
            "decided_at": now if is_won else None,
        }
        insert_rows(Dispute, [dispute])
        told = [("dispute_opened", opened_at), *([("dispute_won", now)] if is_won else [])]
        insert_rows(OrderEvent, [_event(attempt.order_id, kind, moment, key) for kind, moment in told])


def _event(order_id: int, kind: str, moment: datetime, dispute: str) -> dict[str, Any]:
    values = {"order_id": order_id, "kind": kind, "details": {"dispute": dispute}}
    return values | {"occurred_at": moment, "recorded_at": moment}
