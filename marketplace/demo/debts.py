"""What became of two debts of the demo's learners: one was paid by card, one was given up."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from marketplace.accounts.models import Person
from marketplace.demo.chance import public_id, seeded
from marketplace.demo.money import Posting, post_all
from marketplace.demo.population import DOMAIN
from marketplace.demo.rows import insert_rows
from marketplace.enrolment.models import OrderEvent, OrderLine
from marketplace.foundation.database import db
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_states import State
from marketplace.payments import posting_rules
from marketplace.payments.desk_models import OfflineState, StaffAct, WriteOff
from marketplace.payments.models import AttemptState, PaymentAttempt, Purpose
from marketplace.payments.posting_rules import Account
from marketplace.payments.stripe_gateway import SHORTEST_SESSION

if TYPE_CHECKING:
    from datetime import datetime

SETTLED_AFTER = timedelta(days=9, hours=2)
REASON = "（演示）学员失业，核实后免除 / (Demo) Out of work: given up after a check"


def write_debts(*, now: datetime) -> None:
    """Settle the two oldest debts. Call inside a transaction, before Stripe's lists are written."""
    query = select(Subsidy, OrderLine.order_id).join(OrderLine, OrderLine.id == Subsidy.order_line_id)
    query = query.where(Subsidy.owed_minor > 0, Subsidy.state == State.LAPSED).order_by(Subsidy.earn_by, Subsidy.id)
    chance = seeded("debts")
    settling = (_pay, _give_up)
    for settle, (subsidy, order_id) in zip(settling, db.session.execute(query.limit(len(settling))), strict=False):
        # A debt of these last days is settled half-way between then and now.
        waited = min(SETTLED_AFTER, (now - subsidy.earn_by) / 2)
        settle(subsidy, order_id, public_id(chance), subsidy.earn_by + waited)


def _pay(subsidy: Subsidy, order_id: int, key: str, moment: datetime) -> None:
    begun = moment - timedelta(minutes=4)
    attempt = {
        "public_id": key,
        "order_id": order_id,
        "purpose": Purpose.DEBT,
        "state": AttemptState.PAID,
        "session_id": f"cs_demo_{key}",
        "payment_intent_id": f"pi_demo_{key}",
        "amount_minor": subsidy.owed_minor,
        "currency": subsidy.currency,
        "expires_at": begun + SHORTEST_SESSION,
        "created_at": begun,
        "paid_at": moment,
    }
    insert_rows(PaymentAttempt, [attempt])
    owed, programme_id = subsidy.owed, subsidy.programme_id
    entries = posting_rules.debt_paid(owed, owed - owed, into=Account.STRIPE_BALANCE, programme_id=programme_id)
    post_all([Posting(f"payment:{key}", "debt_payment", moment, entries, order_id)])
    _tell(order_id, "debt_paid", moment, {"attempt": key, "amount": subsidy.owed_minor})


def _give_up(subsidy: Subsidy, order_id: int, key: str, moment: datetime) -> None:
    officer_id = db.session.scalars(select(Person.id).where(Person.email == f"finance@{DOMAIN}")).one()
    row = {
        "public_id": key,
        "order_id": order_id,
        "amount_minor": subsidy.owed_minor,
        "currency": subsidy.currency,
        "reason": REASON,
        "state": OfflineState.SETTLED,
        "proposed_by_id": officer_id,
        "proposed_at": moment,
    }
    insert_rows(WriteOff, [row])
    act = {
        "person_id": officer_id,
        "kind": "write_off_entered",
        "subject": f"write_off:{key}",
        "reason": REASON,
        "order_id": order_id,
        "details": {"amount": subsidy.owed_minor, "currency": subsidy.currency},
        "occurred_at": moment,
    }
    insert_rows(StaffAct, [act])
    entries = posting_rules.written_off(subsidy.owed, programme_id=subsidy.programme_id)
    post_all([Posting(f"write_off:{key}", "write_off", moment, entries, order_id)])
    _tell(order_id, "debt_given_up", moment, {"amount": subsidy.owed_minor})


def _tell(order_id: int, kind: str, moment: datetime, details: dict[str, Any]) -> None:
    event = {"order_id": order_id, "kind": kind, "details": details}
    insert_rows(OrderEvent, [event | {"occurred_at": moment, "recorded_at": moment}])
