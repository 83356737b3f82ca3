"""Where a run that people are in is cancelled, moved or merged: they are told, choose, and are settled by a job.

The change of the run is one transaction. Each person is told in another and settled in another, so one that fails keeps
nobody from the rest; failed ones keep the reason and can be driven again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import aliased

from marketplace.accounts import letters
from marketplace.accounts.models import Person
from marketplace.catalog import search
from marketplace.catalog.models import CourseRun, RunState
from marketplace.enrolment import cancellations, changes, orders, places, run_change_rules
from marketplace.enrolment.models import Enrolment, EnrolmentSource, Order, OrderLine, OrderState
from marketplace.enrolment.run_change_models import RunChange, RunChangeAnswer, RunMinimum
from marketplace.enrolment.run_change_rules import CHOICES, DEFAULTS, AnswerState, Choice, RunChangeKind
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, savepoint, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement

log = structlog.get_logger("run_changes")

BATCH = 50


@dataclass(frozen=True)
class Wanted:
    """What a provider wants to do to a run: `starts_at` and places when moved, `target_run_id` when merged."""

    kind: RunChangeKind
    reason: str
    starts_at: datetime | None = None
    place_zh: str = ""
    place_en: str = ""
    target_run_id: int | None = None


def announce(run_id: int, wanted: Wanted, *, actor_id: int | None, now: datetime) -> RunChange:
    """Change the run at once and enqueue the telling of everyone in it. Locks the run; raises Refused."""
    with transaction():
        run = locked(CourseRun, run_id)
        run_change_rules.check_may_change(state=run.state, starts_at=run.starts_at, now=now)
        _check_wanted(run, wanted, now=now)
        before = _plain(run)
        _apply(run, wanted, now=now)
        people = db.session.scalars(
            select(Enrolment.id).filter_by(run_id=run_id, ended_at=None).order_by(Enrolment.id)
        ).all()
        change = add(
            RunChange(
                run_id=run_id,
                kind=wanted.kind,
                # A form sends the run chosen in its list beside any kind of change.
                target_run_id=wanted.target_run_id if wanted.kind is RunChangeKind.MERGED else None,
                reason=wanted.reason,
                default_choice=DEFAULTS[wanted.kind],
                answer_by=run_change_rules.answer_by(wanted.kind, starts_at=run.starts_at or now, now=now),
                before=before,
                decided_at=now,
                decided_by_id=actor_id,
                people_in_all=len(people),
                finished_at=None if people else now,
            )
        )
        db.session.add_all(RunChangeAnswer(run_change_id=change.id, enrolment_id=person) for person in people)
        db.session.flush()
        jobs.enqueue(work, change_id=change.id)
        jobs.enqueue(work, at=change.answer_by, change_id=change.id)
        return change


def _check_wanted(run: CourseRun, wanted: Wanted, *, now: datetime) -> None:
    if wanted.kind is RunChangeKind.MERGED:
        _check_target(run, db.session.get(CourseRun, wanted.target_run_id or 0), now=now)
    elif wanted.kind is RunChangeKind.MOVED:
        after = wanted.place_zh or run.place_zh, wanted.place_en or run.place_en
        is_elsewhere = after != (run.place_zh, run.place_en)
        run_change_rules.check_move(to=wanted.starts_at, starts_at=run.starts_at, is_elsewhere=is_elsewhere, now=now)


def _check_target(run: CourseRun, target: CourseRun | None, *, now: datetime) -> None:
    if target is None or not takes_in(target, run, now=now):
        raise Refused("merge_target", lazy("Choose another scheduled run of the same course."))


def takes_in(target: CourseRun, run: CourseRun, *, now: datetime) -> bool:
    """Whether a run may be merged into this one: another one of its course, still to come."""
    is_ahead = target.starts_at is not None and target.starts_at > now
    return target.course_id == run.course_id and target.id != run.id and is_ahead and target.state == RunState.SCHEDULED


def _apply(run: CourseRun, wanted: Wanted, *, now: datetime) -> None:
    if wanted.kind is RunChangeKind.MOVED:
        _move(run, wanted)
    else:
        run.state = RunState.CANCELLED
    # A form of the run that somebody has open must not write the old dates back.
    run.version += 1
    db.session.flush()
    db.session.expire(run.course, ["runs"])
    search.index_course(run.course, now=now)


def _move(run: CourseRun, wanted: Wanted) -> None:
    """Shift the run with its sessions and the end of its enrolment as a whole, and write the new place."""
    if wanted.starts_at is not None and run.starts_at is not None:
        moved = run_change_rules.shift(run.starts_at, wanted.starts_at, zone=run.zone)
        for session in run.sessions:
            session.starts_at, session.ends_at = moved(session.starts_at), moved(session.ends_at)
        run.starts_at, run.ends_at = wanted.starts_at, moved(run.ends_at) if run.ends_at else None
        run.enrol_closes_at = moved(run.enrol_closes_at) if run.enrol_closes_at else None
        minimum = db.session.get(RunMinimum, run.id)
        if minimum is not None and minimum.decided_at is None and minimum.decide_by > run.starts_at:
            # Decided before the start, as it was set: else nobody would be reminded in time.
            minimum.decide_by, minimum.reminded_at = run.starts_at, None
    run.place_zh, run.place_en = wanted.place_zh or run.place_zh, wanted.place_en or run.place_en


def _plain(run: CourseRun) -> dict[str, Any]:
    starts_at = run.starts_at.isoformat() if run.starts_at else None
    return {"starts_at": starts_at, "place_zh": run.place_zh, "place_en": run.place_en, "state": run.state}


@jobs.task(name="enrolment.work_run_change")
def work(change_id: int) -> None:
    """Tell whoever was not told, cancel what waits for payment in a run that is off, settle whose time is over."""
    now = clock.now()
    change = db.session.get_one(RunChange, change_id)
    if change.kind != RunChangeKind.MOVED:
        _cancel_unpaid(change.run_id, now=now)
    _each(change_id, AnswerState.WAITING, _tell)
    if now >= change.answer_by:
        _each(change_id, AnswerState.TOLD, _settle_by_default)


def _cancel_unpaid(run_id: int, *, now: datetime) -> None:
    query = (
        select(Order.id).join(OrderLine).where(OrderLine.run_id == run_id, Order.state == OrderState.AWAITING_PAYMENT)
    )
    for order_id in db.session.scalars(query).all():
        orders.cancel_order(order_id, actor_id=None, now=now)


def _each(change_id: int, state: AnswerState, act: Any) -> None:
    query = select(RunChangeAnswer.id).filter_by(run_change_id=change_id, state=state).order_by(RunChangeAnswer.id)
    for answer_id in db.session.scalars(query).all():
        act(answer_id, now=clock.now())


def _tell(answer_id: int, *, now: datetime) -> None:  # noqa: ARG001 - called as the others are
    """Write one person's mail, once. Locks the answer, then the change."""
    with transaction():
        answer = locked(RunChangeAnswer, answer_id)
        if answer.state != AnswerState.WAITING:
            return
        change = locked(RunChange, answer.run_change_id)
        answer.state = AnswerState.TOLD
        change.people_told += 1
        letters.write(
            db.session.get_one(Person, answer.enrolment.person_id),
            "enrolment/run_changed",
            key=f"run-change:{answer.public_id}",
            change=change,
            answer=answer,
            run=change.run,
        )


