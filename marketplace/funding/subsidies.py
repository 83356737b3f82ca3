"""Where subsidies are reserved, earned, ended: each step by the table of transitions, under the programme's lock.

The programme is locked before its subsidies, and after everything of the rooms above (order, run, hold). A step that
the table does not have is refused; whatever ends gives its part of the budget back, but for what the programme bears.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.funding import estimates, facts, programmes, reviewers, subsidy_letters, subsidy_rules, subsidy_states
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidy_models import Subsidy, SubsidyAttempt, SubsidyConsent, SubsidyEvent
from marketplace.funding.subsidy_states import State

if TYPE_CHECKING:
    from datetime import date, datetime

    from flask_babel import LazyString

    from marketplace.foundation.money import Money
    from marketplace.funding.facts import Buyer, Consent, Offer
    from marketplace.funding.programme_models import FundingRule
    from marketplace.funding.subsidy_rules import Decision

NOBODY_COULD = lazy("The provider asks for nothing that would complete the course. That is not your fault.")
ENDED = frozenset({State.CANCELLED, State.RELEASED, State.CLAWED_BACK, State.SENT_BACK})


@dataclass(frozen=True)
class Ask:
    """Somebody asks a programme to pay a part of a price; `shown` is the amount they saw, by which version."""

    programme_id: int
    version: int
    buyer: Buyer
    offer: Offer
    price: Money
    shown: Money
    consent: Consent | None


@dataclass(frozen=True)
class Line:
    """The order line it is for, as this room knows it."""

    id: int
    order_number: str
    title_zh: str
    title_en: str


class SubsidyRefused(Refused):
    """The programme does not pay what was shown; `keep_refusal` writes it down once the order is rolled back."""

    def __init__(
        self,
        code: str,
        message: LazyString,
        ask: Ask,
        version: FundingRule | None,
        decision: Decision | None = None,
    ) -> None:
        """Keep what was asked and decided."""
        super().__init__(code, message)
        # No row: it may be raised in another thread than its session's.
        self.ask, self.rule_id, self.decision = ask, version.id if version else None, decision


def reserve(ask: Ask, line: Line, *, now: datetime) -> Subsidy:
    """Promise the amount shown for a line, in the caller's transaction: the budget is committed with the order.

    Locks the programme, decides by the version in force, and writes the attempt, the consent and the subsidy, which is
    reserved at once or, where the rule asks for a review, applied for. Raises SubsidyRefused when the conditions are
    not met, the amount is another one by now, or nothing was agreed to.
    """
    with transaction():
        programme = locked(FundingProgramme, ask.programme_id)
        version, decision, agreed = _decide(programme, ask, now=now)
        attempt = add(_attempt(ask, version.id, decision, line=line, refusal="", now=now))
        given = asdict(agreed) | {"facts": list(agreed.facts)}
        consent = add(
            SubsidyConsent(person_id=ask.buyer.person_id, programme_id=programme.id, given_at=now, **given)
        )  # fmt: skip
        subsidy = add(_subsidy(programme, version, ask, line, attempt, consent, now=now))
        programme.committed_minor += decision.amount.minor
        db.session.flush()
        _record(subsidy, "apply", None, now=now, actor_id=ask.buyer.person_id, deadline=subsidy.earn_by)
        if not version.rule.needs_review:
            step(subsidy, programme, "approve", actor_id=None, now=now, evidence={"attempt": attempt.id})
        return subsidy


def _decide(programme: FundingProgramme, ask: Ask, *, now: datetime) -> tuple[FundingRule, Decision, Consent]:
    version = programmes.rule_in_force(programme.id)
    if version is None or programme.closed_at is not None:
        raise SubsidyRefused("programme_closed", lazy("This funding programme is not open."), ask, version)
    left = estimates.left_for(programme, ask.buyer.person_id, now=now)
    decision = estimates.decide(version, ask.buyer, ask.offer, ask.price, left=left, now=now)
    if not decision.is_granted:
        message = lazy("The funding programme does not pay for this seat. Nothing was ordered.")
        raise SubsidyRefused("subsidy_refused", message, ask, version, decision)
    if decision.amount != ask.shown or version.version != ask.version:
        message = lazy("What the funding programme pays has changed since you saw it. Please look at it again.")
        raise SubsidyRefused("subsidy_changed", message, ask, version, decision)
    if ask.consent is None:
        message = lazy("The funding programme can pay only if you agree that it is told what it asks for.")
        raise SubsidyRefused("consent_needed", message, ask, version, decision)
    return version, decision, ask.consent


def keep_refusal(refusal: SubsidyRefused, *, now: datetime) -> SubsidyAttempt:
    """Write down an attempt that was refused, after the order it belonged to was rolled back."""
    with transaction():
        ask = refusal.ask
        return add(_attempt(ask, refusal.rule_id, refusal.decision, line=None, refusal=refusal.code, now=now))


def _attempt(
    ask: Ask, rule_id: int | None, decision: Decision | None, *, line: Line | None, refusal: str, now: datetime
) -> SubsidyAttempt:
    return SubsidyAttempt(
        programme_id=ask.programme_id,
        rule_id=rule_id,
        person_id=ask.buyer.person_id,
        order_line_id=line.id if line else None,
        outcome="refused" if refusal else "accepted",
        refusal=refusal,
        price_minor=ask.price.minor,
        amount_minor=decision.amount.minor if decision else 0,
        currency=ask.price.currency,
        buyer=facts.recorded(ask.buyer),
        offer=facts.recorded(ask.offer),
        reasons=[asdict(reason) for reason in decision.reasons] if decision else [],
        attempted_at=now,
    )


def _subsidy(
    programme: FundingProgramme,
    version: FundingRule,
    ask: Ask,
    line: Line,
    attempt: SubsidyAttempt,
    consent: SubsidyConsent,
    *,
    now: datetime,
) -> Subsidy:
    day = subsidy_rules.day_of(now, programme.zone)
    return Subsidy(
        programme=programme,
        rule_version=version,
        attempt=attempt,
        consent=consent,
        person_id=ask.buyer.person_id,
        order_line_id=line.id,
        order_number=line.order_number,
        title_zh=line.title_zh,
        title_en=line.title_en,
        state=State.APPLIED,
        amount_minor=attempt.amount_minor,
        committed_minor=attempt.amount_minor,
        currency=programme.currency,
        applied_at=now,
        earn_by=subsidy_rules.earn_by(version.rule, ask.offer, day=day, zone=programme.zone),
    )


def release(order_line_id: int, reason: str, *, now: datetime, actor_id: int | None = None) -> Subsidy | None:
    """Let go of the subsidy of a line whose order ends: its amount returns to the budget, nothing is owed for it.

    What was paid already is owed back to the funder. None for a line without a subsidy; doing it twice changes
    nothing. Locks the programme.
    """
    subsidy_id = db.session.scalar(select(Subsidy.id).filter_by(order_line_id=order_line_id))
    if subsidy_id is None:
        return None
    with transaction():
        subsidy, programme = locked_subsidy(subsidy_id)
        if subsidy.state not in ENDED:
            step(subsidy, programme, "release", actor_id=actor_id, now=now, evidence={"reason": reason})
        return subsidy


def reinstate(order_line_id: int, *, now: datetime) -> bool:
    """Promise again what an expired order had let go, because its money came late; whether that was possible.

    True for a line without a subsidy, False for what had lapsed or been rejected. The budget and the person's cap must
    still hold it, and no other course be the first by now; else the conditions were met. Locks the programme.
    """
    subsidy_id = db.session.scalar(select(Subsidy.id).filter_by(order_line_id=order_line_id))
    if subsidy_id is None:
        return True
    with transaction():
        subsidy, programme = locked_subsidy(subsidy_id)
        if subsidy.state not in {State.CANCELLED, State.RELEASED}:
            return subsidy.state not in ENDED
        ended = select(SubsidyEvent.from_state).filter_by(subsidy_id=subsidy_id, act="release")
        if db.session.scalar(ended.order_by(SubsidyEvent.id.desc()).limit(1)) in subsidy_states.UNPAID:
            return False
        left, rule = estimates.left_for(programme, subsidy.person_id, now=now), subsidy.rule_version.rule
        possible = subsidy_rules.granted_minor(rule, subsidy.attempt.price_minor, left)
        is_second = rule.first_time_only and left.lines > 0
        if is_second or min(left.budget_minor, possible) < subsidy.amount_minor:
            return False
        step(subsidy, programme, "reinstate", actor_id=None, now=now, evidence={"reason": "paid late"})
        return True


def approve(subsidy_id: int, *, note: str, actor_id: int, now: datetime) -> Subsidy:
    """Accept an application that was waiting for a review, and write to the person. Locks the programme."""
    with transaction():
        subsidy, programme = locked_subsidy(subsidy_id)
        reviewers.check(subsidy, actor_id)
        step(subsidy, programme, "approve", actor_id=actor_id, now=now, evidence={"note": note} if note else {})
        subsidy_letters.send_approved(subsidy)
        return subsidy


def reject(subsidy_id: int, *, reason: str, actor_id: int, now: datetime) -> Subsidy:
    """Refuse what is applied for, reserved, earned or claimed, and write to the person what the rule says follows."""
    if not reason.strip():
        sentence = lazy("Say why: the person reads it.")
        raise Invalid("no_reason", sentence, {"reason": sentence})
    with transaction():
        subsidy, programme = locked_subsidy(subsidy_id)
        reviewers.check(subsidy, actor_id)
        step(subsidy, programme, "reject", actor_id=actor_id, now=now, evidence={"reason": reason.strip()})
        subsidy_letters.send_ended(subsidy, reason=reason.strip())
        return subsidy


def earn(subsidy_id: int, evidence: dict[str, Any], *, now: datetime, actor_id: int | None = None) -> Subsidy:
    """Note that the conditions are met, by this evidence; from now on the claim has a deadline. Locks the programme."""
    with transaction():
        subsidy, programme = locked_subsidy(subsidy_id)
        if subsidy.state != State.RESERVED:
            return subsidy
        rule = subsidy.rule_version.rule
        last = subsidy_rules.day_of(now, programme.zone) + rule.claim_within_days * subsidy_rules.DAY
        subsidy.claim_by = subsidy_rules.end_of_day(last, programme.zone)
        step(subsidy, programme, "earn", actor_id=actor_id, now=now, evidence=evidence, deadline=subsidy.claim_by)
        return subsidy


def lapse(subsidy_id: int, evidence: dict[str, Any], *, could_earn: bool = True, now: datetime) -> Subsidy:
    """End a subsidy whose deadline has passed, by the rule it was decided by, and write to the person.

    Where nobody could have met the conditions, not `could_earn`, the learner owes nothing. Raises Refused before the
    deadline. Locks the programme; a subsidy that moved on meanwhile stays as it is.
    """
    with transaction():
        subsidy, programme = locked_subsidy(subsidy_id)
        if subsidy.state not in {State.RESERVED, State.EARNED}:
            return subsidy
        was_earned = subsidy.state == State.EARNED
        deadline = subsidy.claim_by if was_earned else subsidy.earn_by
        if deadline is None or now < deadline:
            raise Refused("not_lapsed", lazy("The deadline has not passed yet."))
        event = step(subsidy, programme, "lapse", actor_id=None, now=now, evidence=evidence, deadline=deadline)
        if not could_earn:
            _bear(subsidy, programme, event)
        if not was_earned:
            subsidy_letters.send_ended(subsidy, reason="" if could_earn else NOBODY_COULD)
        return subsidy


def lapse_unreviewed(
    subsidy_id: int, evidence: dict[str, Any], *, is_earned: bool, could_earn: bool = True, now: datetime
) -> Subsidy:
    """End an application that nobody reviewed before its deadline, and write to the person. Locks the programme.

    Without the conditions it lapses as `lapse` says. Where they are met, `is_earned`, only staff are late: the learner
    agreed to no such case and owes nothing, so the programme bears it. Raises Refused before the deadline;
    one that moved on meanwhile stays as it is.
    """
    with transaction():
        subsidy, programme = locked_subsidy(subsidy_id)
        if subsidy.state != State.APPLIED:
            return subsidy
        if now < subsidy.earn_by:
            raise Refused("not_lapsed", lazy("The deadline has not passed yet."))
        said, deadline = evidence | {"reviewed": False}, subsidy.earn_by
        event = step(subsidy, programme, "lapse", actor_id=None, now=now, evidence=said, deadline=deadline)
        if is_earned or not could_earn:
            _bear(subsidy, programme, event)
        subsidy_letters.send_ended(subsidy, reason="" if could_earn else NOBODY_COULD, was_earned=is_earned)
        return subsidy


def _bear(subsidy: Subsidy, programme: FundingProgramme, event: SubsidyEvent) -> None:
    owed, subsidy.owed_minor = subsidy.owed_minor, 0
    subsidy.committed_minor += owed
    programme.committed_minor += owed
    event.owed_minor, event.borne_minor = 0, subsidy.committed_minor


def extend(subsidy_id: int, last_day: date, *, reason: str, actor_id: int | None, now: datetime) -> Subsidy:
    """Move the deadline of the present state to the end of a later day, with a reason. Locks the programme."""
    with transaction():
        subsidy, programme = locked_subsidy(subsidy_id)
        reviewers.check(subsidy, actor_id)
        until = subsidy_rules.end_of_day(last_day, programme.zone)
        name = {State.APPLIED: "earn_by", State.RESERVED: "earn_by", State.EARNED: "claim_by"}.get(State(subsidy.state))
        if name is None:
            raise Refused("no_deadline", lazy("Nothing is waited for here any more."))
        if until <= max(getattr(subsidy, name), now):
            raise Invalid("not_later", lazy("Choose a later day."), {"last_day": lazy("Choose a later day.")})
        setattr(subsidy, name, until)
        state = State(subsidy.state)
        _record(subsidy, "extend", state, now=now, actor_id=actor_id, deadline=until, evidence={"reason": reason})
        if actor_id is not None and state is State.RESERVED:
            subsidy_letters.send_extended(subsidy)
        return subsidy


def step(
    subsidy: Subsidy,
    programme: FundingProgramme,
    act: str,
    *,
    actor_id: int | None,
    now: datetime,
    evidence: dict[str, Any],
    deadline: datetime | None = None,
) -> SubsidyEvent:
    """Take one step of TRANSITIONS with a locked programme: state, what is owed, the budget, and the event of it."""
    before = State(subsidy.state)
    to = subsidy_states.target(before, act)
    if to is None:
        raise Refused("subsidy_step", lazy("This cannot be done with a subsidy in its present state."))
    rule = subsidy.rule_version.rule
    owed = subsidy_rules.owed_minor(rule, before, to, subsidy.amount_minor)
    committed = subsidy_rules.committed_minor(to, subsidy.amount_minor, owed)
    borne = _borne(to, subsidy.amount_minor - owed) - _borne(before, subsidy.amount_minor - subsidy.owed_minor)
    owed_more = owed - subsidy.owed_minor
    programme.committed_minor += committed - subsidy.committed_minor
    subsidy.state, subsidy.owed_minor, subsidy.committed_minor = to, owed, committed
    if before is State.CLAIMED and to is not State.PAID:
        # The funder never paid what came off since, so there is nothing to return.
        subsidy.to_return_minor = 0
    db.session.flush()
    event = _record(subsidy, act, before, now=now, actor_id=actor_id, deadline=deadline, evidence=evidence)
    event.owed_minor, event.borne_minor = owed_more, borne
    return event


def _borne(state: State, not_owed: int) -> int:
    return not_owed if state in subsidy_states.UNPAID else 0


def _record(
    subsidy: Subsidy,
    act: str,
    before: State | None,
    *,
    now: datetime,
    actor_id: int | None,
    deadline: datetime | None,
    evidence: dict[str, Any] | None = None,
) -> SubsidyEvent:
    event = SubsidyEvent(
        subsidy_id=subsidy.id,
        act=act,
        from_state=before,
        to_state=subsidy.state,
        occurred_at=now,
        actor_id=actor_id,
        amount_minor=subsidy.amount_minor,
        deadline=deadline,
        evidence=evidence or {},
    )
    db.session.add(event)
    return event


def note(
    subsidy: Subsidy, act: str, *, part: int, actor_id: int | None, now: datetime, evidence: dict[str, Any]
) -> SubsidyEvent:
    """Write down what happened to a part of a locked subsidy while its state stays; the books pick the part up."""
    db.session.flush()
    state = State(subsidy.state)
    event = _record(subsidy, act, state, now=now, actor_id=actor_id, deadline=None, evidence=evidence)
    event.part_minor = part
    return event


def locked_subsidy(subsidy_id: int) -> tuple[Subsidy, FundingProgramme]:
    """A subsidy and its programme, both locked, the programme first; raises NotFound."""
    programme_id = db.session.scalar(select(Subsidy.programme_id).filter_by(id=subsidy_id))
    if programme_id is None:
        raise NotFound
    programme = locked(FundingProgramme, programme_id)
    return locked(Subsidy, subsidy_id), programme
