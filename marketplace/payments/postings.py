"""Where facts become postings: each is picked up exactly once by its key, by a job after the commit or by the sweep.

Money in and out is posted in the transaction that learns of it (`attempts`, `refunds`); what other rooms and Stripe
leave as rows is picked up here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Text, cast, exists, false, func, or_, select
from sqlalchemy.orm import contains_eager

from marketplace.catalog.models import CourseProvider, CourseRun
from marketplace.enrolment import returns
from marketplace.enrolment.models import Enrolment, EnrolmentSource, Order, OrderLine, RefundDue
from marketplace.enrolment.refund_rules import NEVER_SOLD
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, locked, transaction
from marketplace.foundation.money import Money
from marketplace.funding.subsidy_models import Subsidy, SubsidyEvent
from marketplace.funding.subsidy_states import State
from marketplace.funding.voucher_models import VoucherMovement, VoucherRedemption
from marketplace.payments import kept, ledger, posting_rules, revenue_terms
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.dispute_rules import DisputeState
from marketplace.payments.models import LedgerEntry, LedgerTransaction, PaymentAttempt, Purpose
from marketplace.payments.posting_rules import UNEARNED, Account, Entries, Entry, Step

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement

log = structlog.get_logger("postings")

EARNED = "earned"
BATCH = 1000
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Fact:
    """A row of another room, read as what the ledger posts; `key` names the row and is posted once."""

    key: str
    kind: str
    entries: Entries
    order_id: int | None
    occurred_at: datetime


@jobs.periodic(cron="* * * * *", name="payments.post_facts")
def post_facts_often() -> None:
    """Every minute: post what other rooms have left lately."""
    posted = post_facts(since=clock.now() - timedelta(hours=2))
    if posted:
        log.info("facts posted", facts=posted)


def post_facts(*, since: datetime = ALWAYS) -> int:
    """Post the facts recorded since a moment that the ledger has not got, each in its own transaction; how many."""
    posted = 0
    for fact in [found for find in SOURCES for found in find(since) if found.entries]:
        with transaction():
            made = ledger.post(fact.key, fact.kind, fact.entries, order_id=fact.order_id, occurred_at=fact.occurred_at)
        posted += made is not None
    return posted


def _voucher_movements(since: datetime) -> list[Fact]:
    """A code paid a part of a line, or took it back."""
    key = "voucher:" + cast(VoucherMovement.id, Text)
    query = (
        select(VoucherMovement, OrderLine.order_id, key)
        .join(VoucherMovement.redemption)
        .join(OrderLine, OrderLine.id == VoucherRedemption.order_line_id)
        .where(VoucherMovement.amount_minor != 0, VoucherMovement.recorded_at >= since, ~_is_posted(key))
        .options(contains_eager(VoucherMovement.redemption))
        .order_by(VoucherMovement.id)
    )
    return [
        Fact(
            name,
            "voucher",
            posting_rules.voucher_redeemed(
                Money(movement.amount_minor, movement.redemption.currency), sponsor_id=movement.redemption.sponsor_id
            ),
            order_id,
            movement.occurred_at,
        )
        for movement, order_id, name in db.session.execute(query.limit(BATCH))
    ]


# The acts that move no amount from one account to another: they change words, deadlines and doubts.
STILL_ACTS = ("approve", "claim", "extend", "doubted", "restored")


def _moves_nothing() -> ColumnElement[bool]:
    """What is borne after it was earned stays owed by the programme; left in, it would be looked at for ever."""
    was_earned = SubsidyEvent.from_state.in_([State.EARNED, State.CLAIMED])
    is_borne = SubsidyEvent.to_state.in_([State.LAPSED, State.REJECTED]) & (SubsidyEvent.owed_minor == 0)
    return SubsidyEvent.act.in_(STILL_ACTS) | func.coalesce(was_earned & is_borne, false())


def _subsidy_steps(since: datetime) -> list[Fact]:
    """A programme promised, owes, paid or let go of its part of a line."""
    key = "subsidy:" + cast(SubsidyEvent.id, Text)
    query = (
        select(SubsidyEvent, OrderLine.order_id, key)
        .join(SubsidyEvent.subsidy)
        .join(OrderLine, OrderLine.id == Subsidy.order_line_id)
        .where(~_moves_nothing(), SubsidyEvent.recorded_at >= since, ~_is_posted(key))
        .options(contains_eager(SubsidyEvent.subsidy))
        .order_by(SubsidyEvent.id)
    )
    return [
        Fact(name, "subsidy", posting_rules.subsidy_step(_step_of(event)), order_id, event.occurred_at)
        for event, order_id, name in db.session.execute(query.limit(BATCH))
    ]


def _step_of(event: SubsidyEvent) -> Step:
    currency = event.subsidy.currency
    return Step(
        amount=Money(event.amount_minor, currency),
        before=event.from_state,
        after=event.to_state,
        owed=Money(event.owed_minor, currency),
        borne=Money(event.borne_minor, currency),
        programme_id=event.subsidy.programme_id,
        act=event.act,
        part=Money(event.part_minor, currency),
    )


def _is_posted(key: ColumnElement[str]) -> ColumnElement[bool]:
    return exists().where(LedgerTransaction.key == key)


def _disputes(since: datetime) -> list[Fact]:
    """A bank took a payment back, gave it back to us, or kept it for the cardholder."""
    is_opened = _is_posted("dispute_opened:" + Dispute.public_id)
    never_sold = exists().where(
        RefundDue.order_id == PaymentAttempt.order_id,
        RefundDue.key.startswith("dispute:" + Dispute.public_id),
        RefundDue.reason.in_(NEVER_SOLD),
    )
    query = (
        select(Dispute, PaymentAttempt, is_opened, ~never_sold)
        .join(Dispute.attempt)
        .where(
            or_(Dispute.recorded_at >= since, Dispute.closed_at >= since),
            # An inquiry takes no money, and leaves no fee behind when it ends well.
            or_(
                (Dispute.state == DisputeState.OPEN) & ~is_opened,
                Dispute.state == DisputeState.LOST,
                (Dispute.state == DisputeState.WON) & or_(Dispute.fee_minor > 0, is_opened),
            ),
            ~_is_posted("dispute_closed:" + Dispute.public_id),
        )
        .order_by(Dispute.id)
    )
    found = db.session.execute(query.limit(BATCH))
    return [
        fact
        for one, attempt, is_known, was_kept in found
        for fact in _dispute_facts(one, attempt, is_opened=is_known, was_kept=was_kept)
    ]


def _dispute_facts(one: Dispute, attempt: PaymentAttempt, *, is_opened: bool, was_kept: bool) -> list[Fact]:
    facts, order_id = [], attempt.order_id
    if not is_opened:
        entries = posting_rules.dispute_opened(one.amount)
        facts.append(Fact(f"dispute_opened:{one.public_id}", "dispute", entries, order_id, one.opened_at))
    if one.closed_at is not None:
        is_lost = one.state == DisputeState.LOST
        lost = _lost(one, attempt, was_kept=was_kept)
        closed = lost if is_lost else posting_rules.dispute_opened(-one.amount)
        kind = "dispute_lost" if is_lost else "dispute_won"
        facts.append(Fact(f"dispute_closed:{one.public_id}", kind, closed, order_id, one.closed_at))
    return facts


def _lost(one: Dispute, attempt: PaymentAttempt, *, was_kept: bool) -> Entries:
    """A bank took money back for which there was a debt, a place, or that it was owed back."""
    if attempt.purpose == Purpose.DEBT:
        owed_back = kept.booked_as_owed_back(attempt)
        return posting_rules.debt_returned(one.amount, owed_back, out_of=Account.DISPUTES_HELD)
    return posting_rules.dispute_lost(
        one.amount, whose=Account.UNEARNED_REVENUE if was_kept else Account.REFUNDS_PAYABLE
    )


SOURCES = (_voucher_movements, _subsidy_steps, _disputes)


@jobs.periodic(cron="7 * * * *", name="payments.earn")
def earn_hourly() -> None:
    """Every hour: post any fact that was overlooked; what was paid for runs that are over becomes shares."""
    post_facts()
    done = earn_due(now=clock.now())
    if done:
        log.info("revenue earned", orders=done)


# The run each order is for: that of the place it granted last, which may have been moved, else the one it was sold for.
# What is kept of a place that was given up belongs to that run too, whatever became of those before.
PLACES = select(
    OrderLine.order_id,
    func.coalesce(
        select(Enrolment.run_id)
        .join(EnrolmentSource, EnrolmentSource.enrolment_id == Enrolment.id)
        .where(EnrolmentSource.order_line_id == OrderLine.id)
        .order_by(EnrolmentSource.id.desc())
        .limit(1)
        .correlate(OrderLine)
        .scalar_subquery(),
        OrderLine.run_id,
    ).label("run_id"),
).subquery("place")


# What a bank holds while it decides: the books say so from the opening of the dispute until its outcome is posted.
_HELD = (
    select(Dispute.amount_minor, Dispute.currency, PaymentAttempt.public_id, PaymentAttempt.order_id)
    .join(Dispute.attempt)
    .where(
        PaymentAttempt.purpose == Purpose.ORDER,
        _is_posted("dispute_opened:" + Dispute.public_id),
        ~_is_posted("dispute_closed:" + Dispute.public_id),
    )
)


def earn_due(*, now: datetime) -> int:
    """Earn every order of an ended run that has anything unearned, each in a transaction of its own; how many.

    What a bank holds is not earned until it has decided; shares of it that were posted before are taken back.
    """
    query = (
        select(LedgerTransaction.order_id)
        .join(LedgerTransaction.entries)
        .join(PLACES, PLACES.c.order_id == LedgerTransaction.order_id)
        .join(CourseRun, CourseRun.id == PLACES.c.run_id)
        .where(
            LedgerEntry.account.in_(UNEARNED),
            CourseRun.ends_at <= now,
            CourseRun.state != "cancelled",
        )
        .group_by(LedgerTransaction.order_id, LedgerEntry.account)
        .having(func.sum(LedgerEntry.amount_minor) != 0)
    )
    held = _HELD.where(Dispute.state == DisputeState.OPEN).subquery()
    due = {*db.session.scalars(query), *db.session.scalars(select(held.c.order_id))} - {None}
    done = 0
    for order_id in sorted(due):
        done += earn(order_id, now=now)
        if done == BATCH:
            break
    return done


def earn(order_id: int, *, now: datetime) -> bool:
    """Turn what stands as unearned for an order into shares; False when nothing does. Locks the order.

    A refund after the end leaves a debit behind, which this takes back from the same shares. So it does with what a
    bank holds, until it has decided.
    """
    with transaction():
        order = locked(Order, order_id)
        unearned = _less_held(_unearned_of(order_id), _held_of(order_id, order.currency))
        if not unearned:
            return False
        before = _earned_before(order_id, order.currency)
        run = db.session.get_one(
            CourseRun, db.session.scalars(select(PLACES.c.run_id).filter_by(order_id=order_id)).one()
        )
        if run.ends_at is None or run.ends_at > now or run.state == "cancelled":
            # Moved to a later date since it was found.
            return False
        provider_id = _owed_before(order_id) or _lead(run.course_id)
        terms = revenue_terms.terms_of(order.lines[0].revenue_terms_version)
        entries = posting_rules.earned(unearned, so_far=before[1], terms=terms, provider_id=provider_id)
        ledger.post(
            f"{EARNED}:{order.public_id}:{before[0] + 1}",
            EARNED,
            entries,
            order_id=order_id,
            occurred_at=max(run.ends_at, _last_moved(order_id)),
            details={"terms": terms.version},
        )
        return True


def _unearned_of(order_id: int) -> list[Entry]:
    """The order's balances on the unearned accounts, zero ones left out."""
    total = func.sum(LedgerEntry.amount_minor)
    key = (LedgerEntry.account, LedgerEntry.currency, LedgerEntry.organisation_id, LedgerEntry.programme_id)
    query = (
        select(*key, total)
        .join(LedgerEntry.transaction)
        .where(LedgerTransaction.order_id == order_id, LedgerEntry.account.in_(UNEARNED))
        .group_by(*key)
        .having(total != 0)
        .order_by(LedgerEntry.account)
    )
    return [
        Entry(account, Money(int(minor), currency), organisation_id, programme_id)
        for account, currency, organisation_id, programme_id, minor in db.session.execute(query)
    ]