def _settle_by_default(answer_id: int, *, now: datetime) -> None:
    answer = db.session.get_one(RunChangeAnswer, answer_id)
    change = answer.run_change
    choice, target_id = answer.choice or change.default_choice, answer.target_run_id or change.target_run_id
    settle(answer_id, Choice(choice), target_id, actor_id=None, now=now)


def choose(public_id: str, choice: str, *, target_run_id: int | None, actor_id: int, now: datetime) -> RunChangeAnswer:
    """Do what the person chose, at once. Raises Refused when it cannot be done, and then they may choose again."""
    answer = get_answer(public_id)
    run_change_rules.check_choice(answer.run_change.kind, choice)
    with transaction():
        return _carry_out(answer.id, Choice(choice), target_run_id, actor_id=actor_id, now=now)


def settle(answer_id: int, choice: Choice, target_run_id: int | None, *, actor_id: int | None, now: datetime) -> None:
    """The same for the job: a refusal is kept with its code instead of raised, and what is settled already stays so."""
    with transaction():
        try:
            with savepoint():
                _carry_out(answer_id, choice, target_run_id, actor_id=actor_id, now=now)
        except Refused as refusal:
            answer = locked(RunChangeAnswer, answer_id)
            if answer.state == AnswerState.SETTLED:
                # The person chose, or another job came by, since this one read its list.
                return
            answer.state, answer.problem = AnswerState.FAILED, refusal.code
            log.warning("run change not carried out", code=refusal.code)


