"""Where earned subsidies are claimed of the funder in numbered batches, and the answer is recorded line by line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import case, exists, func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from marketplace.foundation import bank_days, clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.money import Money
from marketplace.foundation.spreadsheets import Sheet
from marketplace.funding import programmes, reviewers, subsidies, subsidy_names, subsidy_rules
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidy_models import ClaimBatch, Subsidy, SubsidyEvent
from marketplace.funding.subsidy_states import State

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import ColumnElement

    from marketplace.foundation.spreadsheets import Cell

log = structlog.get_logger("claims")

LARGEST_BATCH = 500
SWEEP_BATCH = 200
# So many days after a claim a funder is expected to have paid it; an officer may give it more.
PAY_WITHIN_DAYS = 30
# What a claimed line's state says of the funder's answer; any other says that it was not paid.
_ANSWERS: dict[str, str] = {
    State.CLAIMED: "waiting",
    State.PAID: "paid",
    **dict.fromkeys((State.CLAWED_BACK, State.SENT_BACK, State.REVOKED, State.REPAID), "clawed_back"),
}


def make_batch(
    programme_id: int,
    public_ids: Collection[str] | None,
    *,
    actor_id: int,
    now: datetime,
    despite_doubt: Collection[str] = (),
) -> ClaimBatch:
    """Claim the earned subsidies named (all of the programme without names) under the programme's next number.

    What is in doubt is claimed only where an officer chose it knowing that (`despite_doubt`). The officer's own are
    left for another one, and what was to be claimed by now lapses, however late it is seen. Locks the programme, so
    that two officers never claim one subsidy twice. Raises Refused when nothing else is earned.
    """
    with transaction():
        programme = locked(FundingProgramme, programme_id)
        query = select(Subsidy).where(*_claimable(programme_id, now))
        if public_ids is not None:
            query = query.where(Subsidy.public_id.in_(public_ids))
        query = query.where(or_(Subsidy.doubted_at.is_(None), Subsidy.public_id.in_(despite_doubt)))
        others = query.where(Subsidy.person_id != actor_id).order_by(Subsidy.id).limit(LARGEST_BATCH)
        earned = db.session.scalars(others.with_for_update()).all()
        if not earned:
            for own in db.session.scalars(query):
                reviewers.check(own, actor_id)
            raise Refused("nothing_earned", lazy("Choose at least one subsidy that is earned and not claimed yet."))
        last = db.session.scalar(select(func.max(ClaimBatch.number)).filter_by(programme_id=programme_id)) or 0
        pay_by = expected_by(now, programme.zone)
        batch = add(
            ClaimBatch(programme_id=programme_id, number=last + 1, made_at=now, made_by_id=actor_id, pay_by=pay_by)
        )
        for subsidy in earned:
            subsidy.batch_id = batch.id
            subsidies.step(subsidy, programme, "claim", actor_id=actor_id, now=now, evidence={"batch": batch.number})
        details = {"batch": batch.number, "subsidies": len(earned)}
        programmes.record(programme, "batch_made", actor_id=actor_id, now=now, details=details)
        return batch


def _claimable(programme_id: int, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Subsidy.programme_id == programme_id, Subsidy.state == State.EARNED, Subsidy.claim_by > now


def expected_by(made_at: datetime, zone: str) -> datetime:
    """When the funder is late with a batch, unless it is given more time: its last day is included."""
    day = subsidy_rules.day_of(made_at, zone) + PAY_WITHIN_DAYS * subsidy_rules.DAY
    return subsidy_rules.end_of_day(day, zone)


@dataclass(frozen=True)
class FunderPayment:
    """What a funder paid for a batch, as the bank shows it."""

    amount: Money
    bank_reference: str
    received_on: date


def mark_paid(batch_id: int, payment: FunderPayment, *, actor_id: int, now: datetime) -> int:
    """Record that the funder paid what is still claimed in a batch, on the bank's day; returns how many lines.

    Lines that were rejected before stay rejected. What came off a line after it was claimed may be paid with it, and is
    owed back then, or left out. The steps occur on that day, not before the batch was made, and are
    recorded now. Raises Refused for a batch paid already; Invalid without a reference, for another amount than the
    lines still claimed come to, and for a day to come or before the batch.
    """
    reference = payment.bank_reference.strip()
    if not reference:
        sentence = lazy("Say by which reference the bank shows the money.")
        raise Invalid("no_reference", sentence, {"bank_reference": sentence})
    bank_days.check_past(payment.received_on, "received_on", now=now)
    with transaction():
        programme, batch = _locked_batch(batch_id)
        if batch.paid_at is not None:
            raise Refused("batch_paid", lazy("This batch is paid already."))
        claimed = select(Subsidy).where(Subsidy.batch_id == batch_id, Subsidy.state == State.CLAIMED)
        paid = db.session.scalars(claimed.order_by(Subsidy.id).with_for_update()).all()
        if not paid:
            raise Refused("nothing_claimed", lazy("Nothing in this batch waits for payment."))
        for one in paid:
            reviewers.check(one, actor_id)
        is_as_asked = _check_payment(payment, paid, batch)
        day = bank_days.moment_on(payment.received_on, since=batch.made_at, now=now)
        batch.paid_at, batch.bank_reference = day, reference
        for subsidy in paid:
            evidence = {"batch": batch.number, "bank_reference": reference}
            if not is_as_asked:
                subsidy.to_return_minor = 0
            event = subsidies.step(subsidy, programme, "pay", actor_id=actor_id, now=day, evidence=evidence)
            event.part_minor = subsidy.to_return_minor
        details = {"batch": batch.number, "bank_reference": reference, "subsidies": len(paid)}
        details |= {"amount": payment.amount.minor, "received_on": payment.received_on.isoformat()}
        programmes.record(programme, "batch_paid", actor_id=actor_id, now=now, details=details)
        return len(paid)


def _locked_batch(batch_id: int) -> tuple[FundingProgramme, ClaimBatch]:
    programme_id = db.session.scalar(select(ClaimBatch.programme_id).filter_by(id=batch_id))
    if programme_id is None:
        raise NotFound
    return locked(FundingProgramme, programme_id), locked(ClaimBatch, batch_id)


def _check_payment(payment: FunderPayment, claimed: Sequence[Subsidy], batch: ClaimBatch) -> bool:
    """Whether the funder paid what was asked for, rather than what is left of it by now."""
    nothing = Money(0, batch.programme.currency)
    asked, due = sum((one.asked for one in claimed), nothing), sum((one.amount for one in claimed), nothing)
    if payment.amount not in {asked, due}:
        sentence = lazy(
            "The lines still claimed come to %(amount)s. Reject what the funder did not pay, then enter its payment.",
            amount=due.major,
        )
        if asked != due:
            sentence = lazy(
                "The lines still claimed come to %(amount)s, or %(asked)s with what came off since. Reject what the"
                " funder did not pay, then enter its payment.",
                amount=due.major,
                asked=asked.major,
            )
        raise Invalid("wrong_amount", sentence, {"amount": sentence})
    if payment.received_on < bank_days.day_of(batch.made_at):
        sentence = lazy("On that day the batch had not been made yet.")
        raise Invalid("before_batch", sentence, {"received_on": sentence})
    return payment.amount == asked


@dataclass(frozen=True)
class Expectation:
    """By which day of the programme's zone a funder is expected to pay, and why not sooner."""

    last_day: date
    reason: str


