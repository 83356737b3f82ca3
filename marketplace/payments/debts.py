"""What learners owe for subsidies that were not earned: how much is left, paid, given up, or owed back to them.

The fact is the subsidy's (`owed_minor`); paid for it are attempts of their own purpose, what went back of those
are RefundDue rows, and what was given up are write-offs. Locks: attempt → order → programme and subsidy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import joinedload

from marketplace.enrolment import orders
from marketplace.enrolment.models import Order, OrderLine, RefundDue
from marketplace.enrolment.refund_rules import DEBT_GONE
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.money import Money
from marketplace.funding import subsidies
from marketplace.funding.subsidy_models import Subsidy, SubsidyEvent
from marketplace.payments import debt_letters, ledger, posting_rules, refunds
from marketplace.payments.desk_models import OfflineState, WriteOff
from marketplace.payments.kept import PAID_FOR_DEBT, RETURNED_OF_DEBT, credited, total
from marketplace.payments.models import AttemptState, LedgerEntry, LedgerTransaction, PaymentAttempt, Purpose, Refund
from marketplace.payments.posting_rules import Account

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

PAGE = 50


@dataclass(frozen=True)
class Debt:
    """What a learner owes for one order's subsidy; `paid` is net of what went back."""

    order: Order
    subsidy: Subsidy
    owed: Money
    paid: Money
    written_off: Money

    @property
    def left(self) -> Money:
        """What is still to pay; negative when more was paid than is owed by now."""
        return self.owed - self.paid - self.written_off

    @property
    def is_open(self) -> bool:
        """Whether something is still to pay."""
        return self.left.minor > 0


_WRITTEN_OFF = (
    select(total(WriteOff.amount_minor))
    .where(WriteOff.order_id == Order.id, WriteOff.state == OfflineState.SETTLED)
    .correlate(Order)
    .scalar_subquery()
)
_LEFT = Subsidy.owed_minor - (PAID_FOR_DEBT - RETURNED_OF_DEBT) - _WRITTEN_OFF


def _query() -> Select[Any]:
    query = select(Order, Subsidy, PAID_FOR_DEBT - RETURNED_OF_DEBT, _WRITTEN_OFF)
    query = query.join(OrderLine, OrderLine.order_id == Order.id).join(Subsidy, Subsidy.order_line_id == OrderLine.id)
    return query.options(joinedload(Order.person), joinedload(Subsidy.programme))


def _read(query: Select[Any]) -> list[Debt]:
    return [_debt(*row) for row in db.session.execute(query)]


def _debt(order: Order, subsidy: Subsidy, paid: int, written_off: int) -> Debt:
    currency = subsidy.currency
    return Debt(order, subsidy, subsidy.owed, Money(int(paid), currency), Money(int(written_off), currency))


def find(order_number: str) -> Debt | None:
    """What is or was owed for an order, by its number; None where nothing ever was. One statement."""
    found = _read(_query().where(Order.public_id == order_number))
    return next((debt for debt in found if debt.owed.minor or debt.paid.minor or debt.written_off.minor), None)


def list_of(person_id: int) -> list[Debt]:
    """What a person has still to pay, oldest first."""
    return _read(_query().where(Order.person_id == person_id, Subsidy.owed_minor > 0, _LEFT > 0).order_by(Subsidy.id))


def list_open(*, after: int = 0) -> tuple[list[Debt], int | None]:
    """All open debts, oldest first, a page from the subsidy's id `after` on; the second value continues the list."""
    query = _query().where(Subsidy.owed_minor > 0, _LEFT > 0, Subsidy.id > after)
    rows = _read(query.order_by(Subsidy.id).limit(PAGE + 1))
    return rows[:PAGE], rows[PAGE - 1].subsidy.id if len(rows) > PAGE else None


def list_differing(*, quiet_since: datetime) -> list[tuple[Debt, Money]]:
    """Debts that the ledger knows another balance of, with that balance; what is still under way is left out."""
    booked = (
        select(total(LedgerEntry.amount_minor))
        .join(LedgerEntry.transaction)
        .where(LedgerTransaction.order_id == Order.id, LedgerEntry.account == Account.LEARNER_RECEIVABLE)
        .correlate(Order)
        .scalar_subquery()
    )
    paid = select(PaymentAttempt.order_id).filter_by(purpose=Purpose.DEBT, state=AttemptState.PAID)
    moving = exists().where(SubsidyEvent.subsidy_id == Subsidy.id, SubsidyEvent.recorded_at > quiet_since)
    query = (
        _query()
        .add_columns(booked)
        .where(or_(Subsidy.owed_minor > 0, Order.id.in_(paid)), booked != _LEFT, ~moving, ~_returning(quiet_since))
    )
    rows = db.session.execute(query.limit(PAGE)).all()
    return [(_debt(*row[:4]), Money(int(row[4]), row[1].currency)) for row in rows]


def _returning(quiet_since: datetime) -> ColumnElement[bool]:
    """Whether money paid for the debt is on its way back from outside: it is booked when it has arrived."""
    of_debt = (PaymentAttempt.order_id == Order.id) & (PaymentAttempt.purpose == Purpose.DEBT)
    lately = exists().where(
        of_debt, RefundDue.attempt_public_id == PaymentAttempt.public_id, RefundDue.recorded_at > quiet_since
    )
    waiting = exists().where(
        of_debt, Refund.attempt_id == PaymentAttempt.id, Refund.state.in_(["requested", "pending"])
    )
    return or_(lately, waiting)