def _carry_out(
    answer_id: int, choice: Choice, target_run_id: int | None, *, actor_id: int | None, now: datetime
) -> RunChangeAnswer:
    """Locks orders and runs of the place, then the answer and the change. A place that ended meanwhile is settled."""
    answer = db.session.get_one(RunChangeAnswer, answer_id)
    reason = answer.run_change.kind
    if answer.enrolment.ended_at is None and choice is not Choice.STAY:
        place = places.lock(answer.enrolment_id, also_runs=[target_run_id] if target_run_id else [])
        places.check_undisputed(place)
        if choice is Choice.REFUND:
            statement = cancellations.state_by_provider(place, now=now)
            cancellations.carry_out(place, statement, actor_id=actor_id, reason=reason, now=now)
        else:
            target = db.session.get(CourseRun, target_run_id or 0)
            if target is None:
                raise Refused("merge_target", lazy("Choose another scheduled run of the same course."))
            changes.move_by_provider(place, target, actor_id=actor_id, now=now)
    answer, change = locked(RunChangeAnswer, answer_id), locked(RunChange, answer.run_change_id)
    if answer.state == AnswerState.SETTLED:
        raise Refused("answered", lazy("Your choice has been carried out already."))
    answer.state, answer.settled_at, answer.problem = AnswerState.SETTLED, now, None
    if actor_id is not None:
        answer.choice, answer.chosen_at, answer.target_run_id = choice, now, target_run_id
    change.people_settled += 1
    if change.people_settled == change.people_in_all:
        change.finished_at = now
    return answer


def drive_again(public_id: str, *, now: datetime) -> int:
    """Try those that failed once more, by a job; how many. Locks the change."""
    with transaction():
        change = locked(RunChange, get(public_id).id)
        failed = db.session.scalars(
            select(RunChangeAnswer).filter_by(run_change_id=change.id, state=AnswerState.FAILED)
        ).all()
        for answer in failed:
            answer.state = AnswerState.TOLD
        change.answer_by = min(change.answer_by, now)
        jobs.enqueue(work, change_id=change.id)
        return len(failed)


def resume_disputed(order_id: int, *, kinds: Container[str], now: datetime) -> int:
    """Settle by a job what was refused while a bank decided about this order's payment; how many answers.

    Only in changes of these kinds. Call inside a transaction, with the order locked. Locks answers, then changes.
    """
    query = (
        select(RunChangeAnswer.id)
        .join(EnrolmentSource, EnrolmentSource.enrolment_id == RunChangeAnswer.enrolment_id)
        .join(OrderLine, OrderLine.id == EnrolmentSource.order_line_id)
        .where(
            OrderLine.order_id == order_id,
            RunChangeAnswer.state == AnswerState.FAILED,
            RunChangeAnswer.problem == places.DISPUTED,
        )
        .distinct()
        .order_by(RunChangeAnswer.id)
    )
    answers = [locked(RunChangeAnswer, answer_id) for answer_id in db.session.scalars(query).all()]
    resumed = [one for one in answers if one.state == AnswerState.FAILED and one.run_change.kind in kinds]
    for answer in resumed:
        answer.state = AnswerState.TOLD
        change = locked(RunChange, answer.run_change_id)
        change.answer_by = min(change.answer_by, now)
        jobs.enqueue(work, change_id=change.id)
    return len(resumed)


@jobs.periodic(cron="*/10 * * * *", name="enrolment.work_run_changes")
def work_all() -> None:
    """Every ten minutes: the changes whose job was lost, whose time to answer is over, or that somebody missed."""
    take_in_late(now=clock.now())
    open_ones = select(RunChange.id).where(RunChange.finished_at.is_(None))
    due = or_(RunChange.answer_by <= clock.now(), RunChange.people_told < RunChange.people_in_all)
    for change_id in db.session.scalars(open_ones.where(due)).all():
        with transaction():
            jobs.enqueue(work, key=f"run-change:{change_id}", change_id=change_id)


