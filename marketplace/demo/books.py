"""The rest of the demo's books: what was earned as runs ended. Written last, over whatever else the demo posted."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from marketplace.catalog.models import CourseProvider, CourseRun
from marketplace.demo.money import Posting, post_all
from marketplace.enrolment.models import Order
from marketplace.foundation.database import db
from marketplace.foundation.money import Money
from marketplace.payments import posting_rules, postings
from marketplace.payments.models import LedgerEntry, LedgerTransaction
from marketplace.payments.posting_rules import UNEARNED, Entry

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Select


def write_earnings(*, now: datetime) -> None:
    """Earn every order of a run that is over, as `postings.earn` would have at its end. Call inside a transaction."""
    orders: dict[tuple[int, str, int, datetime], list[Entry]] = defaultdict(list)
    for row in db.session.execute(_unearned(now)):
        entry = Entry(row.account, Money(int(row.minor), row.currency), row.organisation_id, row.programme_id)
        orders[row.order_id, row.public_id, row.run_id, max(row.ends_at, row.moved_at)].append(entry)
    terms, providers = postings.terms_at(now), _leads()
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
        LedgerTransaction.run_id,
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
        .join(CourseRun, CourseRun.id == LedgerTransaction.run_id)
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
