"""The trail of an account: what happened, when, by whose hand. Rows are only ever added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from marketplace.accounts.models import AccountEvent
from marketplace.foundation.database import add, db

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.accounts.models import Person


def record(
    kind: str,
    *,
    now: datetime,
    person_id: int | None = None,
    organisation_id: int | None = None,
    actor_id: int | None = None,
    **details: Any,
) -> AccountEvent:
    """Add a row; call inside the transaction of the act. `actor_id` defaults to the person."""
    return add(
        AccountEvent(
            kind=kind,
            person_id=person_id,
            organisation_id=organisation_id,
            actor_id=actor_id or person_id,
            details=details,
            occurred_at=now,
        )
    )


def list_recent(person: Person, *, limit: int = 20) -> Sequence[AccountEvent]:
    """The newest events of a person's account."""
    query = select(AccountEvent).where(AccountEvent.person_id == person.id, AccountEvent.organisation_id.is_(None))
    return db.session.execute(query.order_by(AccountEvent.id.desc()).limit(limit)).scalars().all()