def _held_of(order_id: int, currency: str) -> Money:
    """What a bank holds of what was paid for the order; money that bought nothing is on its way back anyway."""
    found = db.session.execute(_HELD.where(PaymentAttempt.order_id == order_id, Dispute.currency == currency)).all()
    return Money(sum(one.amount_minor for one in found if returns.has_bought(order_id, one.public_id)), currency)


def _less_held(unearned: list[Entry], held: Money) -> list[Entry]:
    """The balances to earn: what is held stays unearned, or becomes so again where it was earned before."""
    paid = sum((one.amount for one in unearned if one.account == Account.UNEARNED_REVENUE), held)
    others = [one for one in unearned if one.account != Account.UNEARNED_REVENUE]
    return others if paid.is_zero else [*others, Entry(Account.UNEARNED_REVENUE, paid)]


def _earned_before(order_id: int, currency: str) -> tuple[int, Money]:
    """How many times and how much of the order was earned so far."""
    query = (
        select(func.count(LedgerTransaction.id.distinct()), func.coalesce(func.sum(LedgerEntry.amount_minor), 0))
        .join(LedgerTransaction.entries)
        .where(
            LedgerTransaction.order_id == order_id,
            LedgerTransaction.kind == EARNED,
            LedgerEntry.account.in_(UNEARNED),
        )
    )
    times, minor = db.session.execute(query).one()
    return int(times), Money(int(minor), currency)


