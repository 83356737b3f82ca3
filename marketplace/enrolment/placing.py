"""The statements of `orders.place_order`: one locks the run, one brings all facts, one writes everything.

They go past the ORM, because a hot run is sold as fast as these three are. The facts are a statement of their own: at
READ COMMITTED a statement sees what was committed when it began, so facts read together with the lock would be older
than the lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg.types.json import Jsonb

from marketplace.accounts.agreements import NEWEST, TERMS
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import counting
from marketplace.enrolment.claims import Sold
from marketplace.enrolment.models import Order, OrderState
from marketplace.enrolment.quotes import Sale
from marketplace.enrolment.rules import HOLD_FOR
from marketplace.foundation import ids
from marketplace.foundation.database import forget, known, one_row
from marketplace.foundation.errors import NotFound
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.enrolment.quotes import Asked, Quote

LONGEST_REQUEST_KEY = 64

_LOCK = """
SELECT run.state, course.state, run.enrol_opens_at, run.enrol_closes_at, run.capacity, run.seats_taken,
       run.seats_kept, run.price_minor, run.currency, run.is_subsidised, run.zone, run.has_price_rules,
       run.course_id, run.starts_at
  FROM course_run AS run JOIN course ON course.id = run.course_id
 WHERE run.id = %(run)s
   FOR NO KEY UPDATE OF run
"""
_FACTS = """
SELECT (SELECT id FROM "order" WHERE request_key = %(key)s AND person_id = %(person)s),
       (SELECT made.id FROM "order" AS made JOIN order_line ON order_line.order_id = made.id
         WHERE made.person_id = %(person)s AND order_line.run_id = %(run)s
           AND made.state IN ('awaiting_payment', 'payment_pending') AND made.expires_at > %(now)s
         ORDER BY made.id DESC LIMIT 1),
       hold.id, hold.until,
       EXISTS (SELECT FROM enrolment WHERE run_id = %(run)s AND person_id = %(person)s AND ended_at IS NULL),
       EXISTS (SELECT FROM membership JOIN course_provider USING (organisation_id)
                WHERE person_id = %(person)s AND course_id = %(course)s),
       EXISTS (SELECT FROM seat_hold WHERE run_id = %(run)s AND ended_at IS NULL AND until <= %(now)s),
       EXISTS (SELECT FROM waiting_entry WHERE run_id = %(run)s AND state = 'waiting'),
       (SELECT id FROM waiting_entry
         WHERE run_id = %(run)s AND person_id = %(person)s AND state IN ('waiting', 'offered'))
  FROM (SELECT) AS one_row
  LEFT JOIN seat_hold AS hold ON hold.run_id = %(run)s AND hold.person_id = %(person)s AND hold.ended_at IS NULL
"""
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
    INSERT INTO order_line (order_id, run_id, price_minor, tax_minor, subsidy_minor, voucher_minor, due_minor,
                            terms_version, title_zh, title_en, price_rule, policy_id)
    SELECT placed.id, %(run)s, %(price)s, 0, %(subsidy)s, %(voucher)s, %(due)s, %(terms)s, title_zh, title_en, %(rule)s,
           (SELECT id FROM refund_policy
             WHERE ended_at IS NULL
               AND (run_id = %(run)s OR run_id IS NULL AND organisation_id IS NULL
                    OR organisation_id = (SELECT organisation_id FROM course_provider WHERE course_id = %(course)s
                                           ORDER BY position, organisation_id LIMIT 1))
             ORDER BY run_id IS NULL, organisation_id IS NULL, id DESC LIMIT 1)
      FROM placed, course WHERE course.id = %(course)s
    RETURNING id
), agreed AS (
    INSERT INTO consent (person_id, document, version, language, act, reference, given_at)
    SELECT %(person)s, 'terms', %(terms)s, %(locale)s, 'purchase', %(public_id)s, %(now)s FROM placed
), told AS (
    INSERT INTO order_event (order_id, kind, occurred_at, recorded_at, actor_id, details)
    SELECT id, 'placed', %(now)s, %(now)s, %(person)s, '{}' FROM placed
)
SELECT placed.id, line.id, coalesce(%(hold)s, (SELECT id FROM taken)) FROM placed, line
"""


class LockedRun(NamedTuple):
    """What the decision needs of a run and its course, as they are under the lock; columns as _LOCK selects them."""

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
    """What the decision needs of the person in the run; columns as _FACTS selects them."""

    order_of_form: int | None
    open_order: int | None
    hold_id: int | None
    hold_until: datetime | None
    is_enrolled: bool
    is_provider: bool
    has_expired_holds: bool
    has_waiting: bool
    # The person's own live place in the run's waiting list.
    entry_id: int | None


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


def lock_run(wanted: Wanted) -> LockedRun:
    """Lock the run FOR NO KEY UPDATE; raises NotFound."""
    row = one_row(_LOCK, {"run": wanted.run_id})
    if row is None:
        raise NotFound
    return LockedRun(*row)


def read_facts(wanted: Wanted, run: LockedRun, *, now: datetime) -> Facts:
    """Everything about the person in the locked run, as it is now."""
    row = one_row(
        _FACTS,
        {
            "run": wanted.run_id,
            "person": wanted.person_id,
            "course": run.course_id,
            "key": wanted.request_key,
            "now": now,
        },
    )
    return Facts(*(row or ()))


def sale_of(wanted: Wanted, run: LockedRun) -> Sale:
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


def find_pool(wanted: Wanted, run: LockedRun, facts: Facts, asked: Asked, quoted: Quote) -> int | None:
    """The pool the person may take a seat of; asked only while pools keep seats and the person holds none."""
    if not run.seats_kept or facts.hold_id is not None:
        return None
    return counting.find_pool(wanted.run_id, wanted.person_id, counting.code_hash(asked.seat_code), quoted.opened_pool)


def write_order(
    wanted: Wanted, run: LockedRun, facts: Facts, quoted: Quote, *, pool_id: int | None, now: datetime
) -> Placed:
    """Write hold (unless the person has one), order, line, consent and timeline, and count the seat: one statement."""
    public_id = ids.public_id()
    if pool_id is not None:
        counting.take_from_pool(pool_id)
    row = one_row(
        _WRITE,
        {
            "run": wanted.run_id,
            "person": wanted.person_id,
            "course": run.course_id,
            "key": wanted.request_key,
            "locale": wanted.locale,
            "now": now,
            # Whoever takes a seat that was offered to them has at least as long to pay as anyone.
            "until": max(facts.hold_until or now, now + HOLD_FOR),
            "pool": pool_id,
            "hold": facts.hold_id,
            "hold_public_id": ids.public_id(),
            "public_id": public_id,
            "state": OrderState.AWAITING_PAYMENT.value,
            "currency": quoted.price.currency,
            "price": quoted.price.minor,
            "subsidy": quoted.subsidy.minor,
            "voucher": quoted.voucher.minor,
            "due": quoted.due.minor,
            "terms": NEWEST[TERMS],
            "rule": Jsonb(quoted.frozen),
        },
    )
    order_id, line_id, hold_id = row or ()
    forget(CourseRun, wanted.run_id, "seats_taken", "seats_kept")
    order = known(Order, order_id, public_id=public_id)
    return Placed(order, Sold(order_id, line_id, wanted.run_id, wanted.person_id), hold_id)
