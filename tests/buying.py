"""Buying a seat as its page does: asked for a price, then ordered at what it showed."""

from __future__ import annotations

from datetime import datetime

from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import orders, quotes
from marketplace.enrolment.models import Order
from marketplace.enrolment.quotes import Asked
from marketplace.foundation import ids


def buy_as_quoted(run: CourseRun, person: Person, *, now: datetime, locale: str = "zh", **asked: object) -> Order:
    """The order of a seat whose payers are asked for by keyword, as `Asked` names them."""
    quoted = quotes.quote(quotes.sale_of(run, person.id), Asked(**asked), now=now)  # type: ignore[arg-type]
    return orders.place_order(
        run.id,
        person.id,
        shown_price=quoted.price,
        request_key=ids.public_id(),
        locale=locale,
        now=now,
        asked=Asked(**asked, shown_due=quoted.due),  # type: ignore[arg-type]
    )