def expect_later(batch_id: int, wish: Expectation, *, actor_id: int, now: datetime) -> ClaimBatch:
    """Give the funder of an unpaid batch more time. Locks the programme.

    Raises Refused where nothing is waited for, Invalid without a reason and for a day that is over or not later.
    """
    if not wish.reason.strip():
        raise Invalid("no_reason", lazy("Say why."), {"reason": lazy("Say why.")})
    with transaction():
        programme, batch = _locked_batch(batch_id)
        waits = exists().where(Subsidy.batch_id == batch_id, Subsidy.state == State.CLAIMED)
        if not db.session.scalar(select(waits)):
            raise Refused("nothing_claimed", lazy("Nothing in this batch waits for payment."))
        until = subsidy_rules.end_of_day(wish.last_day, programme.zone)
        if until <= max(batch.pay_by, now):
            raise Invalid("not_later", lazy("Choose a later day."), {"last_day": lazy("Choose a later day.")})
        batch.pay_by = until
        details = {"batch": batch.number, "until": wish.last_day.isoformat(), "reason": wish.reason.strip()}
        programmes.record(programme, "batch_extended", actor_id=actor_id, now=now, details=details)
        return batch


def get_batch(public_id: str) -> ClaimBatch:
    """A batch with its lines, people and evidence; raises NotFound."""
    query = (
        select(ClaimBatch)
        .filter_by(public_id=public_id)
        .options(
            joinedload(ClaimBatch.programme),
            selectinload(ClaimBatch.subsidies).options(
                joinedload(Subsidy.person), joinedload(Subsidy.rule_version), selectinload(Subsidy.events)
            ),
        )
    )
    batch = db.session.scalars(query).one_or_none()
    if batch is None:
        raise NotFound
    return batch


@dataclass(frozen=True)
class Standing:
    """A batch with how many lines it has, what was asked of the funder, and what became of it: the parts add up."""

    batch: ClaimBatch
    lines: int
    asked: Money
    waiting: Money
    paid: Money
    # Rejected by the funder, or let go since the order ended before it was paid.
    unpaid: Money
    # Paid once, and owed or sent back since.
    clawed_back: Money

    @property
    def is_answered(self) -> bool:
        """Whether nothing of it waits for the funder any more."""
        return self.waiting.is_zero

    def is_overdue(self, now: datetime) -> bool:
        """Whether something of it should have been paid by now."""
        return not self.is_answered and self.batch.pay_by <= now


