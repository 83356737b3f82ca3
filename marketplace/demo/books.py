"""The rest of the demo's books: what Stripe listed, and what was earned as runs ended. Written last, over all else."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import joinedload

from marketplace.catalog.models import CourseProvider, CourseRun
from marketplace.demo.money import Posting, post_all
from marketplace.demo.rows import insert_rows
from marketplace.enrolment.models import Order, OrderLine
from marketplace.foundation.database import db
from marketplace.foundation.money import Money
from marketplace.payments import posting_rules, postings, revenue_terms
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.dispute_rules import DisputeState
from marketplace.payments.models import LedgerEntry, LedgerTransaction, PaymentAttempt, Refund
from marketplace.payments.posting_rules import UNEARNED, Entry
from marketplace.payments.sandbox import balance
from marketplace.payments.stripe_feeds import FEEDS
from marketplace.payments.stripe_models import StripeFeed, StripePayout, StripeTransaction

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Select


ARRIVES_AFTER = timedelta(days=2)


def write_facts() -> None:
    """Post what the demo's vouchers and subsidies left, each when it happened. Call inside a transaction."""
    runs = dict(line for line in db.session.execute(select(OrderLine.order_id, OrderLine.run_id)).all())
    for find in postings.SOURCES:
        while facts := [fact for fact in find(postings.ALWAYS) if fact.entries]:
            post_all(
                [
                    Posting(
                        fact.key, fact.kind, fact.occurred_at, fact.entries, fact.order_id, runs[fact.order_id or 0]
                    )
                    for fact in facts
                ]
            )


def write_earnings(*, now: datetime) -> None:
    """Earn every order of a run that is over, as `postings.earn` would have at its end. Call inside a transaction."""
    orders: dict[tuple[int, str, int, datetime], list[Entry]] = defaultdict(list)
    for row in db.session.execute(_unearned(now)):
        entry = Entry(row.account, Money(int(row.minor), row.currency), row.organisation_id, row.programme_id)
        orders[row.order_id, row.public_id, row.run_id, max(row.ends_at, row.moved_at)].append(entry)
    terms, providers = revenue_terms.terms_at(now), _leads()
    post_all(
        [
            Posting(
                f"{postings.EARNED}:{number}:1",
                postings.EARNED,
                moment,
                posting_rules.earned(
                    entries,
                    so_far=Money(0, entries[0].amount.currency),
                    terms=terms,
                    provider_id=providers.get(run_id),
                ),
                order_id,
                run_id,
                {"terms": terms.version},
            )
            for (order_id, number, run_id, moment), entries in orders.items()
        ]
    )


def _unearned(now: datetime) -> Select[*tuple[Any, ...]]:
    total = func.sum(LedgerEntry.amount_minor)
    key = (
        LedgerTransaction.order_id,
        Order.public_id,
        postings.PLACES.c.run_id,
        CourseRun.ends_at,
        LedgerEntry.account,
        LedgerEntry.currency,
        LedgerEntry.organisation_id,
        LedgerEntry.programme_id,
    )
    return (
        select(*key, total.label("minor"), func.max(LedgerTransaction.occurred_at).label("moved_at"))
        .join(LedgerEntry.transaction)
        .join(Order, Order.id == LedgerTransaction.order_id)
        .join(postings.PLACES, postings.PLACES.c.order_id == Order.id)
        .join(CourseRun, CourseRun.id == postings.PLACES.c.run_id)
        .where(LedgerEntry.account.in_(UNEARNED), CourseRun.ends_at <= now, CourseRun.state != "cancelled")
        .group_by(*key)
        .having(total != 0)
        .order_by(LedgerTransaction.order_id, LedgerEntry.account)
    )


def _leads() -> dict[int, int]:
    """The leading provider of each run."""
    query = (
        select(CourseRun.id, CourseProvider.organisation_id)
        .join(CourseProvider, CourseProvider.course_id == CourseRun.course_id)
        .order_by(CourseRun.id, CourseProvider.position.desc(), CourseProvider.organisation_id.desc())
    )
    # Sorted backwards: of several providers the first is written last.
    return {run_id: organisation_id for run_id, organisation_id in db.session.execute(query)}  # noqa: C416 - rows are no pairs to mypy


def write_stripe(*, now: datetime) -> None:
    """What Stripe's lists said of the demo's payments and refunds, the fees it kept and the payouts of each week.

    Call inside a transaction, before the earnings: both are dated when they happened.
    """
    moved = [*_payments(), *_refunds(), *_disputes()]
    moved.sort(key=lambda one: one["happened_at"])
    payouts = _weekly_payouts(moved, now)
    insert_rows(StripeTransaction, [*moved, *(_payout_movement(payout) for payout in payouts)])
    insert_rows(StripePayout, payouts)
    feeds = [{"kind": feed.kind, "complete_until": now, "window_end": None, "after": None} for feed in FEEDS]
    db.session.execute(insert(StripeFeed), feeds)
    orders = {one.payment_intent_id: one.order_id for one in db.session.scalars(select(PaymentAttempt))}
    fees = [_fee_posting(one, orders[one["payment_intent_id"]]) for one in moved if one["fee_minor"]]
    post_all([*fees, *(posting for payout in payouts for posting in _payout_postings(payout))])


