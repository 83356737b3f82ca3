"""What waits for staff, queue by queue; each thing can be tried again, closed with a note, or leads to its page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Text, cast, exists, func, select
from sqlalchemy.orm import joinedload

from marketplace.enrolment.models import Order
from marketplace.foundation import jobs
from marketplace.foundation.database import db, locked, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.payments import (
    acts,
    discrepancies,
    disputes,
    events,
    external_refunds,
    fapiao,
    offline,
    refunds,
    sponsors,
    stripe_matching,
    unmatched,
    write_offs,
)
from marketplace.payments.desk_models import OfflinePayment, OfflineState, StaffAct, WriteOff
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.invoice_models import FapiaoRequest
from marketplace.payments.models import Discrepancy, PaymentAttempt, Refund, StripeEvent
from marketplace.payments.sponsor_models import SponsorPayment
from marketplace.payments.stripe_models import StripeTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

# What moved at Stripe or the bank and belongs to nothing; every other kind is a discrepancy of books that both exist.
UNMATCHED = (unmatched.MOVEMENT, unmatched.TRANSFER)
# What each queue of discrepancies holds.
KINDS: dict[str, ColumnElement[bool]] = {
    "failed_refunds": Discrepancy.kind == "refund_failed",
    "unmatched": Discrepancy.kind.in_(UNMATCHED),
    "discrepancies": Discrepancy.kind.not_in([*UNMATCHED, "refund_failed"]),
}
PAGE = 50


@dataclass(frozen=True)
class Counts:
    """How much waits in each queue."""

    disputes: int
    transfers: int
    write_offs: int
    sponsor_payments: int
    bank_refunds: int
    outside_refunds: int
    fapiao: int
    failed_refunds: int
    discrepancies: int
    unmatched: int
    events: int
    dead: int

    @property
    def in_all(self) -> int:
        """Everything that waits for somebody."""
        return sum(vars(self).values())


def counts() -> Counts:
    """How much waits, in one statement beside that of the dead letters."""
    open_ones = select(func.count()).select_from(Discrepancy).where(Discrepancy.resolved_at.is_(None))
    queues = {
        "disputes": disputes.undecided(select(func.count()).select_from(Dispute)),
        "transfers": select(func.count()).select_from(OfflinePayment).filter_by(state=OfflineState.PROPOSED),
        "write_offs": select(func.count()).select_from(WriteOff).filter_by(state=OfflineState.PROPOSED),
        "sponsor_payments": select(func.count()).select_from(SponsorPayment).filter_by(state=OfflineState.PROPOSED),
        "bank_refunds": _bank_refunds(select(func.count()).select_from(Refund)),
        "outside_refunds": external_refunds.undecided(select(func.count()).select_from(Refund)),
        "fapiao": fapiao.waiting(select(func.count()).select_from(FapiaoRequest)),
        "failed_refunds": open_ones.where(KINDS["failed_refunds"]),
        "discrepancies": open_ones.where(KINDS["discrepancies"]),
        "unmatched": open_ones.where(KINDS["unmatched"]),
        "events": _unknown_events(select(func.count()).select_from(StripeEvent)),
    }
    query = select(*(rows.scalar_subquery().label(name) for name, rows in queues.items()))
    found = db.session.execute(query).mappings().one()
    return Counts(**found, dead=jobs.count_dead_letters())


@dataclass(frozen=True)
class Page:
    """A part of a queue, oldest first; `next_after` continues it, None at its end."""

    rows: Sequence[Any]
    next_after: int | None


def list_waiting(queue: str = "", *, after: int = 0) -> dict[str, Page]:
    """Everything that waits, by queue: the beginning of each, or one alone from the id `after` on. A statement each.

    Raises NotFound for a queue that is none of them.
    """
    if queue and queue not in _LISTS:
        raise NotFound
    names, after = ([queue], after) if queue else (list(_LISTS), 0)
    return {name: _page(_LISTS[name](after=after, limit=PAGE + 1)) for name in names}


def _page(rows: Sequence[Any]) -> Page:
    return Page(rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None)


def _bank_refunds(query: Any) -> Any:
    return query.join(PaymentAttempt, PaymentAttempt.id == Refund.attempt_id).where(
        PaymentAttempt.method == "offline", Refund.state.in_(["requested", "pending"])
    )


def list_bank_refunds(*, after: int = 0, limit: int = PAGE) -> Sequence[Refund]:
    """Refunds of bank transfers, which staff send at the bank; oldest first, from the id `after` on."""
    query = _bank_refunds(select(Refund).where(Refund.id > after)).options(
        joinedload(Refund.attempt).joinedload(PaymentAttempt.order).joinedload(Order.person)
    )
    found: Sequence[Refund] = db.session.scalars(query.order_by(Refund.id).limit(limit)).all()
    return found


def before_bank_refund(public_id: str) -> int:
    """The id after which the queue of refunds at the bank begins with this one; raises NotFound."""
    row_id = db.session.scalar(select(Refund.id).filter_by(public_id=public_id))
    if row_id is None:
        raise NotFound
    return row_id - 1


def _unknown_events(query: Any) -> Any:
    """Events about nothing of ours that nobody has closed."""
    closed = exists().where(
        StaffAct.subject == "event:" + cast(StripeEvent.id, Text), StaffAct.kind == "event_resolved"
    )
    return query.where(StripeEvent.state == "unknown", ~closed)


def _list_unknown_events(*, after: int, limit: int) -> Sequence[StripeEvent]:
    query = _unknown_events(select(StripeEvent)).where(StripeEvent.id > after).order_by(StripeEvent.id)
    found: Sequence[StripeEvent] = db.session.scalars(query.limit(limit)).all()
    return found


# In the order of how soon somebody waits for them.
_LISTS: dict[str, Callable[..., Sequence[Any]]] = {
    "disputes": disputes.list_undecided,
    "transfers": offline.list_waiting,
    "write_offs": write_offs.list_waiting,
    "sponsor_payments": sponsors.list_waiting,
    "bank_refunds": list_bank_refunds,
    "outside_refunds": external_refunds.list_undecided,
    "fapiao": fapiao.list_waiting,
    **{name: partial(discrepancies.list_open, kind) for name, kind in KINDS.items()},
    "events": _list_unknown_events,
    "dead": jobs.dead_letters,
}


def retry_event(row_id: int, *, reason: str, actor_id: int, now: datetime) -> None:
    """Handle an unknown event once more: what it is about may be known by now. Locks the event."""
    with transaction():
        event = _locked_unknown(row_id)
        event.state, event.handled_at = "new", None
        acts.record("event_retried", f"event:{row_id}", reason=reason, actor_id=actor_id, now=now)
        jobs.enqueue(events.handle, key=f"event:{row_id}", row_id=row_id)


def resolve_event(row_id: int, *, reason: str, actor_id: int, now: datetime) -> None:
    """Close an unknown event with a note. Locks the event."""
    with transaction():
        event = _locked_unknown(row_id)
        details = {"event": event.event_id, "type": event.type}
        acts.record("event_resolved", f"event:{row_id}", reason=reason, actor_id=actor_id, now=now, details=details)


def _locked_unknown(row_id: int) -> StripeEvent:
    if db.session.get(StripeEvent, row_id) is None:
        raise NotFound
    event = locked(StripeEvent, row_id)
    if event.state != "unknown":
        raise Refused("not_waiting", lazy("This does not wait any more."))
    return event


def retry_job(job_id: int, *, reason: str, actor_id: int, now: datetime) -> None:
    """Put a dead letter back in its queue."""
    with transaction():
        if not jobs.retry_dead_letters(job_id):
            raise Refused("not_waiting", lazy("This does not wait any more."))
        acts.record("job_retried", f"job:{job_id}", reason=reason, actor_id=actor_id, now=now)


def resolve_job(job_id: int, *, reason: str, actor_id: int, now: datetime) -> None:
    """Give a dead letter up with a note."""
    with transaction():
        if not jobs.give_up_dead_letter(job_id):
            raise Refused("not_waiting", lazy("This does not wait any more."))
        acts.record("job_resolved", f"job:{job_id}", reason=reason, actor_id=actor_id, now=now)


# What can be tried again: a refund is asked for once more, a movement at Stripe is looked at again.
RETRIABLE = frozenset({"refund_failed", *stripe_matching.KINDS.values()})


def retry_discrepancy(public_id: str, *, reason: str, actor_id: int, now: datetime) -> bool:
    """Send a failed refund again, or look again at a movement that did not agree; whether that settled it."""
    with transaction():
        found = db.session.scalars(select(Discrepancy).filter_by(public_id=public_id)).one_or_none()
        if found is None:
            raise NotFound
        if found.kind not in RETRIABLE or found.resolved_at is not None:
            raise Refused("not_waiting", lazy("This does not wait any more."))
        if found.kind == "refund_failed":
            return _repeat_refund(found, reason=reason, actor_id=actor_id, now=now)
        acts.record("discrepancy_retried", f"discrepancy:{public_id}", reason=reason, actor_id=actor_id, now=now)
        row_id = db.session.scalar(select(StripeTransaction.id).filter_by(transaction_id=found.reference))
        return row_id is not None and stripe_matching.match(row_id, now=now)


def _repeat_refund(found: Discrepancy, *, reason: str, actor_id: int, now: datetime) -> bool:
    """Ask for the refund once more; the discrepancy is closed, and a new failure would open another."""
    refund = db.session.scalars(select(Refund).filter_by(public_id=found.reference)).one()
    made = refunds.repeat(refund, actor_id=actor_id, now=now)
    order_id = db.session.scalar(select(PaymentAttempt.order_id).filter_by(id=refund.attempt_id))
    acts.record(
        "refund_repeated",
        f"refund:{refund.public_id}",
        reason=reason,
        actor_id=actor_id,
        now=now,
        order_id=order_id,
        details={"refund": made.public_id},
    )
    discrepancies.resolve(found.public_id, note=reason, actor_id=actor_id, now=now)
    return True


def resolve_discrepancy(public_id: str, *, reason: str, actor_id: int, now: datetime) -> Discrepancy:
    """Close a discrepancy with a note, and keep the note as an act too.

    Refused for one behind which money stands: `unmatched.answer` closes it and posts the money away.
    """
    with transaction():
        if unmatched.holds_money(public_id):
            message = lazy("Say what this money is: until then it stands in the books as money without a fact.")
            raise Refused("say_what", message)
        found = discrepancies.resolve(public_id, note=reason, actor_id=actor_id, now=now)
        order_id = db.session.scalar(select(Order.id).filter_by(public_id=str(found.details.get("order", ""))))
        acts.record(
            "discrepancy_resolved",
            f"discrepancy:{public_id}",
            reason=reason,
            actor_id=actor_id,
            now=now,
            order_id=order_id,
            details={"kind": found.kind, "reference": found.reference},
        )
        return found
