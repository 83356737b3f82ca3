"""Buying a seat as its page does: asked for a price, then ordered at what it showed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import orders, quotes
from marketplace.enrolment.models import Order
from marketplace.enrolment.quotes import Asked
from marketplace.foundation import ids
from marketplace.foundation.database import db


def place_order(run_id: int, person_id: int, **how: Any) -> Order:
    """The order that `orders.place` makes or finds."""
    public_id = orders.place(run_id, person_id, **how)
    return db.session.scalars(select(Order).where(Order.public_id == public_id)).one()


def buy_as_quoted(run: CourseRun, person: Person, *, now: datetime, locale: str = "zh", **asked: object) -> Order:
    """The order of a seat whose payers are asked for by keyword, as `Asked` names them."""
    quoted = quotes.quote(quotes.sale_of(run, person.id), Asked(**asked), now=now)  # type: ignore[arg-type]
    return place_order(
        run.id,
        person.id,
        shown_price=quoted.price,
        request_key=ids.public_id(),
        locale=locale,
        now=now,
        asked=Asked(**asked, shown_due=quoted.due),  # type: ignore[arg-type]
    )
