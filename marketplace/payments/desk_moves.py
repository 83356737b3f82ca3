"""Where the desk moves an order to another run of its course: the place moves at once, and nobody pays more for it.

What a cheaper run costs less goes back; a subsidy goes along where it can (`changes.move_by_provider`). Locks: order →
both runs by id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace.enrolment import changes, places
from marketplace.enrolment.cancellations import StatementChanged
from marketplace.enrolment.models import Order
from marketplace.enrolment.places import Place, PlaceEnded
from marketplace.foundation.database import db, transaction
from marketplace.payments import acts, four_eyes, postings, refunds

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.catalog.models import CourseRun
    from marketplace.enrolment.change_models import EnrolmentChange
    from marketplace.enrolment.changes import Move
    from marketplace.foundation.money import Money


def place_of(order: Order) -> Place:
    """The place that the order grants now; raises PlaceEnded."""
    enrolment = places.find_of_order(order.id)
    if enrolment is None:
        raise PlaceEnded
    return places.look(enrolment)


def list_moves(order: Order, *, now: datetime) -> list[Move]:
    """The runs it could be moved to, each with what would go back as a difference of zero or less."""
    return changes.list_moves_by_provider(place_of(order), now=now)


def move(
    order: Order, target: CourseRun, *, shown: Money, reason: str, actor_id: int, now: datetime
) -> EnrolmentChange:
    """Move the place of an order, keep the act, and send what goes back. Locks the order and both runs.

    `shown` is the difference that the page told, zero or less. Raises Refused: one's own order, ended, disputed, full,
    begun, enrolled there already, StatementChanged.
    """
    enrolment_id, left = place_of(order).enrolment.id, order.lines[0].run.public_id
    with transaction():
        four_eyes.check_not_own(order.id, actor_id=actor_id)
        place = places.lock(enrolment_id, also_runs=[target.id])
        places.check_undisputed(place)
        change = changes.move_by_provider(
            place, db.session.get_one(type(target), target.id), actor_id=actor_id, now=now
        )
        if change.difference != shown:
            raise StatementChanged
        details = {"from": left, "to": target.public_id, "back": -shown.minor, "currency": shown.currency}
        subject = f"order:{order.public_id}"
        acts.record(
            "order_moved", subject, reason=reason, actor_id=actor_id, now=now, order_id=order.id, details=details
        )
        if shown.minor < 0:
            refunds.take_up_soon()
    # The page that follows tells what the voucher and the programme have back by the books.
    postings.post_facts(since=now)
    return change
