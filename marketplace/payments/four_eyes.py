"""Where two people must have seen it: what one officer entered above a limit, and any officer's own order."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from flask import current_app
from sqlalchemy import select

from marketplace.enrolment.models import Order
from marketplace.foundation.database import db, locked, one_row
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.payments import offline_rules
from marketplace.payments.desk_models import OfflinePayment, OfflineState, WriteOff
from marketplace.payments.sponsor_models import SponsorPayment
from marketplace.payments.unmatched_models import UnmatchedAnswer

if TYPE_CHECKING:
    from config import Settings
    from marketplace.foundation.money import Money

Proposed = TypeVar("Proposed", OfflinePayment, WriteOff, UnmatchedAnswer, SponsorPayment)


def are_needed(amount: Money, *, before: Money) -> bool:
    """Whether an amount is above the limit, together with what was settled `before` for the same thing.

    Pieces count together: else one officer could do alone, bit by bit, what two must see.
    """
    settings: Settings = current_app.config["SETTINGS"]
    return offline_rules.needs_second_officer(before + amount, limit=settings.offline_limit)


def wait_for_pieces(subject: str) -> None:
    """Let whoever enters pieces of one subject wait for each other: two at once would not count one another.

    Call inside a transaction, before anything is locked; it holds until the transaction ends.
    """
    one_row("SELECT pg_advisory_xact_lock(hashtext(%(subject)s))", {"subject": f"pieces {subject}"})


def check_not_own(order_id: int, *, actor_id: int) -> None:
    """Raise Refused where an officer would settle, give back or give up money of an order that they placed."""
    if db.session.scalar(select(Order.person_id).where(Order.id == order_id)) == actor_id:
        raise Refused("own_order", lazy("This order is your own: another finance officer deals with its money."))


def locked_proposed(model: type[Proposed], public_id: str, *, actor_id: int) -> Proposed:
    """What waits for a second officer, locked. Raises NotFound; Refused once decided, for who entered or ordered it."""
    row_id = db.session.scalar(select(model.id).where(model.public_id == public_id))
    if row_id is None:
        raise NotFound
    row = locked(model, row_id)
    if row.state != OfflineState.PROPOSED:
        raise Refused("decided_already", lazy("Somebody has decided about this already."))
    if row.proposed_by_id == actor_id:
        raise Refused("four_eyes", lazy("Another finance officer must look at this: you entered it."))
    order_id: int | None = getattr(row, "order_id", None)
    if order_id is not None:
        check_not_own(order_id, actor_id=actor_id)
    return row
