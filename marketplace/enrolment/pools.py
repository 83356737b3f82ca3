"""Where parts of a run's capacity are kept for an audience and released to everyone.

Every function here is called with the run locked, or locks it; pools are locked after their run. The database itself
counts what is kept (`course_run.seats_kept`), so no code can keep more seats than there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import exists, select
from sqlalchemy.orm import joinedload

from marketplace.accounts.models import Organisation
from marketplace.catalog import trail
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import counting, offers
from marketplace.enrolment.seat_models import Audience, SeatPool
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger("pools")
HIDDEN = "•••"


@dataclass(frozen=True)
class PoolWish:
    """What whoever keeps seats fills in; `code` as they typed it, None to leave the one there is."""

    kind: str
    audience: str
    size: int
    release_at: datetime
    organisation_id: int | None = None
    email_domain: str | None = None
    code: str | None = None


def create_pool(run_id: int, wish: PoolWish, *, actor_id: int | None, now: datetime) -> SeatPool:
    """Keep seats of a run for an audience. Locks the run.

    Raises Invalid when fewer seats than that are free, and for a day that is over.
    """
    with transaction():
        run = locked(CourseRun, run_id)
        _check_ahead(wish, now)
        _check_size(run, wish.size)
        pool = SeatPool(run_id=run_id, taken=0, created_at=now, created_by_id=actor_id)
        _fill(pool, wish)
        add(pool)
        counting.recount(run)
        _record("pool_created", run, {}, _told(pool), actor_id=actor_id, now=now)
        return pool


def change_pool(pool_id: int, wish: PoolWish, *, actor_id: int | None, now: datetime) -> SeatPool:
    """Change size, audience or release day of a pool that is not released; seats it gives up go to who waits.

    A pool of vouchers stays its holders', whatever audience is wished for. Raises Invalid as `create_pool` does, and
    for a pool that is released.
    """
    with transaction():
        run, pool = _locked_with_run(pool_id)
        if pool.released_at is not None:
            raise Invalid("pool_released", lazy("These seats have been released; keep new ones instead."))
        _check_ahead(wish, now)
        _check_size(run, wish.size - pool.size)
        before = _told(pool)
        _fill(pool, replace(wish, audience=pool.audience) if pool.audience == Audience.VOUCHER else wish)
        counting.recount(run)
        _record("pool_changed", run, before, _told(pool), actor_id=actor_id, now=now)
        offers.pass_on(run, now=now)
        return pool


def release_pool(pool_id: int, *, actor_id: int | None, now: datetime) -> SeatPool:
    """Give the unused seats of a pool to everyone now. Twice changes nothing."""
    with transaction():
        run, pool = _locked_with_run(pool_id)
        if pool.released_at is None:
            pool.released_at = now
            # Told even where every kept seat is taken: nobody of the audience comes first from now on.
            changed = {"seats_kept": [pool.size, pool.taken]}
            _trail("pool_released", run, changed, actor_id=actor_id, now=now)
        counting.recount(run)
        offers.pass_on(run, now=now)
        return pool


def release_due(*, now: datetime) -> int:
    """Release the pools whose day has come, run by run in short transactions; returns how many."""
    due = select(SeatPool.run_id).where(SeatPool.released_at.is_(None), SeatPool.release_at <= now)
    return offers.free_seats(due, counting.open_due_pools_of, now=now)


@jobs.periodic(cron="* * * * *", name="enrolment.release_pools")
def release() -> None:
    """Every minute: make the unused seats of pools public whose day has come."""
    released = release_due(now=clock.now())
    if released:
        log.info("seat pools released", pools=released)


def list_pools(run_id: int) -> list[SeatPool]:
    """The pools of a run, those still kept first, by release."""
    query = select(SeatPool).filter_by(run_id=run_id).options(joinedload(SeatPool.organisation))
    return list(db.session.scalars(query.order_by(SeatPool.released_at.is_not(None), SeatPool.release_at, SeatPool.id)))


def has_code(run_id: int, code: str) -> bool:
    """Whether a pool of the run, released or used up as it may be, is opened by this code."""
    known = exists().where(SeatPool.run_id == run_id, SeatPool.code_hash == counting.code_hash(code))
    return bool(db.session.scalar(select(known)))


def get_pool(run_id: int, public_id: str) -> SeatPool:
    """One pool of a run; raises NotFound."""
    pool = db.session.scalars(select(SeatPool).filter_by(run_id=run_id, public_id=public_id)).one_or_none()
    if pool is None:
        raise NotFound
    return pool


NO_CODE = lazy("Choose a code, so that people can be invited by it.")


def _locked_with_run(pool_id: int) -> tuple[CourseRun, SeatPool]:
    run_id = db.session.scalar(select(SeatPool.run_id).where(SeatPool.id == pool_id))
    if run_id is None:
        raise NotFound
    return locked(CourseRun, run_id), locked(SeatPool, pool_id)


def _told(pool: SeatPool) -> dict[str, Any]:
    """What the course's history tells of a pool; of the organisation the Chinese name, which every one has."""
    named = db.session.get(Organisation, pool.organisation_id) if pool.organisation_id else None
    return {
        "seats_kept": pool.size,
        "pool_kind": pool.kind,
        "pool_audience": pool.audience,
        "pool_organisation": named.name_zh if named else None,
        "email_domain": pool.email_domain,
        "pool_code": pool.code_hash,
        "pool_release_at": pool.release_at.isoformat(),
    }


def _record(
    kind: str, run: CourseRun, before: dict[str, Any], after: dict[str, Any], *, actor_id: int | None, now: datetime
) -> None:
    """Keep who changed what of the seats kept, beside the other changes of the run; nothing where nothing changed."""
    changed = {name: [before.get(name), value] for name, value in after.items() if before.get(name) != value}
    if "pool_code" in changed:
        # It is a secret: what is told is that it changed.
        changed["pool_code"] = [value and HIDDEN for value in changed["pool_code"]]
    if changed:
        _trail(kind, run, changed, actor_id=actor_id, now=now)


def _trail(kind: str, run: CourseRun, changed: dict[str, Any], *, actor_id: int | None, now: datetime) -> None:
    trail.record(kind, course_id=run.course_id, run_id=run.id, actor_id=actor_id, now=now, changed=changed)


def _check_ahead(wish: PoolWish, now: datetime) -> None:
    """Seats kept until a day that is over would be everyone's a minute later."""
    if wish.release_at <= now:
        sentence = lazy("Choose a day that is not over.")
        raise Invalid("release_over", sentence, {"last_day": sentence})


def _check_size(run: CourseRun, more: int) -> None:
    if more > run.seats_left():
        sentence = lazy("Only %(seats)s more seats can be kept: the others are taken or kept.", seats=run.seats_left())
        raise Invalid("too_many_kept", sentence, {"size": sentence})


def _fill(pool: SeatPool, wish: PoolWish) -> None:
    pool.kind, pool.audience, pool.size, pool.release_at = wish.kind, wish.audience, wish.size, wish.release_at
    pool.organisation_id = wish.organisation_id if wish.audience == Audience.ORGANISATION else None
    pool.email_domain = (wish.email_domain or "").strip().lower() if wish.audience == Audience.EMAIL_DOMAIN else None
    kept = pool.code_hash if wish.code is None else counting.code_hash(wish.code)
    if wish.audience == Audience.CODE and not kept:
        raise Invalid("code_missing", NO_CODE, {"code": NO_CODE})
    pool.code_hash = kept if wish.audience == Audience.CODE else None
