"""Where a place moves: to a later run of the course (deferral) or to another person (transfer).

The old place ends and the new one begins in one transaction. Locks: orders behind the place (by id) → runs (by id) →
the change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.orm import joinedload

from marketplace.catalog.models import CourseRun, RunState
from marketplace.enrolment import (
    change_rules,
    claims,
    counting,
    course_facts,
    eligibility,
    moves,
    offers,
    places,
    policies,
    quotes,
    refund_rules,
    returns,
    seats,
)
from marketplace.enrolment.cancellations import StatementChanged
from marketplace.enrolment.change_models import EnrolmentChange
from marketplace.enrolment.change_rules import ChangeState
from marketplace.enrolment.models import Enrolment, Order, OrderLine, OrderState
from marketplace.enrolment.places import Place
from marketplace.enrolment.timeline import record
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from flask_babel import LazyString
    from sqlalchemy.sql.elements import ColumnElement

    from marketplace.enrolment.claims import Others
    from marketplace.funding.facts import Offer


@dataclass(frozen=True)
class Move:
    """A run one could move to, and what it would cost: positive to pay, negative goes back.

    `kept` is what programmes pay of it, in minor units by line of the order; `obstacle` says why one cannot go there by
    oneself.
    """

    run: CourseRun
    price: Money
    difference: Money
    seats_left: int
    kept: Mapping[int, int]
    is_subsidy_over: bool = False
    obstacle: LazyString | None = None

    @property
    def subsidy(self) -> Money:
        """What programmes pay of it."""
        return Money(sum(self.kept.values()), self.price.currency)


def check_may_defer(place: Place, *, now: datetime) -> None:
    """Raise the Refused that says why this place cannot be moved to another run now."""
    places.check_stands(place)
    places.check_undisputed(place)
    if not place.lines:
        raise Refused("not_sold", lazy("This place was not bought, so there is nothing to cancel. Ask the provider."))
    change_rules.check_may_defer(
        policies.terms_of(place.lines[0].policy_id),
        starts_at=place.run.starts_at or now,
        zone=place.run.zone,
        now=now,
    )


def _obstacle(others: Others, offer: Offer, *, is_subsidy_over: bool) -> LazyString | None:
    """Why a person cannot move there by themselves: someone else pays for them, and not for that run."""
    if is_subsidy_over and others.have_ended:
        return lazy("The subsidy of this place has ended, so it cannot go along. Cancel, then enrol.")
    if is_subsidy_over:
        return lazy("What a funding programme pays for you cannot go along to this date. Cancel, then enrol.")
    if not others.are_for(offer):
        return lazy("Your code is not for this date. Cancel, then enrol.")
    return None


def list_moves(place: Place, *, now: datetime) -> list[Move]:
    """The other runs of the course that can be booked now, soonest first, with the difference to pay."""
    return _list_moves(place, CourseRun.enrol_opens_at <= now, CourseRun.enrol_closes_at > now, now=now)


def list_moves_by_provider(place: Place, *, now: datetime) -> list[Move]:
    """The other runs of the course that have not begun, whether they can be booked or not; never a charge."""
    return [_uncharged(step) for step in _list_moves(place, CourseRun.starts_at > now, now=now)]


def _uncharged(step: Move) -> Move:
    """As a provider moves it: a cheaper run pays back, a dearer one costs nothing more, nothing stands in the way."""
    return replace(step, difference=Money(min(0, step.difference.minor), step.price.currency), obstacle=None)


def _list_moves(place: Place, *wanted: ColumnElement[bool], now: datetime) -> list[Move]:
    query = (
        select(CourseRun)
        .where(
            CourseRun.course_id == place.run.course_id,
            CourseRun.id != place.run.id,
            CourseRun.state == RunState.SCHEDULED,
            CourseRun.currency == returns.currency_of(place.orders),
            *wanted,
        )
        .options(joinedload(CourseRun.course))
        .order_by(CourseRun.starts_at)
    )
    runs = db.session.scalars(query.limit(20)).all()
    expired = counting.expired_holds([run.id for run in runs], now=now)
    paid, others = _paid(place), claims.others_of(place.lines)
    offers_of = course_facts.seats_in(place.run.course_id, runs) if others.is_anybody else {}
    return [
        _step(place, run, paid, others, offers_of.get(run.id), expired=expired.get(run.id, 0), now=now) for run in runs
    ]


def _paid(place: Place) -> int:
    """What the buyer paid for a place and has not got back, in minor units."""
    return refund_rules.left_of(refund_rules.of_buyer(returns.parts_of(place.order_ids)))


def _move_to(place: Place, run: CourseRun, *, now: datetime) -> Move:
    others = claims.others_of(place.lines)
    return _step(place, run, _paid(place), others, course_facts.seat_of(run.id) if others.is_anybody else None, now=now)


def _step(
    place: Place, run: CourseRun, paid: int, others: Others, offer: Offer | None, *, now: datetime, expired: int = 0
) -> Move:
    price = quotes.quote(quotes.sale_of(run, place.enrolment.person_id), now=now).price
    kept = others.pay(offer, price) if offer else {}
    is_over = any(line.subsidy_minor and line.id not in kept for line in place.lines)
    return Move(
        run,
        price,
        Money(change_rules.difference(paid + sum(kept.values()), price.minor), price.currency),
        run.seats_left(expired),
        kept,
        is_subsidy_over=is_over,
        obstacle=_obstacle(others, offer, is_subsidy_over=is_over) if offer else None,
    )


def defer(
    enrolment_id: int, to_run_id: int, *, shown: Money, actor_id: int, locale: str, now: datetime
) -> EnrolmentChange:
    """Move a place to another run of the course. Locks the orders behind it and both runs.

    Cheaper or the same: moved at once, the difference goes back. Dearer: a seat is held and an order for the difference
    made; the old place stands until that is paid. A subsidy goes along, as much of it as its rule pays there. `shown`
    is the difference that the page told. Raises Refused: too late, full, enrolled there already, paid by others who do
    not pay there, StatementChanged.
    """
    with transaction():
        place = places.lock(enrolment_id, also_runs=[to_run_id])
        target = db.session.get_one(CourseRun, to_run_id)
        check_may_defer(place, now=now)
        _check_target(place, target, now=now)
        offers.settle(target, now=now)
        step = _move_to(place, target, now=now)
        if step.obstacle is not None:
            raise Refused("paid_by_others", step.obstacle)
        if step.difference != shown:
            raise StatementChanged
        close_over(enrolment_id, now=now)
        change = add(_deferral(place, step, actor_id=actor_id, now=now))
        if step.difference.minor > 0:
            return _await_payment(change, place, step, locale=locale, now=now)
        return _defer_now(change, place, step, now=now)


def _check_target(place: Place, target: CourseRun, *, now: datetime) -> None:
    _check_other_date(place, target)
    eligibility.check_may_enrol(target, place.enrolment.person_id, now=now)
    _check_not_in(target, place.enrolment.person_id)


def _check_other_date(place: Place, target: CourseRun) -> None:
    if target.course_id != place.run.course_id or target.id == place.run.id:
        raise Refused("other_course", lazy("A place can be moved to another date of the same course only."))
    if target.currency != returns.currency_of(place.orders):
        raise Refused("other_currency", lazy("The other date is sold in another currency. Cancel, then enrol."))


def _check_not_in(target: CourseRun, person_id: int) -> None:
    if counting.find_enrolment(target.id, person_id) is not None:
        raise Refused("already_enrolled", lazy("You are already enrolled in this run."))


def _deferral(place: Place, step: Move, *, actor_id: int | None, now: datetime) -> EnrolmentChange:
    return EnrolmentChange(
        kind="deferral",
        state=ChangeState.AWAITING_PAYMENT,
        enrolment_id=place.enrolment.id,
        to_run_id=step.run.id,
        difference_minor=step.difference.minor,
        currency=step.difference.currency,
        requested_by_id=actor_id,
        requested_at=now,
    )


def _await_payment(change: EnrolmentChange, place: Place, step: Move, *, locale: str, now: datetime) -> EnrolmentChange:
    """Hold the seat and ask for the difference with an order like any other; `moves` finishes when it is paid."""
    hold = seats.hold_seat_of(step.run, place.enrolment.person_id, now=now)
    first, due = place.lines[0], step.difference.minor
    order = add(
        Order(
            person_id=place.enrolment.person_id,
            state=OrderState.AWAITING_PAYMENT,
            hold_id=hold.id,
            locale=locale,
            currency=step.difference.currency,
            total_minor=due,
            placed_at=now,
            expires_at=hold.until,
            request_key=f"change:{change.public_id}",
        )
    )
    add(
        OrderLine(
            order_id=order.id,
            run_id=step.run.id,
            price_minor=due,
            due_minor=due,
            policy_id=first.policy_id,
            terms_version=first.terms_version,
            title_zh=first.title_zh,
            title_en=first.title_en,
            price_rule={
                "rule": "deferral_difference",
                "price_minor": step.price.minor,
                "of": place.orders[0].public_id,
            },
        )
    )
    record(order, "placed", now=now, actor_id=change.requested_by_id)
    change.order_id = order.id
    db.session.flush()
    return change


def _defer_now(change: EnrolmentChange, place: Place, step: Move, *, now: datetime) -> EnrolmentChange:
    person_id = place.enrolment.person_id
    if counting.find_live_hold(step.run.id, person_id) is not None:
        raise Refused("held_already", lazy("You have an order for that date. Finish or cancel it first."))
    pool_id = counting.take_seat(step.run, person_id)
    new = add(Enrolment(run_id=step.run.id, person_id=person_id, enrolled_at=now, pool_id=pool_id))
    offers.end_wait(step.run, person_id, now=now)
    # Only now: seats are locked before codes, and these before funding programmes.
    if claims.goes_along(place.lines, step.run.id, step.price, is_locked=True) != step.kept:
        raise StatementChanged
    parts = returns.parts_of(place.order_ids)
    back = refund_rules.split_refund(refund_rules.of_buyer(parts), max(0, -step.difference.minor))
    off = refund_rules.off_moved(parts, step.kept)
    returns.leave(
        [*back, *off],
        currency=step.difference.currency,
        reason="deferral_difference",
        key=f"change:{change.public_id}",
        now=now,
    )
    carried = claims.follow(step.kept, step.run.id, now=now)
    moves.move(place, new, "deferred", actor_id=change.requested_by_id, now=now, carried=carried)
    moves.finish(change, new, now=now, is_subsidy_over=any(not share.lowers for share in off))
    return change


def move_by_provider(place: Place, target: CourseRun, *, actor_id: int | None, now: datetime) -> EnrolmentChange:
    """Move a locked place because its run is off or changed: a cheaper run pays back, a dearer one costs nothing more.

    Call inside a transaction with both runs locked. A subsidy goes along where its programme pays for the other run
    too, as much of it as it pays there; else it is let go, and nobody is asked for it. Locks codes, then programmes.
    Raises Refused: another course or currency, cancelled, begun, full, enrolled there already.
    """
    _check_other_date(place, target)
    if target.state != RunState.SCHEDULED:
        raise Refused("run_cancelled", lazy("This run has been cancelled."))
    if target.starts_at is None or target.starts_at <= now:
        raise Refused("other_started", lazy("The other date has begun already."))
    _check_not_in(target, place.enrolment.person_id)
    offers.settle(target, now=now)
    step = _uncharged(_move_to(place, target, now=now))
    close_over(place.enrolment.id, now=now)
    return _defer_now(add(_deferral(place, step, actor_id=actor_id, now=now)), place, step, now=now)


def close_over(enrolment_id: int, *, now: datetime) -> None:
    """End the changes of a locked place whose time is over, so that another may be asked for."""
    over = select(Order.id).where(
        Order.state.in_([OrderState.CANCELLED, OrderState.EXPIRED]) | (Order.expires_at <= now)
    )
    stale = update(EnrolmentChange).where(
        EnrolmentChange.enrolment_id == enrolment_id,
        ((EnrolmentChange.state == ChangeState.AWAITING_PAYMENT) & EnrolmentChange.order_id.in_(over))
        | ((EnrolmentChange.state == ChangeState.OFFERED) & (EnrolmentChange.expires_at <= now)),
    )
    db.session.execute(stale.values(state=ChangeState.EXPIRED, ended_at=now))


def find_open(enrolment_id: int, *, now: datetime) -> EnrolmentChange | None:
    """The change of a place that is under way at `now`, if there is one."""
    query = (
        select(EnrolmentChange)
        .where(EnrolmentChange.enrolment_id == enrolment_id, EnrolmentChange.state.in_(change_rules.OPEN))
        .options(joinedload(EnrolmentChange.order))
    )
    found = db.session.scalars(query).one_or_none()
    if found is None or (found.expires_at is not None and found.expires_at <= now):
        return None
    order = found.order
    is_over = order is not None and (not order.is_open or order.expires_at is None or order.expires_at <= now)
    return None if is_over else found


def list_of(person_id: int) -> Sequence[EnrolmentChange]:
    """Every change a person has asked for, oldest first."""
    return db.session.scalars(
        select(EnrolmentChange).filter_by(requested_by_id=person_id).order_by(EnrolmentChange.id)
    ).all()