def _last_moved(order_id: int) -> datetime:
    """When the latest fact behind the unearned balance occurred: nothing is earned before it was paid or let go."""
    accounts = (*UNEARNED, Account.DISPUTES_HELD)
    query = select(func.max(LedgerTransaction.occurred_at)).where(
        LedgerTransaction.order_id == order_id,
        exists().where(LedgerEntry.transaction_id == LedgerTransaction.id, LedgerEntry.account.in_(accounts)),
    )
    moment: datetime = db.session.scalars(query).one()
    return moment


def _owed_before(order_id: int) -> int | None:
    """To whom the order's share is owed by now: the course may have changed hands, and what goes back was theirs."""
    query = (
        select(LedgerEntry.organisation_id)
        .join(LedgerEntry.transaction)
        .where(
            LedgerTransaction.order_id == order_id,
            LedgerTransaction.kind == EARNED,
            LedgerEntry.account == Account.PROVIDER_PAYABLE,
        )
        .order_by(LedgerEntry.id.desc())
        .limit(1)
    )
    return db.session.scalar(query)


def _lead(course_id: int) -> int | None:
    """The leading provider, to whom the share is owed until co-providers have agreements of their own."""
    query = select(CourseProvider.organisation_id).filter_by(course_id=course_id)
    return db.session.scalar(query.order_by(CourseProvider.position, CourseProvider.organisation_id).limit(1))
