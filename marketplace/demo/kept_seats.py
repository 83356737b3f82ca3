"""A batch of vouchers that keeps seats: a film studio's crew finds one though the run may be sold out to others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from marketplace.accounts.models import Person
from marketplace.catalog import run_rules
from marketplace.demo.population import DOMAIN
from marketplace.enrolment import voucher_seats
from marketplace.enrolment.voucher_seats import KeptSeats
from marketplace.foundation.database import db
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_rules import Terms, ValueKind

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.demo.offer import LoadedRun

SEATS = 3
TERMS = Terms(ValueKind.PERCENT, "CNY", percent=50, use_cap=1, money_cap=500000)


def write_kept_seats(runs: list[LoadedRun], *, now: datetime) -> None:
    """Issue codes for the run with the most free seats that can be booked. Call inside a transaction."""
    bookable = [one.run for one in runs if one.run.price_minor and one.run.currency == "CNY" and one.is_open(now)]
    found = max(bookable, key=lambda run: (run.seats_left(), -run.id), default=None)
    if found is None or found.seats_left() <= SEATS or found.enrol_closes_at is None:
        return
    last = run_rules.last_day_before(found.enrol_closes_at, found.zone)
    actor_id = db.session.scalars(select(Person.id).where(Person.email == f"administrator@{DOMAIN}")).one()
    batch = NewBatch("影视剧组名额 · Film crew seats", replace(TERMS, ends_on=last), size=SEATS, is_demo=True)
    seats = KeptSeats(found.id, SEATS, found.enrol_closes_at)
    voucher_seats.issue(batch, seats, actor_id=actor_id, now=now - timedelta(days=2))