def _payments() -> list[dict[str, Any]]:
    paid = db.session.scalars(select(PaymentAttempt).filter_by(state="paid"))
    return [
        _movement(
            f"txn_demo_{one.public_id}",
            "charge",
            one.amount_minor,
            f"ch_demo_{one.public_id}",
            one.payment_intent_id,
            one.paid_at,
            f"payment:{one.public_id}",
        )
        for one in paid
        if one.payment_intent_id is not None
    ]


def _refunds() -> list[dict[str, Any]]:
    given_back = db.session.scalars(select(Refund).filter_by(state="succeeded").options(joinedload(Refund.attempt)))
    return [
        _movement(
            f"txn_demo_{one.public_id}",
            "refund",
            -one.amount_minor,
            one.stripe_refund_id,
            one.attempt.payment_intent_id,
            one.settled_at,
            f"refund:{one.public_id}",
        )
        for one in given_back
        if one.stripe_refund_id is not None
    ]


def _disputes() -> list[dict[str, Any]]:
    """What the banks took back and, where we won, gave back; an inquiry moved nothing."""
    disputed = db.session.scalars(
        select(Dispute).where(Dispute.state != DisputeState.INQUIRY).options(joinedload(Dispute.attempt))
    ).all()
    return [
        _movement(
            f"txn_demo_{one.public_id}_{word}",
            "adjustment",
            sign * one.amount_minor,
            one.stripe_dispute_id,
            one.attempt.payment_intent_id,
            moment,
            f"dispute:{one.public_id}",
        )
        | {"fee_minor": one.fee_minor if sign < 0 else 0}
        for one in disputed
        for word, sign, moment in (
            ("taken", -1, one.opened_at),
            ("back", 1, one.closed_at if one.state == DisputeState.WON else None),
        )
        if moment is not None
    ]


def _movement(
    number: str,
    kind: str,
    minor: int,
    source: str | None,
    intent: str | None,
    moment: datetime | None,
    fact: str,
) -> dict[str, Any]:
    return {
        "transaction_id": number,
        "type": kind,
        "amount_minor": minor,
        "fee_minor": balance.fee_of(minor) if kind == "charge" else 0,
        "currency": "CNY",
        "exchange_rate": None,
        "source_id": source,
        "payment_intent_id": intent,
        "happened_at": moment,
        "fetched_at": moment,
        "state": "matched",
        "matched_to": fact,
    }


def _weekly_payouts(moved: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Each week's net, sent two days after the week's last movement; a week that is not over is still at Stripe."""
    weeks: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for one in moved:
        weeks[one["happened_at"].isocalendar()[:2]].append(one)
    made, carried = [], 0
    for (year, week), ones in sorted(weeks.items()):
        carried += sum(one["amount_minor"] - one["fee_minor"] for one in ones)
        sent = ones[-1]["happened_at"] + timedelta(days=2)
        if carried <= 0 or sent + ARRIVES_AFTER > now:
            continue
        made.append(
            {
                "payout_id": f"po_demo_{year}_{week:02}",
                "amount_minor": carried,
                "currency": "CNY",
                "status": "paid",
                "created_at": sent,
                "arrives_at": sent + ARRIVES_AFTER,
                "failure_code": None,
                "fetched_at": sent + ARRIVES_AFTER,
            }
        )
        carried = 0
    return made


def _payout_movement(payout: dict[str, Any]) -> dict[str, Any]:
    number = payout["payout_id"]
    made = _movement(
        f"txn_{number}", "payout", -payout["amount_minor"], number, None, payout["created_at"], f"payout:{number}"
    )
    return made | {"fee_minor": 0}


def _fee_posting(moved: dict[str, Any], order_id: int) -> Posting:
    number, moment = moved["transaction_id"], moved["happened_at"]
    entries = posting_rules.processor_fee(Money(moved["fee_minor"], "CNY"))
    return Posting(f"stripe_fee:{number}", "processor_fee", moment, entries, order_id, None, {"stripe": number})


def _payout_postings(payout: dict[str, Any]) -> list[Posting]:
    number, amount = payout["payout_id"], Money(payout["amount_minor"], "CNY")
    left, arrived = posting_rules.payout_left(amount), posting_rules.payout_arrived(amount)
    return [
        Posting(f"stripe:txn_{number}", "payout", payout["created_at"], left),
        Posting(f"payout_arrived:{number}", "payout_arrived", payout["arrives_at"], arrived),
    ]
