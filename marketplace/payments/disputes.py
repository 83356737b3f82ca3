"""Where disputes are followed: re-read from Stripe, kept as rows, and put before staff. The place stays until they say.

A place they suspend waits for the bank: it is resumed when the dispute is won and ended when it is lost. So does one
whose run is cancelled meanwhile: when the bank has decided, it is settled as the others of that run were.

For the books each row is a fact: opened_at, closed_at, state (won or lost), amount and fee.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import or_, select
from sqlalchemy.orm import contains_eager, joinedload

from marketplace.enrolment import orders, places, returns, run_changes
from marketplace.enrolment.models import Enrolment, EnrolmentSource, Order, OrderLine
from marketplace.enrolment.refund_rules import DEBT_RETURNED, Part, Payer, Share
from marketplace.enrolment.run_change_models import RunChange
from marketplace.enrolment.run_change_rules import RunChangeKind
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.payments import acts, fapiao_gate, four_eyes, stripe_gateway
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.dispute_rules import DisputeState, PlaceDecision, next_state
from marketplace.payments.models import PaymentAttempt, Purpose
from marketplace.payments.stripe_gateway import GatewayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement

    from marketplace.payments.stripe_gateway import DisputeAnswer

log = structlog.get_logger("disputes")
MOST_SHOWN = 100
AT_ONCE = 200

# Which changes of a run go on by themselves when the bank has decided. Won, the money is here and everything is as if
# there had been no dispute. Lost, it went back: a place in a cancelled run ends all the same, but whether one in a
# merged run goes along is for staff to say.
SETTLED_BY: dict[DisputeState | None, Sequence[RunChangeKind]] = {
    DisputeState.WON: tuple(RunChangeKind),
    DisputeState.LOST: (RunChangeKind.CANCELLED,),
}


def sync(stripe_dispute_id: str, *, now: datetime) -> bool:
    """Re-read a dispute that an event spoke of and make our row agree; False if it is about no payment of ours."""
    try:
        answer = stripe_gateway.retrieve_dispute(stripe_dispute_id)
    except GatewayError as error:
        if error.is_permanent:
            return False
        raise
    return follow(answer, now=now) is not None


def follow(answer: DisputeAnswer, *, now: datetime) -> Dispute | None:
    """Make our books agree with a dispute as Stripe has it; None if it is not ours. Locks attempt and order."""
    with transaction():
        query = select(PaymentAttempt.id).filter_by(payment_intent_id=answer.payment_intent_id, state="paid")
        attempt_id = db.session.scalar(query) if answer.payment_intent_id else None
        if attempt_id is None:
            return None
        attempt = locked(PaymentAttempt, attempt_id)
        order = locked(Order, attempt.order_id)
        dispute = db.session.scalars(select(Dispute).filter_by(stripe_dispute_id=answer.id)).one_or_none()
        state = next_state(dispute.state if dispute else None, answer.status)
        has_bought = returns.has_bought(order.id, attempt.public_id)
        if dispute is None:
            dispute = add(_row(answer, attempt))
            if not has_bought:
                # It came too late, or paid a debt: there is nothing to decide about a place.
                dispute.place_decision, dispute.decided_at = PlaceDecision.KEEP, now
            orders.record(order, "dispute_opened", now=now, details={"dispute": dispute.public_id})
        dispute.fee_minor = max(dispute.fee_minor, answer.fee_minor)
        dispute.evidence_due_by = answer.evidence_due_by or dispute.evidence_due_by
        if state is not None:
            _move(dispute, state, attempt, order, now=now)
        if state in SETTLED_BY:
            # A place that this money never bought stays as it is, whatever the bank says.
            kinds = SETTLED_BY[state] if has_bought else tuple(RunChangeKind)
            run_changes.resume_disputed(order.id, kinds=kinds, now=now)
        return dispute


def _row(answer: DisputeAnswer, attempt: PaymentAttempt) -> Dispute:
    return Dispute(
        stripe_dispute_id=answer.id,
        attempt_id=attempt.id,
        state=DisputeState.OPEN,
        amount_minor=answer.amount.minor,
        currency=answer.amount.currency,
        reason=answer.reason,
        opened_at=answer.opened_at,
    )


def _move(dispute: Dispute, state: DisputeState, attempt: PaymentAttempt, order: Order, *, now: datetime) -> None:
    dispute.state = state
    if state is DisputeState.WON:
        dispute.closed_at = now
        orders.record(order, "dispute_won", now=now, details={"dispute": dispute.public_id})
        _follow_suspension(dispute, order.id, PlaceDecision.KEEP, now=now)
    elif state is DisputeState.LOST:
        dispute.closed_at = now
        # The bank has given the money back: it counts as returned, so that nobody returns it a second time.
        part = Part(Payer.LEARNER, attempt.public_id, order.id, attempt.amount_minor)
        share = Share(part, min(dispute.amount_minor, attempt.amount_minor))
        key = f"dispute:{dispute.public_id}"
        has_bought = returns.has_bought(order.id, attempt.public_id)
        reason = "dispute_lost" if has_bought else "never_sold"
        reason = DEBT_RETURNED if attempt.purpose == Purpose.DEBT else reason
        [fact] = returns.leave([share], currency=attempt.currency, reason=reason, key=key, now=now, source="dispute")
        fact.picked_up_at = now
        fapiao_gate.note_gone(order.id, Purpose(attempt.purpose), now=now)
        orders.record(order, "dispute_lost", now=now, details={"dispute": dispute.public_id})
        # A place that another payment bought is not lost with this one.
        _follow_suspension(dispute, order.id, PlaceDecision.END if has_bought else PlaceDecision.KEEP, now=now)
    log.info("dispute moved", state=state.value, order=order.public_id)


def _follow_suspension(dispute: Dispute, order_id: int, then: PlaceDecision, *, now: datetime) -> None:
    """A place suspended until the bank decides is resumed or ended by its word; any other waits for staff."""
    if dispute.place_decision == PlaceDecision.SUSPEND:
        dispute.place_decision = then
        _apply(dispute, order_id, actor_id=None, now=now)


def _apply(dispute: Dispute, order_id: int, *, actor_id: int | None, now: datetime) -> None:
    """Do to the place what the dispute's decision says; it is resumed only when no other dispute suspends it."""
    db.session.flush()
    if dispute.place_decision == PlaceDecision.END:
        places.end_of_order(order_id, "disputed", now=now, actor_id=actor_id)
    else:
        places.suspend_of_order(order_id, is_suspended=_is_suspended_by_any(order_id), now=now)


