"""The demo's waiting lists, seat pools and wishes, beside what was bought."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from marketplace.accounts.models import OrganisationKind
from marketplace.catalog.models import CourseRun
from marketplace.demo.chance import public_id, seeded
from marketplace.demo.rows import insert_rows
from marketplace.enrolment.models import Enrolment
from marketplace.enrolment.seat_models import Audience, PoolKind, SeatPool, WaitingEntry, WaitingState, Wish
from marketplace.foundation.database import db

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from random import Random

    from marketplace.demo.offer import LoadedRun, Offer

LISTS, POOLS, WISHED = 3, 2, 8
POOL_SIZE = 6


def write_hopes(loaded: Offer, people: Sequence[int], learner_id: int, *, now: datetime) -> None:
    """Let people wait for sold-out runs, keep seats for employers, and wish for runs; call inside a transaction.

    `people` are ids. The learner to look around with waits second in one list and has one wish.
    """
    db.session.flush()
    chance = seeded("hopes")
    still_open = [one for one in loaded.runs if one.is_open(now)]
    full = [one for one in still_open if one.run.seats_left() == 0][:LISTS]
    for number, one in enumerate(full):
        _wait(one.run, chance, people, learner_id if number == 0 else None, now=now)
    roomy = [one for one in still_open if one.run.seats_left() >= 2 * POOL_SIZE]
    _keep(roomy[:POOLS], loaded, chance, now=now)
    _wish(loaded, still_open, chance, people, learner_id, now=now)


def _wait(run: CourseRun, chance: Random, people: Sequence[int], learner_id: int | None, *, now: datetime) -> None:
    enrolled = set(db.session.scalars(select(Enrolment.person_id).filter_by(run_id=run.id, ended_at=None)))
    queue = [person for person in chance.sample(people, 40) if person not in enrolled][: chance.randint(4, 9)]
    if learner_id is not None and learner_id not in enrolled:
        queue.insert(1, learner_id)
    rows: list[dict[str, Any]] = [
        {
            "public_id": public_id(chance),
            "run_id": run.id,
            "person_id": person,
            "state": WaitingState.WAITING.value,
            "rank": 1,
            "joined_at": now - timedelta(hours=7 * (len(queue) - place), minutes=chance.randint(0, 59)),
        }
        for place, person in enumerate(queue)
    ]
    insert_rows(WaitingEntry, rows)


def _keep(runs: Sequence[LoadedRun], loaded: Offer, chance: Random, *, now: datetime) -> None:
    employers = [one for one in loaded.organisations.values() if one.kind == OrganisationKind.EMPLOYER]
    sponsors = employers or list(loaded.organisations.values())
    rows: list[dict[str, Any]] = [
        {
            "public_id": public_id(chance),
            "run_id": one.run.id,
            "kind": PoolKind.SPONSOR.value,
            "audience": Audience.ORGANISATION.value,
            "organisation_id": chance.choice(sponsors).id,
            "size": POOL_SIZE,
            "taken": 0,
            "release_at": one.run.enrol_closes_at,
            "created_at": now,
        }
        for one in runs
    ]
    insert_rows(SeatPool, rows)
    for one in runs:
        db.session.refresh(one.run, ["seats_kept"])


def _wish(
    loaded: Offer,
    still_open: Sequence[LoadedRun],
    chance: Random,
    people: Sequence[int],
    learner_id: int,
    *,
    now: datetime,
) -> None:
    bookable = {one.run.course_id for one in still_open}
    courses = sorted({one.run.course_id for one in loaded.runs} - bookable)[:WISHED]
    rows: list[dict[str, Any]] = [
        {"course_id": course, "person_id": person, "wished_at": now - timedelta(days=chance.randint(1, 60))}
        for course in courses
        for person in chance.sample(people, chance.randint(2, 14))
    ]
    rows += [
        {"course_id": course, "person_id": learner_id, "wished_at": now - timedelta(days=3)} for course in courses[:1]
    ]
    insert_rows(Wish, rows)
