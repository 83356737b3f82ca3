"""How the seats of runs stand, for their pages: free, kept, held for some minutes, ordered but unpaid, gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from marketplace.enrolment import counting, waiting
from marketplace.enrolment.seat_models import Audience, SeatPool
from marketplace.foundation.database import db

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from marketplace.catalog.course_pages import RunFacts
    from marketplace.catalog.models import CourseRun
    from marketplace.enrolment.waiting import Place

# A hold that is neither over nor an order whose payment is on its way is in somebody's checkout, or an offer.
_HOLDS = text("""
    SELECT hold.run_id,
           count(*) FILTER (WHERE hold.until <= :now) AS expired,
           count(*) FILTER (WHERE hold.until > :now AND bought.state = 'payment_pending') AS pending,
           count(*) FILTER (WHERE hold.until > :now AND bought.state IS DISTINCT FROM 'payment_pending') AS held,
           min(hold.until) FILTER (
               WHERE hold.until > :now AND bought.state IS DISTINCT FROM 'payment_pending') AS back_at
      FROM seat_hold AS hold
      LEFT JOIN "order" AS bought
             ON bought.hold_id = hold.id AND bought.state IN ('awaiting_payment', 'payment_pending')
     WHERE hold.run_id = ANY(:runs) AND hold.ended_at IS NULL
     GROUP BY hold.run_id
""")


@dataclass(frozen=True)
class Availability:
    """The seats of a run, each counted once: capacity = free + kept + held + pending + gone.

    `back_at` is the first moment at which a held seat may come free again.
    """

    capacity: int
    free: int
    kept: int
    held: int
    pending: int
    expired: int
    back_at: datetime | None

    @property
    def gone(self) -> int:
        """Seats of people who are enrolled."""
        return self.capacity - self.free - self.kept - self.held - self.pending


@dataclass(frozen=True)
class Standing:
    """How a person stands to the seats of a run: what there is, what is kept for them, their place in the list."""

    seats: Availability
    is_pool_open: bool
    place: Place | None
    waiting: int
    # Whether seats are left that a voucher's code opens.
    has_voucher_seats: bool = False

    @property
    def is_offered(self) -> bool:
        """Whether a seat of the waiting list is kept for the person."""
        return self.place is not None and self.place.position is None


def of_runs(runs: Iterable[CourseRun | RunFacts], *, now: datetime) -> dict[int, Availability]:
    """The seats of runs by the runs' ids, in one grouped query; expired holds are free though they are not swept."""
    asked = {run.id: run for run in runs}
    if not asked:
        return {}
    rows = db.session.execute(_HOLDS, {"runs": list(asked), "now": now}).mappings()
    holds: dict[int, Mapping[str, Any]] = {row["run_id"]: dict(row) for row in rows}
    return {run_id: _of(run, holds.get(run_id)) for run_id, run in asked.items()}


def standing(
    run: CourseRun, person_id: int, seats: Availability, *, seat_code: str | None, opened: int | None
) -> Standing:
    """How one person stands to one run; `opened` is the pool that the code they pay with opens."""
    code = counting.code_hash(seat_code)
    return Standing(
        seats=seats,
        is_pool_open=counting.find_pool_for(run, person_id, code, opened=opened) is not None,
        place=waiting.find_place(run.id, person_id),
        waiting=waiting.count_waiting(run.id),
        has_voucher_seats=bool(run.seats_kept) and _has_voucher_seats(run.id),
    )


def _has_voucher_seats(run_id: int) -> bool:
    query = select(SeatPool.id).where(
        SeatPool.run_id == run_id,
        SeatPool.audience == Audience.VOUCHER,
        SeatPool.released_at.is_(None),
        SeatPool.taken < SeatPool.size,
    )
    return db.session.scalar(query.limit(1)) is not None


def _of(run: CourseRun | RunFacts, holds: Mapping[str, Any] | None) -> Availability:
    counts = holds or {"expired": 0, "pending": 0, "held": 0, "back_at": None}
    return Availability(
        capacity=run.capacity,
        free=run.seats_left(counts["expired"]),
        kept=run.seats_kept,
        held=counts["held"],
        pending=counts["pending"],
        expired=counts["expired"],
        back_at=counts["back_at"],
    )
