"""What became of the demo's subsidies: steps by the table of transitions, batches of claims, and the ledger's view."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from marketplace.demo.chance import public_id, seeded
from marketplace.demo.money import Posting, post_all
from marketplace.demo.rows import insert_rows
from marketplace.demo.subsidies import Grant, attempt_row
from marketplace.enrolment.models import OrderLine
from marketplace.foundation.database import add, db
from marketplace.foundation.money import Money
from marketplace.funding import claims, subsidy_names, subsidy_rules, subsidy_states
from marketplace.funding.subsidy_models import ClaimBatch, Subsidy, SubsidyAttempt, SubsidyConsent, SubsidyEvent
from marketplace.funding.subsidy_rules import Evidence
from marketplace.funding.subsidy_states import State
from marketplace.participation.models import Attendance, Completion
from marketplace.payments import posting_rules
from marketplace.payments.postings import STILL_ACTS

if TYPE_CHECKING:
    from marketplace.demo.history import Purchase, Written
    from marketplace.funding.programme_models import FundingProgramme

REVIEWED_AFTER = timedelta(days=45)
WEIGHED_AFTER = timedelta(hours=3)
CLAIMED_EVERY = timedelta(days=60)
PAID_AFTER = timedelta(days=40)
# Not paid yet, so that a batch can be seen waiting.
NEWEST_BATCH = timedelta(days=35)


@dataclass
class Course:
    """What one subsidy went through: its steps as (act, moment, evidence), and the state they led to."""

    state: State
    steps: list[tuple[str, datetime, dict[str, Any]]]
    claim_by: datetime | None = None
    batch: int | None = None


def write(written: Written, grants: dict[str, Grant], *, now: datetime) -> None:
    """Insert attempts, consents, subsidies with their steps, batches and postings. Call inside a transaction."""
    lines = {line.order_id: line for line in db.session.scalars(select(OrderLine))}
    evidence = _evidence()
    rows = [
        (purchase, grants[purchase.numbers["order"]], lines[order_id], enrolment_id)
        for purchase, order_id, enrolment_id in zip(
            written.purchases, written.order_ids, written.enrolment_ids, strict=True
        )
        if purchase.numbers["order"] in grants
    ]
    courses = [_course(purchase, grant, evidence.get(enrolment or 0), now) for purchase, grant, _l, enrolment in rows]
    _claim([(grant, course) for (_p, grant, _l, _e), course in zip(rows, courses, strict=True)], now)
    for (purchase, _g, _l, _e), course in zip(rows, courses, strict=True):
        if purchase.is_ended_late and purchase.ended_at is not None:
            _step(course, "release", purchase.ended_at, {"reason": purchase.outcome})
    attempts = insert_rows(SubsidyAttempt, [attempt_row(grant, p.placed_at, line.id) for p, grant, line, _e in rows])
    consents = insert_rows(SubsidyConsent, [_consent(grant, purchase.placed_at) for purchase, grant, _l, _e in rows])
    chance = seeded("subsidy ids")
    kept = [
        _subsidy(grant, line, course, purchase) | {"attempt_id": a, "consent_id": c, "public_id": public_id(chance)}
        for (purchase, grant, line, _e), course, a, c in zip(rows, courses, attempts, consents, strict=True)
    ]
    ids = insert_rows(Subsidy, kept)
    _write_steps(list(zip(ids, rows, courses, strict=True)))
    for (_p, grant, _l, _e), row in zip(rows, kept, strict=True):
        grant.version.programme.committed_minor += row["committed_minor"]
    db.session.flush()


def _course(purchase: Purchase, grant: Grant, found: Evidence | None, now: datetime) -> Course:
    rule, placed = grant.version.rule, purchase.placed_at
    approved = placed + REVIEWED_AFTER if rule.needs_review else placed
    course = Course(State.APPLIED, [("apply", placed, {})])
    if approved <= (purchase.ended_at or now):
        _step(course, "approve", approved, {})
    if purchase.ended_at is not None and not purchase.is_ended_late:
        _step(course, "release", purchase.ended_at, {"reason": purchase.outcome})
    if course.state is not State.RESERVED:
        return course
    over = purchase.run.plan.ends_at
    by = _earn_by(purchase, grant)
    weighed = max(over, found.completed_at or over if found else over) + WEIGHED_AFTER
    if found and weighed <= now and subsidy_rules.weigh(rule, found, earn_by=by, now=weighed).value == "earned":
        completed = found.completed_at.isoformat() if found.completed_at else None
        proof = {"attendance_percent": found.attendance_percent, "completed_at": completed}
        _step(course, "earn", weighed, proof)
        last = subsidy_rules.day_of(weighed, grant.version.programme.zone) + timedelta(days=rule.claim_within_days)
        course.claim_by = subsidy_rules.end_of_day(last, grant.version.programme.zone)
    elif by <= now:
        _step(course, "lapse", by, {"attendance_percent": found.attendance_percent if found else 0})
    return course


def _claim(courses: list[tuple[Grant, Course]], now: datetime) -> None:
    """Put what was earned into a batch every two months; the funder pays three weeks later, and rejects one line."""
    earned: dict[int, list[Course]] = defaultdict(list)
    programmes = {}
    for grant, course in courses:
        if course.state is State.EARNED:
            earned[grant.version.programme_id].append(course)
            programmes[grant.version.programme_id] = grant.version.programme
    for programme_id, ones in earned.items():
        first = min(course.steps[-1][1] for course in ones)
        made, number = now - NEWEST_BATCH - CLAIMED_EVERY * ((now - first) // CLAIMED_EVERY), 0
        while made <= now - NEWEST_BATCH:
            due = [one for one in ones if made - CLAIMED_EVERY <= one.steps[-1][1] < made and one.state is State.EARNED]
            if due:
                number += 1
                _batch(programmes[programme_id], number, due, made, now)
            made += CLAIMED_EVERY


def _batch(programme: FundingProgramme, number: int, due: list[Course], made: datetime, now: datetime) -> None:
    paid = made + PAID_AFTER if made + PAID_AFTER <= now else None
    reference = f"ICBC-YS-{programme.id}{number:03}" if paid else ""
    batch = add(
        ClaimBatch(
            programme=programme,
            number=number,
            made_at=made,
            pay_by=claims.expected_by(made, programme.zone),
            paid_at=paid,
            bank_reference=reference,
        )
    )
    for index, course in enumerate(due):
        course.batch = batch.id
        _step(course, "claim", made, {"batch": number})
        if paid and index == 0 and number == 1 and len(due) > 1:
            _step(course, "reject", paid - timedelta(days=3), {"reason": "（演示）与其他补贴重复申报"})
        elif paid:
            _step(course, "pay", paid, {"batch": number, "bank_reference": reference})


def _step(course: Course, act: str, moment: datetime, evidence: dict[str, Any]) -> None:
    to = subsidy_states.target(course.state, act)
    if to is None:
        message = f"no step {act} from {course.state}"
        raise ValueError(message)
    course.state = to
    course.steps.append((act, moment, evidence))


def _write_steps(rows: list[tuple[int, tuple[Purchase, Grant, OrderLine, int | None], Course]]) -> None:
    """The events of every subsidy, and what the ledger says of those that move money."""
    events: list[dict[str, Any]] = []
    postings: list[tuple[Purchase, OrderLine, Grant]] = []
    for subsidy_id, (purchase, grant, line, _enrolment), course in rows:
        for event in _events(grant, course, purchase):
            events.append(event | {"subsidy_id": subsidy_id})
            postings.append((purchase, line, grant))
    ids = insert_rows(SubsidyEvent, events)
    post_all(
        [
            posting
            for event_id, event, (purchase, line, grant) in zip(ids, events, postings, strict=True)
            if event["act"] not in STILL_ACTS and (posting := _posting(event_id, event, purchase, line, grant)).entries
        ]
    )


def _events(grant: Grant, course: Course, purchase: Purchase) -> list[dict[str, Any]]:
    amount, before = grant.decision.amount.minor, None
    rule, made = grant.version.rule, []
    state, owed, held = State.APPLIED, 0, 0
    for act, moment, evidence in course.steps:
        to = state if before is None else subsidy_states.target(state, act) or state
        owed_now = subsidy_rules.owed_minor(rule, state, to, amount)
        borne = subsidy_rules.committed_minor(to, amount, owed_now) if to in {State.LAPSED, State.REJECTED} else 0
        deadline = {"apply": _earn_by(purchase, grant), "earn": course.claim_by, "lapse": moment}.get(act)
        made.append(
            {
                "act": act,
                "from_state": before,
                "to_state": to,
                "occurred_at": moment,
                "recorded_at": moment,
                "actor_id": purchase.person_id if act == "apply" else None,
                "amount_minor": amount,
                "owed_minor": owed_now - owed,
                "borne_minor": borne - held,
                "deadline": deadline,
                "evidence": evidence,
            }
        )
        before, state, owed, held = to, to, owed_now, borne
    return made


def _posting(event_id: int, event: dict[str, Any], purchase: Purchase, line: OrderLine, grant: Grant) -> Posting:
    step = posting_rules.Step(
        amount=grant.decision.amount,
        before=event["from_state"],
        after=event["to_state"],
        owed=Money(event["owed_minor"], "CNY"),
        borne=Money(event["borne_minor"], "CNY"),
        programme_id=grant.version.programme_id,
    )
    entries = posting_rules.subsidy_step(step)
    return Posting(
        f"subsidy:{event_id}", "subsidy", event["occurred_at"], entries, line.order_id, purchase.run.run.id
    )  # fmt: skip


def _subsidy(grant: Grant, line: OrderLine, course: Course, purchase: Purchase) -> dict[str, Any]:
    amount, rule = grant.decision.amount.minor, grant.version.rule
    before = {State.REJECTED: State.CLAIMED, State.LAPSED: State.RESERVED}.get(course.state, course.state)
    owed = subsidy_rules.owed_minor(rule, before, course.state, amount)
    return {
        "programme_id": grant.version.programme_id,
        "rule_id": grant.version.id,
        "person_id": purchase.person_id,
        "order_line_id": line.id,
        "order_number": purchase.numbers["order"],
        "title_zh": line.title_zh,
        "title_en": line.title_en,
        "state": course.state,
        "amount_minor": amount,
        "committed_minor": subsidy_rules.committed_minor(course.state, amount, owed),
        "owed_minor": owed,
        "currency": "CNY",
        "applied_at": purchase.placed_at,
        "earn_by": _earn_by(purchase, grant),
        "claim_by": course.claim_by,
        "batch_id": course.batch,
    }


def _earn_by(purchase: Purchase, grant: Grant) -> datetime:
    zone = grant.version.programme.zone
    day = subsidy_rules.day_of(purchase.placed_at, zone)
    return subsidy_rules.earn_by(grant.version.rule, grant.offer, day=day, zone=zone)


def _consent(grant: Grant, moment: datetime) -> dict[str, Any]:
    agreed = subsidy_names.consent(grant.version)
    return asdict(agreed) | {
        "facts": list(agreed.facts),
        "person_id": grant.buyer.person_id,
        "programme_id": grant.version.programme_id,
        "given_at": moment,
    }


def _evidence() -> dict[int, Evidence]:
    """What is known of each place whose sessions were marked, by enrolment."""
    present = func.count().filter(Attendance.status == "present")
    counted = func.count().filter(Attendance.status != "excused")
    marks = select(Attendance.enrolment_id, present, counted).group_by(Attendance.enrolment_id)
    completed = {one.enrolment_id: one.completed_at for one in db.session.scalars(select(Completion))}
    return {
        enrolment: Evidence(
            is_over=True, attendance_percent=came * 100 // of if of else 0, completed_at=completed.get(enrolment)
        )
        for enrolment, came, of in db.session.execute(marks)
    }
