"""Where funding programmes are kept: made, changed, given money, and given rules in versions.

Every verb locks the programme, the last of all locks but the ledger's, and leaves a line in its history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import aliased, contains_eager, joinedload, selectinload

from marketplace.accounts.models import Organisation
from marketplace.foundation import keeping
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import EXPONENTS
from marketplace.funding import kept_rules, subsidy_rules
from marketplace.funding.programme_models import FundingDeposit, FundingProgramme, FundingRule, ProgrammeEvent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from marketplace.foundation.money import Money
    from marketplace.funding.subsidy_rules import Rule

FIELDS = frozenset(
    {"name_zh", "name_en", "terms_zh", "terms_en", "funder_id", "funder_zh", "funder_en", "zone"}
    | {"applications_from", "applications_until", "runs_from", "runs_until"}
)


def create(values: Mapping[str, Any], *, currency: str, actor_id: int, now: datetime) -> FundingProgramme:
    """Make a programme without money or rule. Raises Invalid for what the database refuses."""
    if currency not in EXPONENTS:
        raise Invalid("currency", lazy("This currency cannot be used."), {"currency": lazy("Choose a currency.")})
    with transaction():
        programme = add(FundingProgramme(currency=currency, created_at=now, **_fields(values)))
        record(programme, "created", actor_id=actor_id, now=now)
        return programme


def change(programme_id: int, values: Mapping[str, Any], *, actor_id: int, now: datetime) -> FundingProgramme:
    """Change names, terms, funder and days; its currency stays. What was decided keeps its facts."""
    with transaction():
        programme = locked(FundingProgramme, programme_id)
        before = {name: getattr(programme, name) for name in FIELDS}
        for name, value in _fields(values).items():
            setattr(programme, name, value)
        db.session.flush()
        changed = sorted(name for name, value in before.items() if getattr(programme, name) != value)
        if changed:
            record(programme, "changed", actor_id=actor_id, now=now, details={"fields": changed})
        return programme


def close(programme_id: int, *, is_closed: bool, actor_id: int, now: datetime) -> None:
    """End a programme before its time, or open it again; what is promised stays promised."""
    with transaction():
        programme = locked(FundingProgramme, programme_id)
        if (programme.closed_at is not None) == is_closed:
            return
        programme.closed_at = now if is_closed else None
        record(programme, "closed" if is_closed else "opened", actor_id=actor_id, now=now)


def deposit(
    programme_id: int, amount: Money, *, reference: str, note: str = "", actor_id: int | None, now: datetime
) -> FundingDeposit:
    """Record money the funder put in, or took back if negative, under a reference that is used once.

    Raises Refused when the reference is known, or when more is taken back than is left to promise.
    """
    with transaction():
        programme = locked(FundingProgramme, programme_id)
        if amount.currency != programme.currency:
            raise Invalid("currency", lazy("The programme keeps another currency."))
        if not reference.strip():
            raise Invalid("no_reference", lazy("Say by which reference the money can be found."))
        made = add(
            FundingDeposit(
                programme_id=programme_id,
                amount_minor=amount.minor,
                reference=reference.strip(),
                note=note,
                recorded_at=now,
                recorded_by_id=actor_id,
            )
        )
        programme.deposited_minor += amount.minor
        db.session.flush()
        details = {"amount_minor": amount.minor, "reference": made.reference}
        record(programme, "deposited", actor_id=actor_id, now=now, details=details)
        return made


def write_draft(programme_id: int, rule: Rule, *, actor_id: int, now: datetime) -> FundingRule:
    """Write the draft of the next version, anew or over the present one; raises Invalid for a senseless rule."""
    check_rule(rule)
    with transaction():
        programme = locked(FundingProgramme, programme_id)
        draft = find_draft(programme_id)
        if draft is None:
            last = db.session.scalar(
                select(FundingRule.version).filter_by(programme_id=programme_id).order_by(FundingRule.version.desc())
            )
            draft = FundingRule(programme_id=programme_id, version=(last or 0) + 1, created_at=now)
        draft.content = kept_rules.as_json(rule)
        add(draft)
        record(programme, "rule_drafted", actor_id=actor_id, now=now, details={"version": draft.version})
        return draft


def publish_draft(programme_id: int, *, shown: str | None = None, actor_id: int, now: datetime) -> FundingRule:
    """Put the draft in force: from now on it decides, and nobody can change it.

    Raises Refused without a draft, and for another one than `shown`, the mark of what the officer read.
    """
    with transaction():
        programme = locked(FundingProgramme, programme_id)
        draft = find_draft(programme_id)
        if draft is None:
            raise Refused("no_draft", lazy("There is no draft to publish."))
        if shown is not None and shown != draft.mark:
            message = lazy("Another officer has changed the draft since you read it. Please read it again.")
            raise Refused("draft_changed", message)
        draft.published_at, draft.published_by_id = now, actor_id
        db.session.flush()
        record(programme, "rule_published", actor_id=actor_id, now=now, details={"version": draft.version})
        return draft


def check_rule(rule: Rule) -> None:
    """Raise Invalid with a sentence for each part of a rule that makes no sense."""
    wrong: dict[str, Any] = {}
    if (rule.percent is None) == (rule.fixed_minor is None):
        wrong["percent"] = lazy("Give a percentage or a fixed amount, not both.")
    elif rule.percent is not None and not 1 <= rule.percent <= subsidy_rules.WHOLE:
        wrong["percent"] = lazy("A percentage lies between 1 and 100.")
    amounts = {
        "fixed": rule.fixed_minor,
        "line_cap": rule.line_cap_minor,
        "person_year_cap": rule.person_year_cap_minor,
    }
    wrong |= {
        name: lazy("An amount is more than nothing.")
        for name, amount in amounts.items()
        if amount is not None and amount <= 0
    }
    if rule.attendance_percent is not None and not 1 <= rule.attendance_percent <= subsidy_rules.WHOLE:
        wrong["attendance_percent"] = lazy("A percentage lies between 1 and 100.")
    if not 0 <= rule.owed_percent <= subsidy_rules.WHOLE:
        wrong["owed_percent"] = lazy("A percentage lies between 0 and 100.")
    for name in ("earn_within_days", "claim_within_days"):
        if getattr(rule, name) < 0:
            wrong[name] = lazy("A term is a number of days.")
    if wrong:
        raise Invalid("rule", lazy("Please check the rule."), wrong)


def find_draft(programme_id: int) -> FundingRule | None:
    """The draft of the next version, if one is being written."""
    return db.session.scalars(
        select(FundingRule).where(FundingRule.programme_id == programme_id, FundingRule.published_at.is_(None))
    ).one_or_none()


def rule_in_force(programme_id: int) -> FundingRule | None:
    """The version that decides now: the newest published one."""
    query = select(FundingRule).where(
        FundingRule.programme_id == programme_id, FundingRule.published_at.is_not(None)
    )  # fmt: skip
    return db.session.scalars(query.order_by(FundingRule.version.desc()).limit(1)).one_or_none()


def find_in_force(public_id: str) -> FundingRule | None:
    """The version that decides now for a programme that is not closed, with its programme."""
    return keeping.once(("in force", public_id), lambda: _in_force(public_id))


def _in_force(public_id: str) -> FundingRule | None:
    query = (
        select(FundingRule)
        .join(FundingRule.programme)
        .where(
            FundingProgramme.public_id == public_id,
            FundingProgramme.closed_at.is_(None),
            FundingRule.published_at.is_not(None),
        )
        .options(contains_eager(FundingRule.programme))
    )
    return db.session.scalars(query.order_by(FundingRule.version.desc()).limit(1)).one_or_none()


def get(public_id: str) -> FundingProgramme:
    """A programme with its funder, deposits and rules; raises NotFound."""
    query = (
        select(FundingProgramme)
        .filter_by(public_id=public_id)
        .options(
            joinedload(FundingProgramme.funder),
            selectinload(FundingProgramme.deposits).joinedload(FundingDeposit.recorded_by),
            selectinload(FundingProgramme.rules),
        )
    )
    programme = db.session.scalars(query).one_or_none()
    if programme is None:
        raise NotFound
    return programme


def list_funders() -> list[Organisation]:
    """The organisations that can be named as a funder, by name."""
    return list(db.session.scalars(select(Organisation).order_by(Organisation.name_en, Organisation.name_zh)))


def list_all() -> list[FundingProgramme]:
    """Every programme, those that end last first; there are dozens, not thousands."""
    query = select(FundingProgramme).options(joinedload(FundingProgramme.funder))
    return list(db.session.scalars(query.order_by(FundingProgramme.applications_until.desc(), FundingProgramme.id)))


def list_open(*, now: datetime) -> list[FundingRule]:
    """The rules in force of programmes one may apply to now, each with its programme, by the end of their period."""
    published = aliased(FundingRule)
    newest = (
        select(published.id)
        .where(published.programme_id == FundingProgramme.id, published.published_at <= now)
        .order_by(published.version.desc())
        .limit(1)
        .correlate(FundingProgramme)
        .scalar_subquery()
    )
    # The days are compared in UTC a day wide; the rules compare them in the programme's own zone.
    today = now.date()
    query = (
        select(FundingRule)
        .join(FundingRule.programme)
        .outerjoin(FundingProgramme.funder)
        .where(
            FundingRule.id == newest,
            FundingProgramme.closed_at.is_(None),
            FundingProgramme.applications_until >= today - subsidy_rules.DAY,
            FundingProgramme.applications_from <= today + subsidy_rules.DAY,
        )
        .options(contains_eager(FundingRule.programme).contains_eager(FundingProgramme.funder))
        .order_by(FundingProgramme.applications_until, FundingProgramme.id)
    )
    return [
        version
        for version in db.session.scalars(query)
        if subsidy_rules.is_open(version.programme.frame, subsidy_rules.day_of(now, version.programme.zone))
    ]


def list_events(programme_id: int) -> list[ProgrammeEvent]:
    """What was done to a programme, newest first."""
    query = select(ProgrammeEvent).filter_by(programme_id=programme_id).options(joinedload(ProgrammeEvent.actor))
    return list(db.session.scalars(query.order_by(ProgrammeEvent.id.desc()).limit(50)))


def record(
    programme: FundingProgramme,
    kind: str,
    *,
    actor_id: int | None,
    now: datetime,
    details: dict[str, Any] | None = None,
) -> ProgrammeEvent:
    """Write a line into the programme's history."""
    return add(
        ProgrammeEvent(programme_id=programme.id, kind=kind, occurred_at=now, actor_id=actor_id, details=details or {})
    )


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in FIELDS}
