"""A place in a run and what it rests on: the set of orders that grant it. Locks go orders (by id) → runs (by id).

An enrolment and its sources are changed under its run's lock alone, and read again after taking it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.catalog.models import Course, CourseRun
from marketplace.enrolment import claims, counting, offers
from marketplace.enrolment.models import Enrolment, EnrolmentSource, Order, OrderEvent, OrderLine, OrderState
from marketplace.enrolment.timeline import record
from marketplace.foundation.database import db, locked, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

# The code of what is refused while a bank decides.
DISPUTED = "disputed"


@dataclass(frozen=True)
class Place:
    """An active enrolment, its run, and the lines and orders behind it, oldest first; all locked by `lock`."""

    enrolment: Enrolment
    run: CourseRun
    lines: list[OrderLine]
    orders: list[Order]

    @property
    def order_ids(self) -> list[int]:
        """The orders that grant it."""
        return [order.id for order in self.orders]


class PlaceEnded(Refused):
    """The person is not in the run any more."""

    def __init__(self) -> None:
        """Say it as the page does."""
        super().__init__("place_ended", lazy("This place has ended already."))


def get(public_id: str) -> Enrolment:
    """An enrolment with its run and course, active or not; raises NotFound. Whose it is, the door checks."""
    query = (
        select(Enrolment)
        .filter_by(public_id=public_id)
        .options(joinedload(Enrolment.run).joinedload(CourseRun.course).selectinload(Course.providers))
    )
    found = db.session.scalars(query).one_or_none()
    if found is None:
        raise NotFound
    return found


def lines_of(enrolment_id: int) -> list[OrderLine]:
    """The lines an enrolment rests on now, oldest first."""
    query = (
        select(OrderLine)
        .join(EnrolmentSource, EnrolmentSource.order_line_id == OrderLine.id)
        .where(EnrolmentSource.enrolment_id == enrolment_id, EnrolmentSource.revoked_at.is_(None))
        .order_by(OrderLine.id)
    )
    return list(db.session.scalars(query))


def look(enrolment: Enrolment) -> Place:
    """The place without a lock, for a page that shows what would happen."""
    lines = lines_of(enrolment.id)
    return Place(enrolment, enrolment.run, lines, [line.order for line in lines])


def lock(enrolment_id: int, *, also_runs: Iterable[int] = ()) -> Place:
    """Lock the orders behind a place, then its run and `also_runs`, each by id; raises PlaceEnded.

    Which orders these are is read before the locks and again after them: a place that has changed in between is refused
    as ended, and whoever asked looks at it anew.
    """
    known = sorted({line.order_id for line in lines_of(enrolment_id)})
    orders = [locked(Order, order_id) for order_id in known]
    run_id = db.session.scalar(select(Enrolment.run_id).where(Enrolment.id == enrolment_id))
    if run_id is None:
        raise NotFound
    runs = {row_id: locked(CourseRun, row_id) for row_id in sorted({run_id, *also_runs})}
    enrolment = locked(Enrolment, enrolment_id)
    lines = lines_of(enrolment_id)
    if enrolment.ended_at is not None or sorted({line.order_id for line in lines}) != known:
        raise PlaceEnded
    return Place(enrolment, runs[run_id], lines, orders)


def end(
    place: Place,
    reason: str,
    *,
    now: datetime,
    actor_id: int | None,
    is_seat_freed: bool = True,
    carried: frozenset[int] = frozenset(),
) -> None:
    """End the enrolment of a locked place and revoke its sources; the seat is freed unless another person takes it.

    Subsidies end with it, but for those of the lines that are `carried` to another place.
    """
    for source in _live_sources(place.enrolment.id):
        source.revoked_at = now
    place.enrolment.ended_at = now
    place.enrolment.end_reason = reason
    place.enrolment.ended_by_id = actor_id
    for line in place.lines:
        if line.id not in carried:
            claims.let_go(line.id, reason, now=now)
    for order in place.orders:
        record(order, "enrolment_ended", now=now, actor_id=actor_id, details={"reason": reason})
    if is_seat_freed:
        counting.give_back_seat(place.run, place.enrolment.pool_id)
        offers.pass_on(place.run, now=now)


def _live_sources(enrolment_id: int) -> list[EnrolmentSource]:
    query = select(EnrolmentSource).filter_by(enrolment_id=enrolment_id, revoked_at=None)
    return list(db.session.scalars(query.order_by(EnrolmentSource.id)))


def end_orders(place: Place, *, now: datetime, actor_id: int | None) -> None:
    """The orders behind a cancelled place are cancelled too; when they were confirmed stays written."""
    for order in place.orders:
        if order.state == OrderState.CONFIRMED:
            order.state, order.ended_at = OrderState.CANCELLED, now
            record(order, "cancelled", now=now, actor_id=actor_id)


def find_of_order(order_id: int) -> Enrolment | None:
    """The active enrolment that an order's line grants now, if there is one."""
    query = (
        select(Enrolment)
        .join(EnrolmentSource, EnrolmentSource.enrolment_id == Enrolment.id)
        .join(OrderLine, OrderLine.id == EnrolmentSource.order_line_id)
        .where(OrderLine.order_id == order_id, EnrolmentSource.revoked_at.is_(None), Enrolment.ended_at.is_(None))
    )
    return db.session.scalars(query).first()