def _is_suspended_by_any(order_id: int) -> bool:
    """Whether a dispute about any order behind the same place suspends it."""
    place = places.find_of_order(order_id)
    beside = [line.order_id for line in places.lines_of(place.id)] if place else []
    query = (
        select(Dispute.id)
        .join(Dispute.attempt)
        .where(PaymentAttempt.order_id.in_([order_id, *beside]), Dispute.place_decision == PlaceDecision.SUSPEND)
    )
    return db.session.scalar(query.limit(1)) is not None


def decide(public_id: str, decision: PlaceDecision, *, reason: str, actor_id: int, now: datetime) -> Dispute:
    """Keep, suspend or end the place behind a disputed payment, with a reason. Locks the order and its run.

    Suspended, it follows the bank's word by itself: so that is refused once the bank has spoken. Raises Refused for
    one's own order and where a place that is over would be kept, Invalid without a reason.
    """
    with transaction():
        row_id = db.session.scalar(select(Dispute.id).filter_by(public_id=public_id))
        if row_id is None:
            raise NotFound
        attempt_id = db.session.scalar(select(Dispute.attempt_id).where(Dispute.id == row_id))
        order_id = db.session.get_one(PaymentAttempt, attempt_id).order_id
        order = locked(Order, order_id)
        dispute = locked(Dispute, row_id)
        four_eyes.check_not_own(order_id, actor_id=actor_id)
        if decision is not PlaceDecision.END and places.find_of_order(order_id) is None:
            raise places.PlaceEnded
        if decision is PlaceDecision.SUSPEND and dispute.closed_at is not None:
            raise Refused("dispute_closed", lazy("The bank has decided, so the place is either kept or ended."))
        dispute.place_decision, dispute.decided_at, dispute.decided_by_id = decision, now, actor_id
        details = {"dispute": public_id, "decision": decision.value}
        orders.record(order, "dispute_decided", now=now, actor_id=actor_id, details=details)
        acts.record(
            "dispute_decided",
            f"dispute:{public_id}",
            reason=reason,
            actor_id=actor_id,
            now=now,
            order_id=order_id,
            details=details,
        )
        _apply(dispute, order_id, actor_id=actor_id, now=now)
        if decision is PlaceDecision.END or (dispute.closed_at is not None and decision is PlaceDecision.KEEP):
            run_changes.resume_disputed(order_id, kinds=tuple(RunChangeKind), now=now)
        return dispute


