"""Where what a learner owes is given up: with a reason, and by two officers above the limit of bank transfers.

Locks: write-off → order → programme and subsidy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.enrolment import orders
from marketplace.enrolment.models import Order
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy
from marketplace.payments import acts, debt_letters, debts, four_eyes, ledger, posting_rules
from marketplace.payments.desk_models import OfflineState, WriteOff

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.foundation.money import Money


def propose(
    order_id: int, amount: Money, *, reason: str, actor_id: int, now: datetime, left_seen: int | None = None
) -> WriteOff:
    """Give up a part of a debt; up to the limit for all its parts at once. Locks the order and its subsidy.

    Raises Invalid for more than is owed or no reason, Refused for one's own, while another waits, and when what is left
    is not what was seen.
    """
    with transaction():
        four_eyes.check_not_own(order_id, actor_id=actor_id)
        debt = debts.lock(order_id)
        acts.check_unchanged(left_seen, debt.left.minor)
        if not 0 < amount.minor <= debt.left.minor:
            message = lazy("Enter an amount between one cent and what is still owed.")
            raise Invalid("wrong_amount", message, {"amount": message})
        row = add(
            WriteOff(
                order_id=order_id,
                amount_minor=amount.minor,
                currency=amount.currency,
                reason=reason.strip(),
                proposed_by_id=actor_id,
                proposed_at=now,
            )
        )
        _record("write_off_entered", row, reason=reason, actor_id=actor_id, now=now)
        if not four_eyes.are_needed(amount, before=debt.written_off):
            _settle(row, now=now)
        return row


def approve(public_id: str, *, reason: str, actor_id: int, now: datetime) -> WriteOff:
    """Give up what another officer proposed, once. Locks write-off, order, subsidy; raises Refused if less is owed."""
    with transaction():
        row = four_eyes.locked_proposed(WriteOff, public_id, actor_id=actor_id)
        if debts.lock(row.order_id).left < row.amount:
            raise Refused("less_owed", lazy("Less than this is owed by now. Turn it down, and enter what is left."))
        row.decided_by_id, row.decided_at = actor_id, now
        _record("write_off_approved", row, reason=reason, actor_id=actor_id, now=now)
        _settle(row, now=now)
        return row


def decline(public_id: str, *, reason: str, actor_id: int, now: datetime) -> WriteOff:
    """Turn down what another officer proposed: the debt stays. Locks the write-off."""
    with transaction():
        row = four_eyes.locked_proposed(WriteOff, public_id, actor_id=actor_id)
        row.decided_by_id, row.decided_at, row.state = actor_id, now, OfflineState.DECLINED
        _record("write_off_declined", row, reason=reason, actor_id=actor_id, now=now)
        return row


def _settle(row: WriteOff, *, now: datetime) -> None:
    row.state = OfflineState.SETTLED
    db.session.flush()
    debt = debts.lock(row.order_id)
    entries = posting_rules.written_off(row.amount, programme_id=debt.subsidy.programme_id)
    ledger.post(f"write_off:{row.public_id}", "write_off", entries, order_id=row.order_id, occurred_at=now)
    orders.record(debt.order, "debt_given_up", now=now, details={"amount": row.amount_minor})
    debt_letters.send_settled(debt, row.amount, row.public_id, is_given_up=True)


def _record(kind: str, row: WriteOff, *, reason: str, actor_id: int, now: datetime) -> None:
    details = {"amount": row.amount_minor, "currency": row.currency}
    subject = f"write_off:{row.public_id}"
    acts.record(kind, subject, reason=reason, actor_id=actor_id, now=now, order_id=row.order_id, details=details)


def list_waiting(*, order_id: int | None = None, after: int = 0, limit: int = 100) -> Sequence[WriteOff]:
    """Write-offs that wait for a second officer, of one order or of all, oldest first, from the id `after` on."""
    query = select(WriteOff).filter_by(state=OfflineState.PROPOSED).where(WriteOff.id > after)
    if order_id is not None:
        query = query.filter_by(order_id=order_id)
    query = query.options(joinedload(WriteOff.order).joinedload(Order.person), joinedload(WriteOff.proposed_by))
    return db.session.scalars(query.order_by(WriteOff.id).limit(limit)).all()
