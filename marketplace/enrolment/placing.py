"""The statements of `orders.place`. They go past the ORM, because a hot run is sold as fast as these are.

Most orders are placed by `till`. What it leaves is placed under the run's lock: `lock_and_look`, decide, `write_order`.
The facts are a statement of their own after the lock: at READ COMMITTED a statement sees what was committed when it
began, so facts read together with the lock would be older than it. SQL that both ways share is in migrations 0050 and
0051.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.types.json import Jsonb

from marketplace.accounts.agreements import NEWEST, TERMS
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import counting, quotes, rules, waivers
from marketplace.enrolment.claims import Sold
from marketplace.enrolment.models import Order, OrderState
from marketplace.enrolment.quotes import PriceChanged, Sale
from marketplace.enrolment.rules import HOLD_FOR
from marketplace.foundation import ids
from marketplace.foundation.database import forget, known, one_row
from marketplace.foundation.errors import NotFound
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.enrolment.quotes import Asked, Quote

LONGEST_REQUEST_KEY = 64

_LOCK = "SELECT id FROM course_run WHERE id = %(run)s FOR NO KEY UPDATE"
_FACTS = "SELECT * FROM placing_facts(%(run)s, %(person)s, %(key)s, %(now)s)"
_WRITE = """
WITH taken AS (
    INSERT INTO seat_hold (public_id, run_id, person_id, until, created_at, pool_id)
    SELECT %(hold_public_id)s, %(run)s, %(person)s, %(until)s, %(now)s, %(pool)s
     WHERE CAST(%(hold)s AS bigint) IS NULL
    RETURNING id
), counted AS (
    UPDATE course_run SET seats_taken = seats_taken + 1 WHERE id = %(run)s AND CAST(%(hold)s AS bigint) IS NULL
), kept AS (
    UPDATE seat_hold SET until = %(until)s WHERE id = %(hold)s AND until < %(until)s
), placed AS (
    INSERT INTO "order" (public_id, person_id, state, hold_id, locale, currency, total_minor, placed_at, expires_at,
                         request_key)
    SELECT %(public_id)s, %(person)s, %(state)s, coalesce(%(hold)s, (SELECT id FROM taken)), %(locale)s, %(currency)s,
           %(due)s, %(now)s, %(until)s, %(key)s
    RETURNING id
), line AS (
    INSERT INTO order_line (order_id, run_id, price_minor, subsidy_minor, voucher_minor, due_minor,
                            terms_version, title_zh, title_en, price_rule, policy_id)
    SELECT placed.id, %(run)s, %(price)s, %(subsidy)s, %(voucher)s, %(due)s, %(terms)s, title_zh, title_en, %(rule)s,
           policy_for_sale(%(run)s, %(course)s)
      FROM placed, course WHERE course.id = %(course)s
    RETURNING id, title_zh, title_en
), agreed AS (
    INSERT INTO consent (person_id, document, version, language, act, reference, given_at)
    SELECT %(person)s, 'terms', %(terms)s, %(locale)s, 'purchase', %(public_id)s, %(now)s FROM placed
), told AS (
    INSERT INTO order_event (order_id, kind, occurred_at, recorded_at, actor_id, details)
    SELECT id, 'placed', %(now)s, %(now)s, %(person)s, '{}' FROM placed
)
SELECT placed.id, coalesce(%(hold)s, (SELECT id FROM taken)), line.id, title_zh, title_en FROM placed, line
"""


class RunFacts(NamedTuple):
    """What the decision needs of a run and its course; columns as `placing_facts` gives them."""

    state: str
    course_state: str
    opens_at: datetime | None
    closes_at: datetime | None
    capacity: int
    seats_taken: int
    seats_kept: int
    price_minor: int
    currency: str
    is_subsidised: bool
    zone: str
    has_price_rules: bool
    course_id: int
    starts_at: datetime | None

    @property
    def seats_left(self) -> int:
        """Public seats that are free."""
        return max(0, self.capacity - self.seats_taken - self.seats_kept)


class Facts(NamedTuple):
    """What the decision needs of the person in the run; columns as `placing_facts` gives them, after those above."""

    order_of_form: str | None
    open_order: str | None
    hold_id: int | None
    hold_until: datetime | None
    is_enrolled: bool
    is_provider: bool
    has_expired_holds: bool
    has_waiting: bool
    # The person's own live place in the run's waiting list.
    entry_id: int | None

    @property
    def order(self) -> str | None:
        """The public id of the order that this form, or the person in another tab, has made already."""
        return self.order_of_form or self.open_order


_OF_RUN = len(RunFacts._fields)


class Seen(NamedTuple):
    """The facts at one moment; while `mark` would come out the same, what was decided from them holds."""

    run: RunFacts
    facts: Facts
    mark: int

    @property
    def is_settled(self) -> bool:
        """Whether no seat of the run may have become free for somebody else than whoever asks."""
        return not (self.facts.has_expired_holds or self.facts.has_waiting or self.run.seats_kept)

    @property
    def is_plain(self) -> bool:
        """Whether nothing stands between the person and a public seat: settled, and nothing held or offered before."""
        return self.is_settled and self.facts.hold_id is None and self.facts.entry_id is None


class Placed(NamedTuple):
    """The order just written, not read back yet, and the ids its neighbours need."""

    order: Order
    sold: Sold
    hold_id: int


class Wanted(NamedTuple):
    """Who wants a seat in which run, sent from which form, in which language."""

    run_id: int
    person_id: int
    request_key: str
    locale: str


def look(wanted: Wanted, *, now: datetime) -> Seen:
    """Everything about the run and the person in it, as it is now; raises NotFound. Call inside a transaction."""
    values = {"run": wanted.run_id, "person": wanted.person_id, "key": wanted.request_key, "now": now}
    row = one_row(_FACTS, values)
    if row is None:
        raise NotFound
    return seen_in(row)


def seen_in(row: Sequence[Any]) -> Seen:
    """The facts in a row of `placing_facts`."""
    return Seen(RunFacts._make(row[:_OF_RUN]), Facts._make(row[_OF_RUN:-1]), row[-1])


def lock_and_look(wanted: Wanted, *, now: datetime) -> Seen:
    """The same under the run's lock (FOR NO KEY UPDATE), inside the caller's transaction; raises NotFound."""
    one_row(_LOCK, {"run": wanted.run_id})
    return look(wanted, now=now)


def sale_of(wanted: Wanted, run: RunFacts) -> Sale:
    """The sale to be quoted."""
    return Sale(
        run_id=wanted.run_id,
        course_id=run.course_id,
        person_id=wanted.person_id,
        list_price=Money(run.price_minor, run.currency),
        seats_taken=run.seats_taken,
        is_subsidised=run.is_subsidised,
        zone=run.zone,
        has_price_rules=run.has_price_rules,
    )


def decide(wanted: Wanted, seen: Seen, asked: Asked, shown_price: Money, *, now: datetime) -> tuple[Quote, bool]:
    """What the seat costs, and whether the right to withdraw was waived; raises the Refused that says why not."""
    run = seen.run
    rules.check_may_enrol(
        state=run.state,
        course_state=run.course_state,
        opens_at=run.opens_at,
        closes_at=run.closes_at,
        is_provider=seen.facts.is_provider,
        now=now,
    )
    quoted = quotes.quote(sale_of(wanted, run), asked, now=now)
    if (quoted.price, quoted.due) != (shown_price, asked.shown_due or shown_price):
        raise PriceChanged(quoted)
    has_waived = asked.waives is not None and waivers.check(
        wanted.run_id, run.starts_at, quoted.price, waives=asked.waives, now=now
    )
    return quoted, has_waived


def find_pool(wanted: Wanted, run: RunFacts, facts: Facts, asked: Asked, quoted: Quote) -> int | None:
    """The pool the person may take a seat of; asked only while pools keep seats and the person holds none."""
    if not run.seats_kept or facts.hold_id is not None:
        return None
    return counting.find_pool(wanted.run_id, wanted.person_id, counting.code_hash(asked.seat_code), quoted.opened_pool)


def write_order(
    wanted: Wanted, run: RunFacts, facts: Facts, quoted: Quote, *, pool_id: int | None, now: datetime
) -> Placed:
    """Write hold (unless the person has one), order, line, consent and timeline, and count the seat: one statement.

    The caller has the run locked.
    """
    if pool_id is not None:
        counting.take_from_pool(pool_id)
    # Whoever takes a seat that was offered to them has at least as long to pay as anyone.
    until = max(facts.hold_until or now, now + HOLD_FOR)
    values = values_of(wanted, run, quoted, until=until, now=now)
    row = one_row(_WRITE, values | {"rule": Jsonb(values["rule"]), "hold": facts.hold_id, "pool": pool_id})
    order_id, hold_id, line_id, title_zh, title_en = row or ()
    forget(CourseRun, wanted.run_id, "seats_taken", "seats_kept")
    order = known(Order, order_id, public_id=values["public_id"])
    return Placed(order, Sold(line_id, values["public_id"], title_zh, title_en), hold_id)


def values_of(wanted: Wanted, run: RunFacts, quoted: Quote, *, until: datetime, now: datetime) -> dict[str, Any]:
    """What an order, its hold and its line are written with, but for the hold and the pool of before."""
    return {
        "run": wanted.run_id,
        "person": wanted.person_id,
        "course": run.course_id,
        "key": wanted.request_key,
        "now": now,
        "until": until,
        "hold_public_id": ids.public_id(),
        "public_id": ids.public_id(),
        "state": OrderState.AWAITING_PAYMENT.value,
        "locale": wanted.locale,
        "currency": quoted.price.currency,
        "price": quoted.price.minor,
        "subsidy": quoted.subsidy.minor,
        "voucher": quoted.voucher.minor,
        "due": quoted.due.minor,
        "terms": NEWEST[TERMS],
        "rule": quoted.frozen,
    }
