"""Where a place is passed on to another person, with the consent of both. Nobody loses the seat in between.

The buyer stays the payer: money that goes back later goes back to them. Locks: orders behind the place → run → change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.accounts import keys
from marketplace.accounts.addresses import normal_email
from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import change_rules, changes, counting, eligibility, moves, offers, places
from marketplace.enrolment.change_models import EnrolmentChange
from marketplace.enrolment.change_rules import ChangeState
from marketplace.enrolment.models import Enrolment
from marketplace.enrolment.timeline import record
from marketplace.foundation import mail
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.enrolment.places import Place


class OfferOver(Refused):
    """The offer was taken, refused, withdrawn or is too old. HTTP 410."""

    status = 410

    def __init__(self) -> None:
        """Say it as the page does."""
        super().__init__("offer_over", lazy("This offer is over. Ask the person who sent it."))


def check_may_transfer(place: Place, *, now: datetime) -> None:
    """Raise the Refused that says why this place cannot be passed on now."""
    places.check_stands(place)
    places.check_undisputed(place)
    change_rules.check_may_transfer(
        starts_at=place.run.starts_at or now,
        is_paid_by_others=any(line.subsidy_minor or line.voucher_minor for line in place.lines),
        now=now,
    )


def offer(enrolment_id: int, email: str, *, actor: Person, now: datetime) -> EnrolmentChange:
    """Offer a place to whoever reads that mailbox; asking is the holder's consent. Locks the orders and the run.

    Raises Refused: too late, paid by others, a change under way; Invalid for the person's own address.
    """
    address = normal_email(email)
    if address == actor.email:
        message = lazy("Enter the address of somebody else.")
        raise Invalid("own_address", message, {"email": message})
    with transaction():
        place = places.lock(enrolment_id)
        check_may_transfer(place, now=now)
        changes.close_over(enrolment_id, now=now)
        key = keys.draw()
        made = add(
            EnrolmentChange(
                kind="transfer",
                state=ChangeState.OFFERED,
                enrolment_id=enrolment_id,
                to_run_id=place.run.id,
                to_email=address,
                key_hash=keys.digest(key),
                currency=place.run.currency,
                requested_by_id=actor.id,
                requested_at=now,
                expires_at=min(now + change_rules.OFFER_FOR, place.run.starts_at or now),
            )
        )
        _tell(made, place, actor, key)
        for order in place.orders:
            record(order, "transfer_offered", now=now, actor_id=actor.id)
        return made


def _tell(made: EnrolmentChange, place: Place, actor: Person, key: str) -> None:
    reader = db.session.scalars(select(Person).filter_by(email=made.to_email)).one_or_none()
    mail.send(
        "enrolment/transfer_offered",
        to=made.to_email or "",
        locale=reader.locale if reader else actor.locale,
        key=f"transfer:{made.public_id}",
        sender=actor,
        run=place.run,
        change=made,
        link_key=key,
    )


def find(key: str, *, now: datetime) -> EnrolmentChange:
    """The open offer of this key with run and course; raises OfferOver."""
    query = (
        select(EnrolmentChange)
        .where(
            EnrolmentChange.key_hash == keys.digest(key),
            EnrolmentChange.state == ChangeState.OFFERED,
            EnrolmentChange.expires_at > now,
        )
        .options(joinedload(EnrolmentChange.to_run).joinedload(CourseRun.course))
    )
    found = db.session.scalars(query).one_or_none()
    if found is None:
        raise OfferOver
    return found


def accept(key: str, *, person: Person, now: datetime) -> Enrolment:
    """Take the place over; only with an account of the address it was offered to. Locks orders, run and change.

    Raises Refused: over, other address, own course, enrolled already; and PlaceEnded when the place ended meanwhile.
    """
    with transaction():
        offered = find(key, now=now)
        if offered.to_email != person.email:
            raise Refused(
                "other_address",
                lazy("This offer is for another e-mail address. Sign in with an account of that address."),
            )
        place = places.lock(offered.enrolment_id)
        change = locked(EnrolmentChange, offered.id)
        if change.state != ChangeState.OFFERED:
            raise OfferOver
        check_may_transfer(place, now=now)
        eligibility.check_may_take_over(place.run, person.id)
        if counting.find_enrolment(place.run.id, person.id) is not None:
            raise Refused("already_enrolled", lazy("You are already enrolled in this run."))
        pool_id = place.enrolment.pool_id
        new = add(Enrolment(run_id=place.run.id, person_id=person.id, enrolled_at=now, pool_id=pool_id))
        offers.end_wait(place.run, person.id, now=now)
        moves.move(place, new, "transferred", actor_id=change.requested_by_id, now=now, is_seat_freed=False)
        moves.finish(change, new, now=now)
        return new


def refuse(key: str, *, person: Person, now: datetime) -> None:
    """The person it was offered to does not want it; the place stays where it is. Locks the change."""
    with transaction():
        offered = find(key, now=now)
        if offered.to_email != person.email:
            raise NotFound
        _end(offered.id, ChangeState.REFUSED, now=now)


def withdraw(public_id: str, *, actor_id: int, now: datetime) -> None:
    """Take an open offer back; raises NotFound for another's. Locks the change."""
    with transaction():
        query = select(EnrolmentChange.id).filter_by(public_id=public_id, requested_by_id=actor_id, kind="transfer")
        row_id = db.session.scalar(query)
        if row_id is None:
            raise NotFound
        _end(row_id, ChangeState.WITHDRAWN, now=now)


def _end(change_id: int, state: ChangeState, *, now: datetime) -> None:
    change = locked(EnrolmentChange, change_id)
    if change.state == ChangeState.OFFERED:
        change.state, change.ended_at = state, now