def take_in_late(*, now: datetime) -> int:
    """Ask those too who had ordered before a run was moved and paid after it, by a bank transfer say; how many.

    Each in a transaction of its own, which locks the change. They have as long to answer as everyone had.
    """
    pairs = db.session.execute(_who_came_late(now).order_by(RunChange.id, Enrolment.id).limit(BATCH)).all()
    for change_id, enrolment_id in pairs:
        with transaction():
            change = locked(RunChange, change_id)
            if db.session.scalar(select(exists().where(*_is_answer(change_id, enrolment_id)))):
                continue
            add(RunChangeAnswer(run_change_id=change_id, enrolment_id=enrolment_id))
            until = run_change_rules.answer_by(change.kind, starts_at=change.run.starts_at or now, now=now)
            change.answer_by = max(change.answer_by, until)
            change.people_in_all += 1
            change.finished_at = None
    return len(pairs)


def _who_came_late(now: datetime) -> Any:
    newer = aliased(RunChange)
    moved_again = exists().where(
        newer.run_id == RunChange.run_id, newer.kind == RunChangeKind.MOVED, newer.id > RunChange.id
    )
    return (
        select(RunChange.id, Enrolment.id)
        .join(CourseRun, CourseRun.id == RunChange.run_id)
        .join(Enrolment, Enrolment.run_id == RunChange.run_id)
        .join(EnrolmentSource, EnrolmentSource.enrolment_id == Enrolment.id)
        .join(OrderLine, OrderLine.id == EnrolmentSource.order_line_id)
        .join(Order, Order.id == OrderLine.order_id)
        .where(
            RunChange.kind == RunChangeKind.MOVED,
            # Of several moves the last one says where the run is now.
            ~moved_again,
            CourseRun.state == RunState.SCHEDULED,
            CourseRun.starts_at > now,
            Enrolment.ended_at.is_(None),
            EnrolmentSource.revoked_at.is_(None),
            # Not who took a place over, or moved here, knowing the new date.
            OrderLine.run_id == RunChange.run_id,
            Order.person_id == Enrolment.person_id,
            Order.placed_at < RunChange.decided_at,
            ~exists().where(*_is_answer(RunChange.id, Enrolment.id)),
        )
        .distinct()
    )


def _is_answer(change_id: Any, enrolment_id: Any) -> tuple[ColumnElement[bool], ...]:
    return RunChangeAnswer.run_change_id == change_id, RunChangeAnswer.enrolment_id == enrolment_id


def get(public_id: str) -> RunChange:
    """One change with its run; raises NotFound."""
    found = db.session.scalars(select(RunChange).filter_by(public_id=public_id)).one_or_none()
    if found is None:
        raise NotFound
    return found


def get_answer(public_id: str) -> RunChangeAnswer:
    """One person's answer; raises NotFound."""
    found = db.session.scalars(select(RunChangeAnswer).filter_by(public_id=public_id)).one_or_none()
    if found is None:
        raise NotFound
    return found


def list_answers(change_id: int) -> Sequence[tuple[RunChangeAnswer, Person]]:
    """Everyone the change is about, failed ones first, then by name."""
    query = (
        select(RunChangeAnswer, Person)
        .join(RunChangeAnswer.enrolment)
        .join(Enrolment.person)
        .where(RunChangeAnswer.run_change_id == change_id)
        .order_by((RunChangeAnswer.state == AnswerState.FAILED).desc(), Person.name, RunChangeAnswer.id)
    )
    return [(answer, person) for answer, person in db.session.execute(query)]


def count_failed(change_id: int) -> int:
    """How many could not be settled."""
    query = select(func.count()).select_from(RunChangeAnswer)
    return db.session.scalar(query.filter_by(run_change_id=change_id, state=AnswerState.FAILED)) or 0


def list_of_run(run_id: int) -> Sequence[RunChange]:
    """The changes of a run, newest first."""
    return db.session.scalars(select(RunChange).filter_by(run_id=run_id).order_by(RunChange.id.desc())).all()


def choices_of(change: RunChange) -> tuple[Choice, ...]:
    """What a person may choose."""
    return CHOICES[change.kind]
