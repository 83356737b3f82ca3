"""Courses as a list shows them: one row each, read in one statement, with seats and prices as they are now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from marketplace.catalog import pricing
from marketplace.catalog.shelves import find_shelf
from marketplace.foundation.covers import cover_address
from marketplace.foundation.i18n import Text, language, pick_of
from marketplace.foundation.models import ShownPicture
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from marketplace.catalog.pricing_rules import Price

# Fewer than these seats, and a card says how many.
FEW_SEATS = 5

# `chosen` are the courses of one page, (id, key); each gets its providers and the run to show: the next one with a
# seat, else the next. `cheapest` is the lowest price among its open runs in that run's currency; `rules` are
# `pricing.RULES`.
CARDS = """
    WITH chosen AS MATERIALIZED ({chosen})
    SELECT chosen.*, course.public_id, course.title_zh, course.title_en, course.level, course.category_id,
           (SELECT json_agg(json_build_array(name_zh, name_en) ORDER BY position)
              FROM course_provider JOIN organisation ON organisation.id = organisation_id
             WHERE course_id = chosen.id) AS providers,
           run.id AS run_id, run.starts_at, run.ends_at, run.zone, run.mode, run.price_minor, run.currency,
           run.cheapest, run.seats_taken, run.has_price_rules, {rules} AS rules,
           (SELECT max(indexed_at) FROM course_entry) AS version, picture.renditions, picture.alt_zh, picture.alt_en,
           run.capacity - run.seats_taken - run.seats_kept AS seats_left, run.some_subsidised, run.runs,
           run.enrol_opens_at <= :now AS is_open
      FROM chosen JOIN course ON course.id = chosen.id
      LEFT JOIN picture ON picture.id = course.picture_id
      LEFT JOIN LATERAL (
           SELECT *, min(price_minor) OVER (PARTITION BY currency) AS cheapest, count(*) OVER () AS runs,
                  bool_or(is_subsidised) OVER () AS some_subsidised
             FROM course_run
            WHERE course_id = chosen.id AND state = 'scheduled' AND enrol_closes_at > :now
            ORDER BY seats_taken + seats_kept >= capacity, starts_at LIMIT 1) AS run ON true
     ORDER BY chosen.key {direction}, chosen.id {direction}
"""


@dataclass(frozen=True, slots=True)
class NextRun:
    """The run a card shows, in its own zone; `cheapest` is the lowest list price of the course's open runs."""

    id: int
    starts: datetime
    ends: datetime
    tzinfo: ZoneInfo
    mode: str
    price: Money
    cheapest: Money
    seats_left: int
    # Whether a funding programme may pay a part of this run or of another open one, as the facet counts.
    is_subsidised: bool
    is_open: bool
    other_runs: int

    @property
    def is_free(self) -> bool:
        """Whether a seat costs nothing."""
        return self.price.is_zero

    @property
    def has_few_seats(self) -> bool:
        """Whether to say how many are left."""
        return 0 < self.seats_left <= FEW_SEATS


@dataclass(frozen=True, slots=True)
class Card:
    """What a list shows of a course, in the language spoken when it was read."""

    id: int
    public_id: str
    title: Text
    field: Text
    level: str
    providers: tuple[Text, ...]
    cover: str
    picture: ShownPicture | None
    run: NextRun | None


def card_of(row: Any) -> Card:
    """Read one row of CARDS."""
    shelf, lang = find_shelf(row.category_id), language()
    return Card(
        id=row.id,
        public_id=row.public_id,
        title=pick_of(row.title_zh, row.title_en, lang),
        field=pick_of(shelf.name_zh, shelf.name_en, lang) if shelf else Text("", lang),
        level=row.level,
        providers=tuple(pick_of(name_zh, name_en, lang) for name_zh, name_en in row.providers or ()),
        cover=cover_address(row.public_id, shelf.position if shelf else 0),
        picture=ShownPicture(row.renditions, row.alt_zh, row.alt_en) if row.renditions else None,
        run=_next_run(row) if row.starts_at is not None else None,
    )


class PricedRun(NamedTuple):
    """What a price is decided from, of the run on a card."""

    id: int
    price: Money
    tzinfo: ZoneInfo
    seats_taken: int


def prices_on(rows: Iterable[Any], *, now: datetime) -> dict[int, Price]:
    """What a stranger pays for the runs on these cards that have price rules, by the run's id."""
    prices = {}
    for row in rows:
        if row.has_price_rules and row.price_minor:
            price, zone = Money(row.price_minor, row.currency), ZoneInfo(row.zone)
            run = PricedRun(row.run_id, price, zone, row.seats_taken)
            prices[row.run_id] = pricing.public_price(run, pricing.rules_from(row.rules), now=now)
    return prices


def _next_run(row: Any) -> NextRun:
    zone = ZoneInfo(row.zone)
    return NextRun(
        id=row.run_id,
        starts=row.starts_at.astimezone(zone),
        ends=row.ends_at.astimezone(zone),
        tzinfo=zone,
        mode=row.mode,
        price=Money(row.price_minor, row.currency),
        cheapest=Money(row.cheapest, row.currency),
        seats_left=max(0, row.seats_left),
        is_subsidised=row.some_subsidised,
        is_open=row.is_open,
        other_runs=row.runs - 1,
    )
