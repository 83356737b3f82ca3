"""The record of what staff do at the desk: who, what, to what, why. Only ever added to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.foundation.database import add, db
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy
from marketplace.payments.desk_models import StaffAct

if TYPE_CHECKING:
    from datetime import datetime

LONGEST_REASON = 2000


def record(
    kind: str,
    subject: str,
    *,
    reason: str,
    actor_id: int,
    now: datetime,
    order_id: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> StaffAct:
    """Write an act down, in the transaction that does it; raises Invalid without a reason."""
    why = reason.strip()[:LONGEST_REASON]
    if not why:
        message = lazy("Say why: it is kept with what you do.")
        raise Invalid("no_reason", message, {"reason": message})
    return add(
        StaffAct(
            person_id=actor_id,
            kind=kind,
            subject=subject,
            reason=why,
            order_id=order_id,
            details=dict(details or {}),
            occurred_at=now,
        )
    )


def check_unchanged(seen: int | None, left: int) -> None:
    """Raise Refused where what is left, in minor units, is not what the page showed: pressed twice, it is done once.

    Call with everything locked; None for a caller that showed nothing.
    """
    if seen not in {None, left}:
        message = lazy("What is left has changed since you saw this page. Please look again: it may be done already.")
        raise Refused("left_changed", message)


def list_of_order(order_id: int) -> Sequence[StaffAct]:
    """The acts about one order, oldest first."""
    query = select(StaffAct).filter_by(order_id=order_id).options(joinedload(StaffAct.person)).order_by(StaffAct.id)
    return db.session.scalars(query).all()
