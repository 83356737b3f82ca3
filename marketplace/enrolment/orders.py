"""Where orders are placed, cancelled, expired and confirmed. Locks go order → run → hold, as in seats.

A verb is the whole use case in one transaction. What money does to an order is decided by rules.settle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import and_, or_, select

from marketplace.accounts import letters
from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import (
    claims,
    counting,
    moves,
    offers,
    placing,
    rules,
    seats,
    subsidising,
    till,
    waivers,
)
from marketplace.enrolment.claims import ClaimGone
from marketplace.enrolment.models import (
    Enrolment,
    EnrolmentSource,
    HoldEnd,
    Order,
    OrderEvent,
    OrderLine,
    OrderState,
    RefundDue,
    SeatHold,
)
from marketplace.enrolment.placing import Wanted
from marketplace.enrolment.quotes import NOTHING
from marketplace.enrolment.quotes import PriceChanged as PriceChanged
from marketplace.enrolment.refund_rules import may_need_waiver
from marketplace.enrolment.rules import Settlement
from marketplace.enrolment.timeline import record as record
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, savepoint, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.enrolment.quotes import Asked
    from marketplace.foundation.money import Money

log = structlog.get_logger("orders")

SWEEP_BATCH = 200


def place(
    run_id: int,
    person_id: int,
    *,
    shown_price: Money,
    request_key: str,
    locale: str,
    now: datetime,
    asked: Asked = NOTHING,
) -> str:
    """Hold a seat and place the order for it; one that owes nothing is confirmed at once. Returns its public id.

    Read the facts → decide by pure rules → write if they are still the same (`till`). What cannot be certain without it
    is decided under the run's lock: lock → read → decide → write → claim. The same `request_key` (drawn
    when the form was shown) gives back the order it made, and so does an open order of the person for the run. Raises
    Refused: full, window, own course, enrolled, PriceChanged, and what claims say.
    """
    wanted = Wanted(run_id, person_id, request_key[: placing.LONGEST_REQUEST_KEY], locale)
    with subsidising.refusals_kept(now=now):
        placed = till.place(wanted, lambda seen: _plain_order(wanted, seen, asked, shown_price, now=now), now=now)
        return placed or _place_under_lock(wanted, asked, shown_price, now=now)


def _plain_order(
    wanted: Wanted, seen: placing.Seen, asked: Asked, shown_price: Money, *, now: datetime
) -> dict[str, Any] | None:
    """What to write for an order of a public seat that is to be paid; None if it has to be placed under the lock."""
    # Price rules, and terms that ask for a waiver, can change without a mark of it: whoever changes them locks the run.
    needs_lock = seen.run.has_price_rules or may_need_waiver(starts_at=seen.run.starts_at, now=now)
    if not seen.is_plain or needs_lock:
        return None
    quoted, _has_waived = placing.decide(wanted, seen, asked, shown_price, now=now)
    rules.check_seat(is_enrolled=seen.facts.is_enrolled, is_held=False, has_seat=seen.run.seats_left > 0)
    payers = claims.prepared(quoted, asked, locale=wanted.locale, now=now)
    if quoted.due.is_zero or payers is None:
        return None
    return placing.values_of(wanted, seen.run, quoted, until=now + rules.HOLD_FOR, now=now) | payers


def _place_under_lock(wanted: Wanted, asked: Asked, shown_price: Money, *, now: datetime) -> str:
    """Any order, with the run locked from the facts to the commit."""
    with transaction():
        seen = placing.lock_and_look(wanted, now=now)
        if not seen.is_settled:
            # Seats that may have become free go to those who wait before anyone asks.
            offers.settle(locked(CourseRun, wanted.run_id), now=now)
            seen = placing.lock_and_look(wanted, now=now)
        run, facts, _mark = seen
        if facts.order:
            return facts.order
        quoted, has_waived = placing.decide(wanted, seen, asked, shown_price, now=now)
        pool_id = placing.find_pool(wanted, run, facts, asked, quoted)
        has_seat = pool_id is not None or run.seats_left > 0
        rules.check_seat(is_enrolled=facts.is_enrolled, is_held=facts.hold_id is not None, has_seat=has_seat)
        placed = placing.write_order(wanted, run, facts, quoted, pool_id=pool_id, now=now)
        if has_waived:
            waivers.keep(locked(Order, placed.order.id), now=now)
        if facts.entry_id is not None:
            offers.accept(facts.entry_id, now=now)
        if quoted.due != quoted.price:
            claims.claim(placed.sold, quoted, asked, now=now)
        if quoted.due.is_zero:
            _confirm(placed.order, locked(CourseRun, wanted.run_id), locked(SeatHold, placed.hold_id), now=now)
        return placed.order.public_id


def cancel_order(order_id: int, *, actor_id: int | None, now: datetime) -> Order:
    """Cancel an order that still waits for money and free its seat. Cancelling twice changes nothing.

    Locks order, run and hold. Money that arrives later is refunded by confirm_payment. Raises Refused for a paid order
    and for one whose payment is on its way.
    """
    with transaction():
        order = locked(Order, order_id)
        if order.state in {OrderState.CANCELLED, OrderState.EXPIRED}:
            return order
        if order.state == OrderState.PAYMENT_PENDING:
            raise Refused(
                "payment_on_its_way", lazy("Your payment is on its way, so this order cannot be cancelled now.")
            )
        if order.state == OrderState.CONFIRMED:
            raise Refused("order_confirmed", lazy("This order is confirmed and cannot be cancelled here."))
        _end_unpaid(order, OrderState.CANCELLED, now=now, actor_id=actor_id)
        return order


def extend_order(order_id: int, *, now: datetime) -> Order:
    """Give the person EXTEND_BY more to pay, once. Locks order, run and hold; raises Refused."""
    with transaction():
        order = locked(Order, order_id)
        if order.state != OrderState.AWAITING_PAYMENT or order.hold_id is None:
            raise Refused("order_not_open", lazy("This order no longer waits for payment."))
        order.expires_at = seats.extend_hold(order.hold_id, now=now).until
        record(order, "extended", now=now, actor_id=order.person_id)
        return order


def expire_orders(*, now: datetime) -> int:
    """End the orders whose time to pay is over, each in a transaction of its own; returns how many."""
    query = select(Order.id).where(
        Order.state.in_([OrderState.AWAITING_PAYMENT, OrderState.PAYMENT_PENDING]), Order.expires_at <= now
    )
    ended = 0
    for order_id in db.session.scalars(query.order_by(Order.expires_at).limit(SWEEP_BATCH)).all():
        with transaction():
            order = locked(Order, order_id)
            if order.is_open and order.expires_at is not None and order.expires_at <= now:
                _end_unpaid(order, OrderState.EXPIRED, now=now, actor_id=None)
                ended += 1
    return ended


@jobs.periodic(cron="* * * * *", name="enrolment.expire_orders")
def expire() -> None:
    """Every minute: end the orders nobody paid in time, all of them: codes and budgets wait for those of a rush."""
    ended = 0
    while found := expire_orders(now=clock.now()):
        ended += found
    if ended:
        log.info("unpaid orders expired", orders=ended)


def payment_pending(order_id: int, *, now: datetime) -> Order:
    """Note that the money is on its way by a delayed method: the seat is kept for rules.PENDING_FOR.

    Locks order, run and hold. An order that is not waiting, or whose seat is gone, stays as it is.
    """
    with transaction():
        order = locked(Order, order_id)
        if order.state != OrderState.AWAITING_PAYMENT:
            return order
        hold = _locked_hold(order)
        if hold is None or hold.ended_at is not None:
            return order
        hold.until = order.expires_at = now + rules.PENDING_FOR
        order.state = OrderState.PAYMENT_PENDING
        record(order, "payment_pending", now=now)
        return order


def payment_failed(order_id: int, *, now: datetime) -> Order:
    """Note that a delayed payment failed: the person has HOLD_FOR to pay in another way. Locks order, run, hold."""
    with transaction():
        order = locked(Order, order_id)
        if order.state != OrderState.PAYMENT_PENDING:
            return order
        hold = _locked_hold(order)
        order.state = OrderState.AWAITING_PAYMENT
        order.expires_at = now + rules.HOLD_FOR
        if hold is not None and hold.ended_at is None:
            hold.until = order.expires_at
        record(order, "payment_failed", now=now)
        return order


def confirm_payment(order_id: int, *, attempt_public_id: str, amount: Money, now: datetime) -> Settlement:
    """Settle money that has arrived: enrol the person, or leave a RefundDue for the payments room.

    Locks order, run and hold. Called again for the same attempt it changes nothing; another payment for a
    confirmed order is refunded. The caller has the attempt locked, so that one payment is settled once.
    """
    with transaction():
        order, rivals = _locked_with_rivals(order_id)
        run = moves.lock_run(order)
        # Not passed on before this payment is settled: it may be for the very seat that has just expired.
        counting.release_expired_of(run, now=now)
        hold = _locked_hold(order)
        is_enrolled = counting.find_enrolment(run.id, order.person_id) is not None
        can_seat = run.state == "scheduled" and moves.stands(order)
        verdict = rules.settle(
            order_state=order.state,
            due=order.total,
            paid=amount,
            is_held=can_seat and hold is not None and hold.ended_at is None,
            has_seat=can_seat and _has_seat(order, run, hold),
            is_enrolled_otherwise=is_enrolled,
        )
        details = {"attempt": attempt_public_id, "verdict": verdict}
        if verdict is Settlement.ALREADY_SETTLED:
            if not _is_paid_by(order, attempt_public_id):
                _leave_refund(order, attempt_public_id, amount, reason="paid_twice", now=now)
        elif verdict is Settlement.REFUND_DUE:
            reason = "paid_twice" if is_enrolled else "seat_gone"
            _leave_refund(order, attempt_public_id, amount, reason=reason, now=now)
        elif (taken := _take_up(order, run, hold, rivals, verdict, now=now)) is None:
            _leave_refund(order, attempt_public_id, amount, reason="claim_gone", now=now)
            verdict = Settlement.REFUND_DUE
        else:
            _confirm(order, run, taken, now=now, details=details)
            offers.end_wait(run, order.person_id, now=now)
        offers.pass_on(run, now=now)
        return verdict


def _locked_with_rivals(order_id: int) -> tuple[Order, list[Order]]:
    """The order, and the person's other open orders for the same run that hold a seat; all locked, by id.

    With the difference for another date, the orders behind the old place are locked too: what was paid for them counts.
    """
    mine = db.session.get(Order, order_id)
    if mine is None:
        raise NotFound
    same_run = and_(Order.person_id == mine.person_id, OrderLine.run_id == mine.lines[0].run_id)
    behind = moves.orders_behind(order_id)
    query = (
        select(Order)
        .join(OrderLine)
        .where(or_(same_run, Order.id.in_(behind)) if behind else same_run)
        .order_by(Order.id)
        .with_for_update(key_share=True, of=Order)
        .execution_options(populate_existing=True)
    )
    orders = db.session.scalars(query).all()
    others = [other for other in orders if other.id not in {order_id, *behind}]
    return mine, [other for other in others if other.is_open and other.hold and not other.hold.ended_at]


def _has_seat(order: Order, run: CourseRun, hold: SeatHold | None) -> bool:
    """Whether late money finds a seat: one held for the person by a newer order or an offer, or a free one.

    A code that opened a pool to the order opens it again.
    """
    opened = hold.pool_id if hold else None
    is_held = counting.find_live_hold(run.id, order.person_id) is not None
    return is_held or counting.has_seat_for(run, order.person_id, opened=opened)


def _take_up(
    order: Order,
    run: CourseRun,
    hold: SeatHold | None,
    rivals: list[Order],
    verdict: Settlement,
    *,
    now: datetime,
) -> SeatHold | None:
    """The seat the money pays for, with what others pay taken again if the order had let it go; None if that is gone.

    A newer order of the same person gives way first: the code or the budget it holds may be the very one that is
    needed. On None nothing has changed, and the newer order stands.
    """
    try:
        with savepoint():
            if verdict is Settlement.REHOLD_AND_CONFIRM or hold is None:
                claims.lock([order, *rivals])
                hold = _take_again(order, run, rivals, now=now)
            if order.state == OrderState.EXPIRED:
                claims.claim_again(order, now=now)
    except ClaimGone:
        return None
    return hold


def _take_again(order: Order, run: CourseRun, rivals: list[Order], *, now: datetime) -> SeatHold:
    """Hold a seat anew for late money; what a newer order or an offer holds for the same person is used for it."""
    before = order.hold.pool_id if order.hold else None
    hold = seats.hold_seat_of(run, order.person_id, now=now, opened=before)
    for rival in rivals:
        if rival.hold_id == hold.id:
            rival.state = OrderState.CANCELLED
            rival.ended_at = now
            _give_back(rival, "superseded", now=now)
            record(rival, "superseded", now=now, details={"by": order.public_id})
    order.hold_id = hold.id
    return hold


def _confirm(
    order: Order, run: CourseRun, hold: SeatHold, *, now: datetime, details: dict[str, Any] | None = None
) -> None:
    """Turn a hold into an enrolment; the seat stays counted, now for the enrolment."""
    counting.end_hold(hold, HoldEnd.TAKEN, now=now)
    enrolment = add(Enrolment(run_id=run.id, person_id=order.person_id, enrolled_at=now, pool_id=hold.pool_id))
    add(EnrolmentSource(enrolment_id=enrolment.id, order_line_id=order.lines[0].id, granted_at=now))
    moves.complete(order, enrolment, now=now)
    order.state = OrderState.CONFIRMED
    order.confirmed_at = now
    order.ended_at = None
    record(order, "confirmed", now=now, details=details)
    person = db.session.get_one(Person, order.person_id)
    letters.write(person, "enrolment/confirmed", key=f"order:{order.public_id}", order=order, run=run)


def _leave_refund(order: Order, attempt_public_id: str, amount: Money, *, reason: str, now: datetime) -> None:
    """Leave the fact that money must go back, once per payment; the payments room picks it up after the commit."""
    known = select(RefundDue.id).filter_by(attempt_public_id=attempt_public_id)
    if db.session.scalars(known).first() is not None:
        return
    add(
        RefundDue(
            key=f"{attempt_public_id}:{reason}",
            order_id=order.id,
            attempt_public_id=attempt_public_id,
            amount_minor=amount.minor,
            currency=amount.currency,
            reason=reason,
            recorded_at=now,
        )
    )
    if order.is_open:
        _end_unpaid(order, OrderState.CANCELLED, now=now, actor_id=None)
    record(order, "refund_due", now=now, details={"attempt": attempt_public_id, "reason": reason})


def _end_unpaid(order: Order, state: OrderState, *, now: datetime, actor_id: int | None) -> None:
    hold = _locked_hold(order)
    if hold is not None and hold.ended_at is None:
        run = locked(CourseRun, hold.run_id)
        counting.end_hold(hold, HoldEnd.EXPIRED if state is OrderState.EXPIRED else HoldEnd.RELEASED, now=now)
        counting.give_back_seat(run, hold.pool_id)
        offers.pass_on(run, now=now)
    order.state = state
    order.ended_at = now
    _give_back(order, state.value, now=now)
    record(order, state.value, now=now, actor_id=actor_id)


def _give_back(order: Order, reason: str, *, now: datetime) -> None:
    for line in order.lines:
        claims.give_back(line.id, reason, now=now)


def _locked_hold(order: Order) -> SeatHold | None:
    """The order's hold, locked after its run."""
    if order.hold_id is None:
        return None
    run_id = db.session.scalar(select(SeatHold.run_id).where(SeatHold.id == order.hold_id))
    if run_id is None:
        raise NotFound
    locked(CourseRun, run_id)
    return locked(SeatHold, order.hold_id)


def _is_paid_by(order: Order, attempt_public_id: str) -> bool:
    """Whether it was this payment that confirmed the order."""
    query = select(OrderEvent.details).filter_by(order_id=order.id, kind="confirmed")
    return any(details.get("attempt") == attempt_public_id for details in db.session.scalars(query))