def note_ended_places(*, now: datetime) -> int:
    """Close the question what becomes of a place that is over by now, whoever ended it; how many. Locks each order.

    Read a page at a time: between the transactions nothing else is kept.
    """
    count = last = 0
    while found := _ended_places(last):
        for dispute_id, order_id in found:
            last = dispute_id
            with transaction():
                locked(Order, order_id)
                dispute = locked(Dispute, dispute_id)
                if dispute.place_decision is None and places.find_of_order(order_id) is None:
                    dispute.place_decision, dispute.decided_at = PlaceDecision.END, now
                    count += 1
    return count


def _ended_places(after: int) -> list[tuple[int, int]]:
    """The next undecided disputes about places that are over, with their orders."""
    granted = (
        select(EnrolmentSource.id)
        .join(OrderLine, OrderLine.id == EnrolmentSource.order_line_id)
        .where(OrderLine.order_id == PaymentAttempt.order_id)
    )
    is_over = granted.exists() & ~granted.where(EnrolmentSource.revoked_at.is_(None)).exists()
    query = select(Dispute.id, PaymentAttempt.order_id).join(Dispute.attempt)
    query = query.where(Dispute.place_decision.is_(None), is_over, Dispute.id > after)
    found = db.session.execute(query.order_by(Dispute.id).limit(AT_ONCE))
    return [(dispute_id, order_id) for dispute_id, order_id in found]


@jobs.periodic(cron="*/10 * * * *", name="payments.note_ended_places")
def note_all_ended() -> None:
    """Every ten minutes: no decision is asked for about places that are over."""
    note_ended_places(now=clock.now())


def follow_the_bank(found: Iterable[Dispute]) -> set[int]:
    """The ids of those whose place is in a cancelled run: it ends by itself when the bank has decided."""
    query = select(Dispute.id).where(Dispute.id.in_([dispute.id for dispute in found]), _follows_the_bank())
    return set(db.session.scalars(query))


def _follows_the_bank() -> ColumnElement[bool]:
    in_cancelled_run = (
        select(PaymentAttempt.id)
        .join(OrderLine, OrderLine.order_id == PaymentAttempt.order_id)
        .join(EnrolmentSource, EnrolmentSource.order_line_id == OrderLine.id)
        .join(Enrolment, Enrolment.id == EnrolmentSource.enrolment_id)
        .join(RunChange, (RunChange.run_id == Enrolment.run_id) & (RunChange.kind == RunChangeKind.CANCELLED))
        .where(PaymentAttempt.id == Dispute.attempt_id, EnrolmentSource.revoked_at.is_(None))
    )
    return Dispute.closed_at.is_(None) & in_cancelled_run.exists()


def undecided(query: Any) -> Any:
    """Of a query of disputes, those whose place waits for a word of staff."""
    return query.where(Dispute.place_decision.is_(None), ~_follows_the_bank())


def list_undecided(*, order_id: int | None = None, after: int = 0, limit: int = MOST_SHOWN) -> Sequence[Dispute]:
    """Disputes whose place waits for staff, of one order or of all, oldest first, from the id `after` on."""
    query = undecided(select(Dispute).join(Dispute.attempt)).where(Dispute.id > after)
    if order_id is not None:
        query = query.where(PaymentAttempt.order_id == order_id)
    query = query.options(contains_eager(Dispute.attempt).joinedload(PaymentAttempt.order).joinedload(Order.person))
    found: Sequence[Dispute] = db.session.scalars(query.order_by(Dispute.id).limit(limit)).all()
    return found


def list_recent(limit: int = MOST_SHOWN) -> Sequence[Dispute]:
    """Open disputes and those whose place nobody has decided about, then the newest closed ones."""
    waiting = or_(Dispute.state.in_([DisputeState.INQUIRY, DisputeState.OPEN]), Dispute.place_decision.is_(None))
    query = select(Dispute).options(
        joinedload(Dispute.attempt).joinedload(PaymentAttempt.order).joinedload(Order.person)
    )
    return db.session.scalars(query.order_by(waiting.desc(), Dispute.id.desc()).limit(limit)).all()