def orders_beside(order_id: int) -> list[int]:
    """The orders behind the place that an order grants now, itself among them, by id; it alone where it grants none."""
    enrolment = find_of_order(order_id)
    return sorted({order_id, *(line.order_id for line in lines_of(enrolment.id))} if enrolment else {order_id})


def lock_run_of(order_id: int) -> None:
    """Lock the run of the place that a locked order grants, for who locks a voucher before they end it."""
    enrolment = find_of_order(order_id)
    if enrolment is not None:
        locked(CourseRun, enrolment.run_id)


def end_of_order(order_id: int, reason: str, *, now: datetime, actor_id: int | None) -> bool:
    """Take back what an order gave: its source is revoked, and the enrolment ended if no other source is left.

    An order and those that paid the difference to a dearer date gave one place together, and none alone. Locks order
    and run. Doing it twice changes nothing; whether anything was changed.
    """
    with transaction():
        order = locked(Order, order_id)
        enrolment = find_of_order(order_id)
        if enrolment is None:
            return False
        run = locked(CourseRun, enrolment.run_id)
        enrolment = locked(Enrolment, enrolment.id)
        bought = _bought_with(order.lines[0])
        mine = [one for one in _live_sources(enrolment.id) if _bought_with(one.order_line) == bought]
        if enrolment.ended_at is not None or not mine:
            return False
        for source in mine:
            source.revoked_at = now
        db.session.flush()
        if not _live_sources(enrolment.id):
            enrolment.ended_at, enrolment.end_reason, enrolment.ended_by_id = now, reason, actor_id
            counting.give_back_seat(run, enrolment.pool_id)
            offers.pass_on(run, now=now)
        for source in mine:
            claims.let_go(source.order_line_id, "refunded", now=now)
            record(source.order_line.order, "enrolment_ended", now=now, actor_id=actor_id, details={"reason": reason})
        return True


def _bought_with(line: OrderLine) -> str:
    """The number of the order that a line bought its place by, or paid a difference beside."""
    return str(line.price_rule.get("of", line.order.public_id))


def suspend_of_order(order_id: int, *, is_suspended: bool, now: datetime) -> None:
    """Suspend the place that an order grants, or lift it. The seat stays taken. Locks order and run."""
    with transaction():
        order = locked(Order, order_id)
        enrolment = find_of_order(order_id)
        if enrolment is None:
            return
        locked(CourseRun, enrolment.run_id)
        enrolment = locked(Enrolment, enrolment.id)
        if is_suspended != (enrolment.suspended_at is not None):
            enrolment.suspended_at = now if is_suspended else None
            enrolment.resumed_at = enrolment.resumed_at if is_suspended else now
            record(order, "place_suspended" if is_suspended else "place_resumed", now=now)


def check_stands(place: Place) -> None:
    """Raise PlaceEnded for a place that was looked at without its locks and is over."""
    if place.enrolment.ended_at is not None:
        raise PlaceEnded


def check_undisputed(place: Place) -> None:
    """Raise Refused while a bank decides about a payment behind the place: money must not go back twice."""
    query = select(OrderEvent.kind).where(
        OrderEvent.order_id.in_(place.order_ids), OrderEvent.kind.in_(["dispute_opened", "dispute_won", "dispute_lost"])
    )
    kinds = list(db.session.scalars(query))
    is_open = kinds.count("dispute_opened") > len(kinds) - kinds.count("dispute_opened")
    if is_open or place.enrolment.suspended_at is not None:
        raise Refused(
            DISPUTED, lazy("A bank is deciding about the payment for this place, so nothing can be changed here now.")
        )


def list_active(run_id: int) -> list[Enrolment]:
    """Everyone who is in a run now."""
    return list(db.session.scalars(select(Enrolment).filter_by(run_id=run_id, ended_at=None).order_by(Enrolment.id)))