def list_batches(programme: FundingProgramme) -> list[Standing]:
    """A programme's batches, newest first, each with its sums by what the funder answered.

    What came off a line after it was claimed is in what waits until the funder has answered, and in no sum after.
    """
    asked = case(
        (Subsidy.state == State.CLAIMED, Subsidy.amount_minor + Subsidy.to_return_minor), else_=Subsidy.amount_minor
    )
    query = (
        select(ClaimBatch, Subsidy.state, func.count(Subsidy.id), func.coalesce(func.sum(asked), 0))
        .outerjoin(Subsidy, Subsidy.batch_id == ClaimBatch.id)
        .where(ClaimBatch.programme_id == programme.id)
        .group_by(ClaimBatch.id, Subsidy.state)
        .order_by(ClaimBatch.number.desc())
    )
    found: dict[ClaimBatch, dict[str, tuple[int, int]]] = {}
    for batch, state, lines, minor in db.session.execute(query):
        found.setdefault(batch, {})[state] = (lines, int(minor))
    return [_standing(batch, by_state, programme.currency) for batch, by_state in found.items()]


def _standing(batch: ClaimBatch, by_state: Mapping[str, tuple[int, int]], currency: str) -> Standing:
    sums = dict.fromkeys(("waiting", "paid", "unpaid", "clawed_back"), 0)
    for state, (_lines, minor) in by_state.items():
        sums[_ANSWERS.get(state, "unpaid")] += minor
    lines = sum(lines for lines, _minor in by_state.values())
    parts = {name: Money(minor, currency) for name, minor in sums.items()}
    return Standing(batch, lines, Money(sum(sums.values()), currency), **parts)


def together(standings: Sequence[Standing], currency: str) -> dict[str, Money]:
    """The sums of all batches; `paid` is what the programme's budget page says was paid by the funder."""
    names = ("asked", "waiting", "paid", "unpaid", "clawed_back")
    return {name: Money(sum(getattr(one, name).minor for one in standings), currency) for name in names}


def list_claimable(programme_id: int, *, now: datetime) -> list[Subsidy]:
    """What is earned and not claimed yet, the soonest deadline first."""
    query = select(Subsidy).where(*_claimable(programme_id, now))
    query = query.options(joinedload(Subsidy.person)).order_by(Subsidy.claim_by, Subsidy.id)
    return list(db.session.scalars(query.limit(LARGEST_BATCH)))


def sheet_of(batch: ClaimBatch) -> Sheet:
    """The batch for the funder, as a table: who, what, how much, and by which evidence it was earned."""
    names = [_("Subsidy"), _("Learner"), _("Course"), _("Order"), _("Rule version"), _("Amount"), _("Currency")]
    states = subsidy_names.states()
    rows: list[list[Cell]] = []
    for subsidy in batch.subsidies:
        earned = earned_event(subsidy.events)
        evidence = earned.evidence if earned else {}
        completed = evidence.get("completed_at")
        rows.append(
            [
                *(subsidy.public_id, subsidy.person.name, str(pick(subsidy, "title")), subsidy.order_number),
                *(subsidy.rule_version.version, subsidy.asked.major, subsidy.currency),
                _day(earned.occurred_at, batch) if earned else None,
                evidence.get("attendance_percent"),
                _day(datetime.fromisoformat(completed), batch) if completed else None,
                states[State(subsidy.state)][0],
                (subsidy.asked - subsidy.amount).major if subsidy.asked != subsidy.amount else None,
                _day(subsidy.doubted_at, batch) if subsidy.is_doubted and subsidy.doubted_at else None,
            ]
        )
    name = str(pick(batch.programme, "name"))
    about = [(_("Funding programme"), name), (_("Batch"), str(batch.number))]
    header = [
        *names,
        _("Earned on"),
        _("Attendance (%)"),
        _("Completed on"),
        _("State"),
        _("Came off since"),
        _("In doubt since"),
    ]
    return Sheet(_("Batch"), about, header, rows)


def totals(batch: ClaimBatch) -> list[tuple[str, int, Money]]:
    """The states of a batch's lines, with how many they are and their sum."""
    found: dict[str, list[int]] = {}
    for subsidy in batch.subsidies:
        found.setdefault(subsidy.state, []).append(subsidy.asked.minor)
    return [(state, len(minor), Money(sum(minor), batch.programme.currency)) for state, minor in found.items()]


def earned_event(events: Sequence[SubsidyEvent]) -> SubsidyEvent | None:
    """The step by which a subsidy was earned, with its evidence."""
    return next((event for event in events if event.act == "earn"), None)


def _day(moment: datetime, batch: ClaimBatch) -> date:
    return moment.astimezone(ZoneInfo(batch.programme.zone)).date()


def sweep_claims(*, now: datetime) -> int:
    """Let what was earned but not claimed in time lapse, each in a transaction of its own; returns how many."""
    late = select(Subsidy.id).where(Subsidy.state == State.EARNED, Subsidy.claim_by <= now).order_by(Subsidy.claim_by)
    ids = db.session.scalars(late.limit(SWEEP_BATCH)).all()
    for subsidy_id in ids:
        subsidies.lapse(subsidy_id, {"claimed": False}, now=now)
    return len(ids)


@jobs.periodic(cron="7 * * * *", name="funding.sweep_claims")
def sweep() -> None:
    """Every hour: what staff did not claim in time is borne by the programme."""
    lapsed = sweep_claims(now=clock.now())
    if lapsed:
        log.warning("claims lapsed", subsidies=lapsed)