def lock(order_id: int) -> Debt:
    """Lock an order and its subsidy, and read what is owed; the answer holds until the transaction ends."""
    order = locked(Order, order_id)
    lines = (
        select(Subsidy.id).join(OrderLine, OrderLine.id == Subsidy.order_line_id).where(OrderLine.order_id == order_id)
    )
    subsidies.locked_subsidy(db.session.scalars(lines).one())
    [debt] = _read(_query().where(Order.id == order.id).execution_options(populate_existing=True))
    return debt


def take_in(attempt: PaymentAttempt, paid: Money, *, into: str, occurred_at: datetime, now: datetime) -> None:
    """Book money that came for a debt at `occurred_at`; what is beyond it goes back.

    Call inside a transaction, the attempt locked and noted as paid. Locks the order and its subsidy.
    """
    debt = lock(attempt.order_id)
    before = debt.left.minor + attempt.amount_minor
    kept = Money(min(max(before, 0), paid.minor), paid.currency)
    surplus = paid - kept
    entries = posting_rules.debt_paid(kept, surplus, into=into, programme_id=debt.subsidy.programme_id)
    key = f"payment:{attempt.public_id}"
    ledger.post(key, "debt_payment", entries, order_id=attempt.order_id, occurred_at=occurred_at)
    orders.record(debt.order, "debt_paid", now=now, details={"attempt": attempt.public_id, "amount": kept.minor})
    if surplus.minor:
        _leave_refund(attempt, surplus, key=f"{attempt.public_id}:{DEBT_GONE}", now=now)
    if kept.minor:
        debt_letters.send_settled(lock(attempt.order_id), kept, attempt.public_id)


def _leave_refund(attempt: PaymentAttempt, amount: Money, *, key: str, now: datetime) -> None:
    add(
        RefundDue(
            key=key,
            order_id=attempt.order_id,
            attempt_public_id=attempt.public_id,
            amount_minor=amount.minor,
            currency=amount.currency,
            reason=DEBT_GONE,
            recorded_at=now,
        )
    )
    refunds.take_up_soon()


def began_at(order_id: int) -> datetime | None:
    """When a debt beside an order came about, the last time it did; None where nothing was ever owed."""
    query = (
        select(func.max(SubsidyEvent.occurred_at))
        .join(SubsidyEvent.subsidy)
        .join(OrderLine, OrderLine.id == Subsidy.order_line_id)
        .where(OrderLine.order_id == order_id, SubsidyEvent.owed_minor > 0)
    )
    return db.session.scalars(query).one()


def dead_pages() -> Select[Any]:
    """The open payment pages whose amount is not what is owed any more."""
    query = select(PaymentAttempt.session_id).join(PaymentAttempt.order)
    query = query.join(OrderLine, OrderLine.order_id == Order.id).join(Subsidy, Subsidy.order_line_id == OrderLine.id)
    is_open = (PaymentAttempt.state == AttemptState.OPEN) & (PaymentAttempt.purpose == Purpose.DEBT)
    return query.where(is_open, PaymentAttempt.amount_minor != _LEFT)


def return_overpaid(*, now: datetime) -> int:
    """Give back what was paid for debts that are owed no more, each in a transaction of its own; how many orders.

    A subsidy is let go when its place is cancelled after all: then nobody owes anything for it.
    """
    paid = select(PaymentAttempt.order_id).filter_by(purpose=Purpose.DEBT, state=AttemptState.PAID)
    given_up = select(WriteOff.order_id).filter_by(state=OfflineState.SETTLED)
    query = _query().where(Order.id.in_(paid.union(given_up)), _LEFT < 0)
    found = [debt.order.id for debt in _read(query.limit(PAGE))]
    for order_id in found:
        with transaction():
            debt = lock(order_id)
            _return(debt, Money(min(-debt.left.minor, debt.paid.minor), debt.paid.currency), now=now)
    return len(found)


def _return(debt: Debt, over: Money, *, now: datetime) -> None:
    """Leave the facts of what goes back, newest payment first; what was given up needlessly is taken back too."""
    programme_id, left = debt.subsidy.programme_id, over
    for attempt in _paid_attempts(debt.order.id):
        has = credited(attempt)
        amount = min(left, has)
        if amount.minor > 0:
            key = f"{attempt.public_id}:{DEBT_GONE}:{has.minor}"
            entries = posting_rules.debt_gone(amount, programme_id=programme_id)
            ledger.post(key, "debt_gone", entries, order_id=debt.order.id, occurred_at=now)
            _leave_refund(attempt, amount, key=key, now=now)
            left = left - amount
    if debt.owed.is_zero:
        _take_back_write_offs(debt, now=now)


def _paid_attempts(order_id: int) -> Sequence[PaymentAttempt]:
    query = select(PaymentAttempt).filter_by(order_id=order_id, purpose=Purpose.DEBT, state=AttemptState.PAID)
    return db.session.scalars(query.order_by(PaymentAttempt.id.desc())).all()


def _take_back_write_offs(debt: Debt, *, now: datetime) -> None:
    for row in db.session.scalars(select(WriteOff).filter_by(order_id=debt.order.id, state=OfflineState.SETTLED)):
        row.state = OfflineState.DECLINED
        entries = posting_rules.written_off(-row.amount, programme_id=debt.subsidy.programme_id)
        ledger.post(
            f"write_off_taken_back:{row.public_id}", "write_off", entries, order_id=debt.order.id, occurred_at=now
        )
    db.session.flush()
