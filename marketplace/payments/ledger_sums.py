"""Where the ledger's balances are summed by day, so that a page need not add up every entry there ever was.

The sums hold every entry up to a mark, which never goes back. It is only moved to where no entry can come any more:
numbers are given before their transaction commits, so a lower one may still be under way when a higher one is there to
be seen.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Date, delete, func, literal, select, text, true
from sqlalchemy.dialects.postgresql import insert

from marketplace.foundation import jobs
from marketplace.foundation.database import db, locked, transaction
from marketplace.payments.ledger import ZONE
from marketplace.payments.models import LedgerEntry, LedgerMark, LedgerSum, LedgerTransaction

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Subquery

log = structlog.get_logger("ledger_sums")

STEP = 50_000
PATIENCE, PAUSE_SECONDS = 50, 0.1
THE_MARK = 1
_LAST_NUMBER = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('ledger_entry', 'id')::regclass), 0)"
# Who has written entries and has not ended yet; each transaction is named once. One's own is seen by oneself.
_WRITERS = """
SELECT virtualtransaction FROM pg_locks
 WHERE relation = 'ledger_entry'::regclass AND mode = 'RowExclusiveLock' AND pid <> pg_backend_pid()
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@jobs.periodic(cron="*/20 * * * *", name="payments.sum_ledger")
def sum_often() -> None:
    """Every twenty minutes: what was posted since."""
    sum_up()


@jobs.periodic(cron="41 3 * * *", name="payments.prove_ledger_sums")
def prove_nightly() -> None:
    """Every night: the sums are held against the entries, and made anew if they differ."""
    prove()


def sum_up(*, step: int = STEP) -> int:
    """Add the entries since the mark to the sums and move it; how many numbers it moved. Locks the mark.

    A batch of numbers is a transaction of its own, so that none takes long however much there is.
    """
    last = _last_settled()
    moved = 0
    while batch := _sum_batch(last, step):
        moved += batch
    return moved


def _last_settled() -> int:
    """A number up to which every entry is there or will never be; 0 if writers do not end for a while.

    Whoever has been given a number up to now has written already, and so is among the writers or has ended.
    """
    last = int(db.session.scalar(text(_LAST_NUMBER)) or 0)
    writers = _writers()
    for _ in range(PATIENCE):
        if not writers:
            return last
        time.sleep(PAUSE_SECONDS)
        writers &= _writers()
    log.warning("ledger not summed, entries are being written all the time", writers=len(writers))
    return 0


def _writers() -> set[str]:
    return set(db.session.scalars(text(_WRITERS)))


def _sum_batch(last: int, step: int) -> int:
    with transaction():
        mark = locked(LedgerMark, THE_MARK)
        begin, end = mark.entry_id, min(mark.entry_id + step, last)
        if end <= begin:
            return 0
        batch = _between(begin, end)
        latest = select(func.max(LedgerTransaction.recorded_at)).join(LedgerTransaction.entries).where(batch)
        recorded = [one for one in (mark.recorded_until, db.session.scalar(latest)) if one is not None]
        _add(batch)
        mark.entry_id, mark.recorded_until = end, max(recorded, default=None)
        return end - begin


def _between(begin: int, end: int) -> ColumnElement[bool]:
    return (LedgerEntry.id > begin) & (LedgerEntry.id <= end)


def _add(batch: ColumnElement[bool]) -> None:
    keys = [
        LedgerEntry.account,
        LedgerEntry.currency,
        LedgerEntry.organisation_id,
        LedgerEntry.programme_id,
        func.timezone(literal(ZONE.key), LedgerTransaction.occurred_at).cast(Date).label("occurred_on"),
        func.timezone(literal(ZONE.key), LedgerTransaction.recorded_at).cast(Date).label("recorded_on"),
    ]
    days = select(*keys, LedgerEntry.amount_minor).join(LedgerEntry.transaction).where(batch).subquery()
    *grouped, amount = days.c
    found = select(*grouped, func.sum(amount)).group_by(*grouped)
    statement = insert(LedgerSum).from_select([column.name for column in days.c], found)
    added = LedgerSum.amount_minor + statement.excluded.amount_minor
    db.session.execute(statement.on_conflict_do_update(constraint="uq_ledger_sum_of", set_={"amount_minor": added}))


def prove() -> bool:
    """Whether the sums are those of the entries; if not, they are made anew up to the same mark. Locks it."""
    with transaction():
        mark = locked(LedgerMark, THE_MARK)
        wrong = _differing(mark.entry_id)
        if wrong:
            log.error("ledger sums differ from the entries and are made anew", accounts=wrong)
            db.session.execute(delete(LedgerSum))
            for begin in range(0, mark.entry_id, STEP):
                _add(_between(begin, min(begin + STEP, mark.entry_id)))
        return not wrong


def _differing(last: int) -> list[str]:
    """The accounts whose kept sum is not what their entries come to, in any currency."""
    summed = _totals(LedgerSum, true())
    entered = _totals(LedgerEntry, LedgerEntry.id <= last)
    both = (summed.c.account == entered.c.account) & (summed.c.currency == entered.c.currency)
    query = select(func.coalesce(summed.c.account, entered.c.account)).select_from(summed)
    query = query.join(entered, both, full=True)
    differs = func.coalesce(summed.c.total, 0) != func.coalesce(entered.c.total, 0)
    return sorted(set(db.session.scalars(query.where(differs))))


def _totals(model: type[LedgerSum | LedgerEntry], which: ColumnElement[bool]) -> Subquery:
    query = select(model.account, model.currency, func.sum(model.amount_minor).label("total")).where(which)
    return query.group_by(model.account, model.currency).subquery()
