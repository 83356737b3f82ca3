"""What orders know of changes of a place: a paid difference moves it, in the transaction that confirms the order.

Locks: the order (by its caller) → both runs by id → the change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from marketplace.accounts import letters
from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import claims, places, refund_rules, returns
from marketplace.enrolment.change_models import EnrolmentChange
from marketplace.enrolment.change_rules import ChangeState
from marketplace.enrolment.models import Enrolment, EnrolmentSource
from marketplace.enrolment.places import Place
from marketplace.foundation.database import add, db, locked
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.enrolment.models import Order, OrderLine


def find_change(order_id: int) -> EnrolmentChange | None:
    """The deferral that this order pays the difference of, if it does."""
    return db.session.scalars(select(EnrolmentChange).filter_by(order_id=order_id)).one_or_none()


def orders_behind(order_id: int) -> list[int]:
    """The orders that paid for the place which the difference in this order moves, by id; none for any other order."""
    change = find_change(order_id)
    return [] if change is None else sorted({line.order_id for line in places.lines_of(change.enrolment_id)})


def lock_run(order: Order) -> CourseRun:
    """Lock the run of an order, together with the run that a deferral leaves, by id; returns the order's."""
    run_id, change = order.lines[0].run_id, find_change(order.id)
    wanted = {run_id} if change is None else {run_id, change.enrolment.run_id}
    return {row_id: locked(CourseRun, row_id) for row_id in sorted(wanted)}[run_id]


def stands(order: Order) -> bool:
    """Whether the money of an order can still do what it was for; runs are locked.

    A deferral needs its old place, and all that was paid for it: together they are the price of the new one. What a
    programme promised for the old one counts as far as it goes along.
    """
    change = find_change(order.id)
    if change is None:
        return True
    enrolment = locked(Enrolment, change.enrolment_id)
    if change.state != ChangeState.AWAITING_PAYMENT or enrolment.ended_at is not None:
        return False
    lines = places.lines_of(enrolment.id)
    left = refund_rules.left_of(refund_rules.of_buyer(returns.parts_of({line.order_id for line in lines})))
    price = _price(order)
    left += sum(claims.goes_along(lines, order.lines[0].run_id, price).values())
    return left + order.total_minor >= price.minor


def _price(order: Order) -> Money:
    """Of the date that an order pays the difference to."""
    return Money(int(order.lines[0].price_rule["price_minor"]), order.currency)


def complete(order: Order, new: Enrolment, *, now: datetime) -> None:
    """The difference is paid and the new place made: the old one ends in the same transaction."""
    change = find_change(order.id)
    if change is None:
        return
    old = change.enrolment
    lines = places.lines_of(old.id)
    place = Place(old, old.run, lines, [line.order for line in lines])
    kept = claims.goes_along(lines, new.run_id, _price(order), is_locked=True)
    off = refund_rules.off_moved(returns.parts_of(place.order_ids), kept)
    key = f"change:{change.public_id}"
    returns.leave(off, currency=order.currency, reason="deferral_difference", key=key, now=now)
    carried = claims.follow(kept, new.run_id, now=now)
    move(place, new, "deferred", actor_id=order.person_id, now=now, carried=carried)
    finish(change, new, now=now, is_subsidy_over=any(not share.lowers for share in off))


def move(
    place: Place,
    new: Enrolment,
    reason: str,
    *,
    actor_id: int | None,
    now: datetime,
    is_seat_freed: bool = True,
    carried: frozenset[int] = frozenset(),
) -> None:
    """End a locked place and let the lines behind it grant the new one, so that no moment is without a place.

    A suspended place stays suspended wherever it goes. The subsidies of `carried` lines go along.
    """
    new.suspended_at = place.enrolment.suspended_at
    places.end(place, reason, now=now, actor_id=actor_id, is_seat_freed=is_seat_freed, carried=carried)
    for line in place.lines:
        _grant(new, line, now=now)


def _grant(new: Enrolment, line: OrderLine, *, now: datetime) -> None:
    add(EnrolmentSource(enrolment_id=new.id, order_line_id=line.id, granted_at=now))


def finish(change: EnrolmentChange, new: Enrolment, *, now: datetime, is_subsidy_over: bool = False) -> None:
    """The change is done; whoever takes part now is told, also when a subsidy has ended with the old place."""
    change.state, change.ended_at, change.new_enrolment_id = ChangeState.DONE, now, new.id
    db.session.flush()
    person = db.session.get_one(Person, new.person_id)
    message = "place_deferred" if change.kind == "deferral" else "place_taken_over"
    letters.write(
        person,
        f"enrolment/{message}",
        key=f"change:{change.public_id}",
        change=change,
        run=db.session.get_one(CourseRun, new.run_id),
        is_subsidy_over=is_subsidy_over,
    )
