"""What does not add up: queued once per kind and reference, closed by staff with a note, or by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from marketplace.foundation import ids
from marketplace.foundation.database import db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound
from marketplace.foundation.i18n import lazy
from marketplace.payments.desk_models import OfflineState
from marketplace.payments.models import Discrepancy
from marketplace.payments.unmatched_models import UnmatchedAnswer

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement

# In English: the note belongs to the row, not to a reader.
SETTLED_BY_ITSELF = "It adds up now: the missing side turned up."
TURNED_UP = "Its fact turned up, with another amount."


def queue(kind: str, reference: str, details: dict[str, Any], *, now: datetime) -> bool:
    """Note what does not add up; False if it is known. Call inside a transaction."""
    statement = insert(Discrepancy).values(
        public_id=ids.public_id(), kind=kind, reference=reference, details=details, found_at=now
    )
    return db.session.scalar(statement.on_conflict_do_nothing().returning(Discrepancy.id)) is not None


def settle(kind: str, reference: str, *, now: datetime, note: str = SETTLED_BY_ITSELF) -> None:
    """Close one that adds up by now, or became another. Call inside a transaction.

    What an officer said of its money, and no second one has decided about, is over with it.
    """
    closed = db.session.scalars(
        update(Discrepancy)
        .where(Discrepancy.kind == kind, Discrepancy.reference == reference, Discrepancy.resolved_at.is_(None))
        .values(resolved_at=now, note=note)
        .returning(Discrepancy.id)
    ).all()
    if closed:
        db.session.execute(
            update(UnmatchedAnswer)
            .where(UnmatchedAnswer.discrepancy_id.in_(closed), UnmatchedAnswer.state == OfflineState.PROPOSED)
            .where(UnmatchedAnswer.decided_at.is_(None))
            .values(state=OfflineState.DECLINED, decided_at=now)
        )


def list_open(*which: ColumnElement[bool], after: int = 0, limit: int = 100) -> list[Discrepancy]:
    """What waits for staff and meets the conditions, oldest first, from the id `after` on."""
    query = select(Discrepancy).where(Discrepancy.resolved_at.is_(None), Discrepancy.id > after, *which)
    return list(db.session.scalars(query.order_by(Discrepancy.id).limit(limit)))


def resolve(public_id: str, *, note: str, actor_id: int, now: datetime) -> Discrepancy:
    """Close a discrepancy with a note of what was done; closing it again changes nothing. Locks it."""
    if not note.strip():
        message = lazy("Say what was done about it.")
        raise Invalid("note_missing", message, {"note": message})
    with transaction():
        row_id = db.session.scalar(select(Discrepancy.id).filter_by(public_id=public_id))
        if row_id is None:
            raise NotFound
        found = locked(Discrepancy, row_id)
        if found.resolved_at is None:
            found.resolved_at, found.resolved_by_id, found.note = now, actor_id, note.strip()
        return found
