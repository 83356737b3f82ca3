"""Everything staff see of one order: its money step by step, its timeline, and what should happen next."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import joinedload, selectinload

from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Enrolment, EnrolmentSource, Order, OrderLine
from marketplace.foundation import mail
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from marketplace.payments import (
    acts,
    books,
    debts,
    disputes,
    external_refunds,
    fapiao,
    offline,
    postings,
    refunds,
    write_offs,
)
from marketplace.payments.desk_models import OfflineState
from marketplace.payments.dispute_rules import DisputeState
from marketplace.payments.invoice_rules import FapiaoState
from marketplace.payments.models import AttemptState, Discrepancy, Purpose
from marketplace.payments.next_action_rules import Standing
from marketplace.payments.posting_rules import UNEARNED, Account
from marketplace.payments.waterfall_rules import Moved, Sold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.payments.books import OrderMoney
    from marketplace.payments.debts import Debt
    from marketplace.payments.desk_models import OfflinePayment, StaffAct, WriteOff
    from marketplace.payments.dispute_models import Dispute
    from marketplace.payments.invoice_models import FapiaoRequest
    from marketplace.payments.models import Refund
    from marketplace.payments.refunds import Seen

# Where money of a learner is put: what stood in suspense until staff said whose it is comes out of that.
MONEY_IN = frozenset({Account.STRIPE_BALANCE, Account.BANK, Account.UNMATCHED_MONEY})


@dataclass(frozen=True)
class Undecided:
    """What of an order waits for a word of staff on another page."""

    disputes: Sequence[Dispute]
    outside_refunds: Sequence[Refund]
    fapiao: Sequence[FapiaoRequest]


@dataclass(frozen=True)
class OrderFile:
    """An order with all that hangs on it."""

    order: Order
    money: OrderMoney
    transfers: Sequence[OfflinePayment]
    acts: Sequence[StaffAct]
    mails: Sequence[OutgoingMail]
    discrepancies: Sequence[Discrepancy]
    has_place: bool
    balances: dict[str, int]
    debt: Debt | None
    write_offs: Sequence[WriteOff]
    undecided: Undecided

    @property
    def fees(self) -> Money | None:
        """What Stripe kept of the order's payment, which the marketplace bears; None if nothing."""
        minor = self.balances.get(Account.PROCESSOR_FEE, 0)
        return Money(minor, self.order.currency) if minor else None

    @property
    def line(self) -> OrderLine:
        """The one line of the order."""
        return self.order.lines[0]


def open_file(public_id: str) -> OrderFile:
    """Read an order's file; raises NotFound."""
    order = books.get_order(public_id)
    money = books.money_of(order)
    references = {
        order.public_id,
        *(one.public_id for one in money.attempts),
        *(one.public_id for one in money.refunds),
    }
    balances: dict[str, int] = defaultdict(int)
    for entry in (entry for posted in money.transactions for entry in posted.entries):
        if entry.currency == order.currency:
            balances[entry.account] += entry.amount_minor
    return OrderFile(
        order,
        money,
        offline.list_of_order(order.id),
        acts.list_of_order(order.id),
        _mails(order, references),
        _discrepancies(order, references),
        _has_place(order.id),
        dict(balances),
        debts.find(public_id),
        write_offs.list_waiting(order_id=order.id),
        Undecided(
            disputes.list_undecided(order_id=order.id),
            external_refunds.list_undecided(order_id=order.id),
            fapiao.list_waiting(order_id=order.id),
        ),
    )


def _mails(order: Order, references: set[str]) -> Sequence[OutgoingMail]:
    """The mails that the order and its refunds caused, by the keys that name them."""
    about = or_(
        *(OutgoingMail.key == f"{kind}:{one}" for kind in ("order", "refund") for one in sorted(references)),
        OutgoingMail.key.startswith(f"order:{order.public_id}:"),
    )
    query = select(OutgoingMail).where(OutgoingMail.recipient == order.person.email, about)
    return db.session.scalars(query.order_by(OutgoingMail.id)).all()


def _discrepancies(order: Order, references: set[str]) -> Sequence[Discrepancy]:
    names = references | {f"{kind}:{one}" for kind in ("payment", "refund") for one in references}
    query = select(Discrepancy).where(
        Discrepancy.resolved_at.is_(None),
        or_(
            Discrepancy.reference.in_(names),
            Discrepancy.details["order"].astext == order.public_id,
            Discrepancy.details["fact"].astext.in_(names),
        ),
    )
    return db.session.scalars(query.order_by(Discrepancy.id)).all()


def _has_place(order_id: int) -> bool:
    query = exists().where(
        OrderLine.order_id == order_id,
        EnrolmentSource.order_line_id == OrderLine.id,
        EnrolmentSource.revoked_at.is_(None),
        Enrolment.id == EnrolmentSource.enrolment_id,
        Enrolment.ended_at.is_(None),
    )
    return bool(db.session.scalar(select(query)))


def run_of(order_id: int) -> CourseRun:
    """The run an order is for by now: the place may have moved since it was sold."""
    query = select(CourseRun).join(postings.PLACES, postings.PLACES.c.run_id == CourseRun.id)
    return db.session.scalars(query.where(postings.PLACES.c.order_id == order_id)).one()


