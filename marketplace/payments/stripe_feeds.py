"""Where Stripe's lists are read: page by page, each kept before the next is asked for, resumed where it broke off."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.postgresql import insert

from marketplace.foundation.database import add, db, transaction
from marketplace.payments import stripe_gateway
from marketplace.payments.stripe_models import StripeFeed, StripePayout, StripeTransaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from marketplace.payments.stripe_gateway import Movement, Page, Payout

# What is younger may still be on its way to us by a webhook.
QUIET_FOR = timedelta(minutes=10)


@dataclass(frozen=True)
class Feed:
    """A list of Stripe's: how to ask for a page, how to keep one, and how far back to look again each time."""

    kind: str
    ask: Callable[[datetime | None, datetime, str | None], Page[Any]]
    keep: Callable[[list[Any], datetime], None]
    overlap: timedelta


def _keep_movements(items: list[Movement], now: datetime) -> None:
    """Insert those we have not got; Stripe never changes one."""
    rows = [asdict(item) | {"transaction_id": item.id, "fetched_at": now, "state": "new"} for item in reversed(items)]
    for row in rows:
        del row["id"]
    if rows:
        db.session.execute(insert(StripeTransaction).values(rows).on_conflict_do_nothing())


def _keep_payouts(items: list[Payout], now: datetime) -> None:
    """Insert, or note how a payout we have got stands now."""
    for item in reversed(items):
        row = asdict(item) | {"payout_id": item.id, "fetched_at": now}
        del row["id"]
        changed = {name: row[name] for name in ("status", "arrives_at", "failure_code", "fetched_at")}
        statement = insert(StripePayout).values(row)
        db.session.execute(statement.on_conflict_do_update(index_elements=["payout_id"], set_=changed))


FEEDS = (
    Feed("payout", stripe_gateway.list_payouts, _keep_payouts, timedelta(days=14)),
    Feed("balance_transaction", stripe_gateway.list_balance_transactions, _keep_movements, timedelta(days=1)),
)


def fetch(*, now: datetime) -> int:
    """Read both lists until shortly before `now`; how many rows came. Raises GatewayError and can then be called again.

    Each page is a transaction of its own; none is open while Stripe is spoken to.
    """
    return sum(_fetch_feed(feed, now=now) for feed in FEEDS)


def _fetch_feed(feed: Feed, *, now: datetime) -> int:
    count, has_more = 0, True
    while has_more:
        since, until, after = _window(feed, now=now)
        page = feed.ask(since, until, after)
        with transaction():
            feed.keep(page.items, now)
            row = db.session.get_one(StripeFeed, feed.kind)
            has_more = page.has_more and bool(page.items)
            row.after = page.items[-1].id if has_more else None
            if not has_more:
                row.complete_until, row.window_end = until, None
        count += len(page.items)
    return count


def _window(feed: Feed, *, now: datetime) -> tuple[datetime | None, datetime, str | None]:
    """From when, until when and after which id to ask; begins a window if none is under way."""
    with transaction():
        row = db.session.get(StripeFeed, feed.kind) or add(StripeFeed(kind=feed.kind))
        if row.window_end is None:
            row.window_end = now - QUIET_FOR
        since = row.complete_until - feed.overlap if row.complete_until else None
        return since, row.window_end, row.after


def list_feeds() -> list[StripeFeed]:
    """How far each list is read."""
    return list(db.session.query(StripeFeed).order_by(StripeFeed.kind))


def complete_until(kind: str = "balance_transaction") -> datetime | None:
    """Until when everything that moved at Stripe is known here."""
    row = db.session.get(StripeFeed, kind)
    return row.complete_until if row else None
