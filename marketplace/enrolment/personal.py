"""What this room knows of a person, told to them and forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select, update
from sqlalchemy.orm import joinedload

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import learning, orders, places, search_wishes, wishes
from marketplace.enrolment import waiting as waiting_lists
from marketplace.enrolment.change_models import Cancellation, EnrolmentChange
from marketplace.enrolment.models import Enrolment, EnrolmentSource, Order, OrderLine, OrderState
from marketplace.enrolment.seat_models import SearchWish, WaitingEntry, Wish
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.money import Money
from marketplace.foundation.personal_data import Identity, Section, plain_money

if TYPE_CHECKING:
    from datetime import datetime

ALL = 10_000


def tell(person_id: int) -> list[Section]:
    """Orders with their amounts, places in runs and in waiting lists, and wishes."""
    columns = {
        "number": lazy("Order"),
        "course": lazy("Course"),
        "placed_at": lazy("Placed"),
        "state": lazy("State"),
        "price": lazy("Price"),
        "subsidy": lazy("Subsidy"),
        "voucher": lazy("Voucher"),
        "due": lazy("Due in all"),
    }
    bought = [_order_row(order, line) for order in learning.list_orders(person_id, limit=ALL) for line in order.lines]
    return [Section("orders", lazy("My orders"), columns, bought), _places(person_id), *_hopes(person_id)]


def _order_row(order: Order, line: OrderLine) -> dict[str, object]:
    money = {
        name: plain_money(Money(getattr(line, f"{name}_minor"), order.currency))
        for name in ("price", "subsidy", "voucher", "due")
    }
    course = str(pick(line, "title"))
    return {"number": order.public_id, "course": course, "placed_at": order.placed_at, "state": order.state, **money}


def _places(person_id: int) -> Section:
    columns = {
        "course": lazy("Course"),
        "starts_at": lazy("Begins"),
        "enrolled_at": lazy("Enrolled"),
        "ended_at": lazy("Ended"),
    }
    query = select(Enrolment).filter_by(person_id=person_id).order_by(Enrolment.id)
    found = db.session.scalars(query.options(joinedload(Enrolment.run).joinedload(CourseRun.course)))
    rows = [
        {
            "course": str(pick(place.run.course, "title")),
            "starts_at": place.run.starts_at,
            "enrolled_at": place.enrolled_at,
            "ended_at": place.ended_at,
        }
        for place in found
    ]
    return Section("places", lazy("My courses"), columns, rows)


def _hopes(person_id: int) -> list[Section]:
    columns = {"course": lazy("Course"), "joined_at": lazy("Joined"), "state": lazy("State")}
    entries = select(WaitingEntry).filter_by(person_id=person_id).order_by(WaitingEntry.id)
    lists: list[dict[str, object]] = [
        {"course": str(pick(entry.run.course, "title")), "joined_at": entry.joined_at, "state": entry.state}
        for entry in db.session.scalars(entries)
    ]
    told = {"course": lazy("Course"), "wished_at": lazy("Wished"), "told_at": lazy("Told")}
    wanted = select(Wish).filter_by(person_id=person_id).options(joinedload(Wish.course)).order_by(Wish.id)
    wished: list[dict[str, object]] = [
        {"course": str(pick(wish.course, "title")), "wished_at": wish.wished_at, "told_at": wish.told_at}
        for wish in db.session.scalars(wanted)
    ]
    searches = {"sought": lazy("Looked for"), "wished_at": lazy("Wished"), "told_at": lazy("Told")}
    asked = select(SearchWish).filter_by(person_id=person_id).order_by(SearchWish.id)
    sought: list[dict[str, object]] = [
        {
            "sought": search_wishes.about(search_wishes.asked_of(wish)),
            "wished_at": wish.wished_at,
            "told_at": wish.told_at,
        }
        for wish in db.session.scalars(asked)
    ]
    return [
        Section("waiting_lists", lazy("Waiting lists"), columns, lists),
        Section("wishes", lazy("Wishes"), told, wished),
        Section("search_wishes", lazy("Searches to hear of"), searches, sought),
    ]


def list_coming(person_id: int, *, now: datetime) -> list[Enrolment]:
    """The places in runs that have not begun: being forgotten gives them up."""
    query = (
        select(Enrolment)
        .join(Enrolment.run)
        .where(
            Enrolment.person_id == person_id,
            Enrolment.ended_at.is_(None),
            or_(CourseRun.starts_at > now, CourseRun.starts_at.is_(None)),
        )
        .options(joinedload(Enrolment.run).joinedload(CourseRun.course))
        .order_by(CourseRun.starts_at)
    )
    return list(db.session.scalars(query))


def find_obstacle(person_id: int) -> Refused | None:
    """Money on its way would arrive for nobody."""
    query = select(Order.id).filter_by(person_id=person_id, state=OrderState.PAYMENT_PENDING)
    if db.session.scalars(query.limit(1)).first() is None:
        return None
    return Refused("payment_on_its_way", lazy("A payment of yours is on its way. Wait until it has arrived or failed."))


def forget(identity: Identity, *, now: datetime) -> None:
    """Cancel what waits for payment and give up places in runs to come and in lists; what is past stays nameless.

    Locks each order, then its run.
    """
    waiting = select(Order.id).filter_by(person_id=identity.person_id, state=OrderState.AWAITING_PAYMENT)
    for order_id in db.session.scalars(waiting.order_by(Order.id)).all():
        orders.cancel_order(order_id, actor_id=None, now=now)
    coming = [enrolment.id for enrolment in list_coming(identity.person_id, now=now)]
    granted = (
        select(OrderLine.order_id)
        .join(EnrolmentSource, EnrolmentSource.order_line_id == OrderLine.id)
        .where(EnrolmentSource.enrolment_id.in_(coming), EnrolmentSource.revoked_at.is_(None))
    )
    for order_id in db.session.scalars(granted.order_by(OrderLine.order_id)).all():
        places.end_of_order(order_id, "forgotten", now=now, actor_id=None)
    reasons = update(Cancellation).where(
        Cancellation.enrolment_id.in_(select(Enrolment.id).filter_by(person_id=identity.person_id))
    )
    db.session.execute(reasons.values(reason=""))
    offered = update(EnrolmentChange).where(
        or_(
            EnrolmentChange.requested_by_id == identity.person_id,
            EnrolmentChange.to_email.in_(identity.addresses),
        )
    )
    db.session.execute(offered.values(to_email=None))
    for place in waiting_lists.list_places(identity.person_id):
        waiting_lists.leave(place.entry.public_id, identity.person_id, now=now)
    for wish in wishes.list_wishes(identity.person_id):
        wishes.remove_wish(wish.course.public_id, identity.person_id, now=now)
    for search in search_wishes.list_wishes(identity.person_id):
        search_wishes.remove_wish(search.public_id, identity.person_id, now=now)
    # What somebody typed may say who they are.
    typed = update(SearchWish).where(SearchWish.person_id == identity.person_id)
    db.session.execute(typed.values(words=""))