def standing_of(file: OrderFile) -> Standing:
    """What the rule of the next action wants to know."""
    order, refunds = file.order, file.money.refunds
    offline_ids = {one.id for one in file.money.attempts if one.method == "offline"}
    waiting = [one for one in refunds if one.state in {"requested", "pending"}]
    failed = {one.reference for one in file.discrepancies if one.kind == "refund_failed"}
    fapiao_states = {one.state for one in file.undecided.fapiao}
    open_ones = [one for one in file.money.disputes if one.closed_at is None]
    moved = moved_of(file)
    return Standing(
        state=order.state,
        is_paid=any(one.state == AttemptState.PAID and one.purpose == Purpose.ORDER for one in file.money.attempts),
        is_given_back=moved.paid <= moved.refunded + moved.disputed,
        was_confirmed=order.confirmed_at is not None,
        expires_at=order.expires_at,
        run_ends_at=run_of(order.id).ends_at,
        has_discrepancy=any(one.kind != "refund_failed" for one in file.discrepancies),
        has_failed_refund=any(one.public_id in failed for one in refunds),
        has_bank_refund=any(one.attempt_id in offline_ids for one in waiting),
        has_refund_on_its_way=bool(waiting) or bool(file.balances.get(Account.REFUNDS_PAYABLE)),
        has_proposed_transfer=any(one.state == OfflineState.PROPOSED for one in file.transfers),
        has_unearned=any(file.balances.get(account, 0) for account in UNEARNED),
        has_place=file.has_place,
        has_debt=file.debt is not None and file.debt.is_open,
        has_proposed_write_off=bool(file.write_offs),
        has_open_dispute=bool(open_ones),
        evidence_due_by=min((one.evidence_due_by for one in open_ones if one.evidence_due_by), default=None),
        has_undecided_dispute=bool(file.undecided.disputes),
        has_undecided_outside_refund=bool(file.undecided.outside_refunds),
        has_fapiao_to_reverse=FapiaoState.REVERSAL_NEEDED in fapiao_states,
        has_fapiao_to_issue=FapiaoState.REQUESTED in fapiao_states,
    )


def sold_of(order: Order) -> Sold:
    """The frozen line as the waterfall begins with it."""
    line, currency = order.lines[0], order.currency
    listed = int(line.price_rule.get("list_price_minor", line.price_minor))
    amounts = (listed, line.price_minor, line.subsidy_minor, line.voucher_minor, line.due_minor)
    return Sold(*(Money(minor, currency) for minor in amounts))


def moved_of(file: OrderFile) -> Moved:
    """What the ledger says that came in, went back and was lost for the order, in the order's currency."""
    sums: dict[str, int] = defaultdict(int)
    for posted in file.money.transactions:
        for entry in posted.entries:
            if entry.currency == file.order.currency:
                sums[_moves(posted.kind, entry.account)] += entry.amount_minor
    currency = file.order.currency
    paid, back, lost = (
        Money(sums[name] * sign, currency) for name, sign in (("payment", 1), ("refund", -1), ("dispute", -1))
    )
    return Moved(paid, back, lost, file.balances, debt_paid=sums["debt"], held=_held(file))


def _held(file: OrderFile) -> int:
    """What a bank holds of the money that is kept; that of a payment which bought nothing is on its way back anyway."""
    kept = _bought(file) | {one.id for one in file.money.attempts if one.purpose == Purpose.DEBT}
    return sum(one.amount_minor for one in _open_disputes(file) if one.attempt_id in kept)


def is_frozen(file: OrderFile) -> bool:
    """Whether a bank decides about the payment that bought the place: `frozen.check` refuses to give it back."""
    return any(one.attempt_id in _bought(file) for one in _open_disputes(file))


def _open_disputes(file: OrderFile) -> list[Dispute]:
    return [one for one in file.money.disputes if one.state == DisputeState.OPEN]


def _bought(file: OrderFile) -> set[int]:
    """The payment that confirmed the order, by its row."""
    named = {event.details.get("attempt") for event in file.order.events if event.kind == "confirmed"}
    return {one.id for one in file.money.attempts if one.public_id in named}


def _moves(kind: str, account: str) -> str:
    """Which sum of the waterfall an entry belongs to; an empty text for one that moves nothing in or out."""
    if account in MONEY_IN:
        names = {"payment": "payment", "refund": "refund", "debt_payment": "debt", "debt_refund": "debt"}
        return names.get(kind, "")
    return "dispute" if kind == "dispute_lost" and account == Account.DISPUTES_HELD else ""


def resend_confirmation(order_id: int, *, reason: str, actor_id: int, now: datetime) -> OutgoingMail | None:
    """Mail the confirmation of a confirmed order once more, to the person's address of today. Raises Refused."""
    with transaction():
        order = db.session.get_one(Order, order_id, options=[selectinload(Order.lines), joinedload(Order.person)])
        if order.state != "confirmed":
            raise Refused("not_confirmed", lazy("Only a confirmed order has a confirmation to mail."))
        act = acts.record(
            "mail_resent", f"order:{order.public_id}", reason=reason, actor_id=actor_id, now=now, order_id=order_id
        )
        person = db.session.get_one(Person, order.person_id)
        return mail.send(
            "enrolment/confirmed",
            to=person.email,
            locale=order.locale,
            key=f"order:{order.public_id}:again:{act.id}",
            order=order,
            run=run_of(order_id),
            person=person,
        )


def give_back(
    order: Order,
    amount: Money,
    *,
    reason: str,
    ends_place: bool,
    actor_id: int,
    now: datetime,
    seen: Seen | None = None,
) -> Sequence[Refund]:
    """Ask for a refund at the desk: `refunds.request_refund`, with the act kept beside it."""
    with transaction():
        made = refunds.request_refund(
            order.id,
            amount,
            reason=reason,
            ends_place=ends_place,
            actor_id=actor_id,
            now=now,
            seen=seen,
        )
        details = {"amount": amount.minor, "currency": amount.currency, "ends_place": ends_place}
        subject = f"order:{order.public_id}"
        acts.record("refund", subject, reason=reason, actor_id=actor_id, now=now, order_id=order.id, details=details)
    # The page that follows tells what the voucher and the programme have back by the books.
    postings.post_facts(since=now)
    return made
