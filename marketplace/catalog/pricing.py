"""Where the price rules of runs are kept, and read for a price. The decision itself is pricing_rules.decide."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from marketplace.catalog import pricing_rules
from marketplace.catalog.models import CourseRun
from marketplace.catalog.price_models import PriceRule
from marketplace.catalog.pricing_rules import Price, PriceFacts, Rule, RuleKind
from marketplace.foundation.database import add, db, locked, read_rows, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from marketplace.foundation.money import Money

MOST_RULES = 20


class Priced(Protocol):
    """What a price is decided from: a run, or what a card shows of one."""

    @property
    def id(self) -> int: ...  # noqa: D102 - as of CourseRun
    @property
    def price(self) -> Money: ...  # noqa: D102
    @property
    def tzinfo(self) -> ZoneInfo: ...  # noqa: D102
    @property
    def seats_taken(self) -> int: ...  # noqa: D102


# The rules in force of a row of `course_run AS run`, as `rules_from` reads them: for statements of pages that are read
# most. A part of them, so that a page needs no statement more.
RULES = """
    CASE WHEN run.has_price_rules THEN
        (SELECT json_agg(json_build_array(
                    rule.id, rule.kind, rule.currency, rule.price_minor, rule.percent_off, rule.starts_on, rule.ends_on,
                    rule.first_seats, rule.colleagues_from, rule.organisation_id, coalesce(theirs.name_zh, ''),
                    coalesce(theirs.name_en, '')) ORDER BY rule.position, rule.id)
           FROM price_rule AS rule LEFT JOIN organisation AS theirs ON theirs.id = rule.organisation_id
          WHERE rule.run_id = run.id AND rule.ended_at IS NULL) END
"""
_IN_FORCE = f"SELECT run.id, {RULES} AS rules FROM course_run AS run WHERE run.id = ANY (CAST(:runs AS bigint[]))"  # noqa: S608 - our own words


def rules_of(run_id: int) -> list[Rule]:
    """The rules in force of a run as the decision sees them, in one query. Who sells a seat holds the run's lock."""
    return _rules_by_run([run_id])[run_id]


def _rules_by_run(run_ids: Sequence[int]) -> dict[int, list[Rule]]:
    """The rules in force of these runs, by position; no query for no run."""
    rows = read_rows(_IN_FORCE, {"runs": list(run_ids)}) if run_ids else []
    return {run_id: rules_from(rules) for run_id, rules in rows}


def rules_from(written: Iterable[Sequence[Any]] | None) -> list[Rule]:
    """The rules that RULES gave as JSON, where days are texts."""
    return [
        Rule(rule_id, RuleKind(kind), currency, price, percent, _day(starts_on), _day(ends_on), *rest)
        for rule_id, kind, currency, price, percent, starts_on, ends_on, *rest in written or ()
    ]


def _day(written: str | None) -> date | None:
    return date.fromisoformat(written) if written else None


def public_prices(runs: Iterable[CourseRun], *, now: datetime) -> dict[int, Price]:
    """What a stranger pays for a seat of each run, by the run's id, in one query at most for all of them."""
    wanted = [run for run in runs if not run.is_free]
    rules = _rules_by_run([run.id for run in wanted if run.has_price_rules])
    return {run.id: public_price(run, rules.get(run.id, []), now=now) for run in wanted}


def public_price(run: Priced, rules: Sequence[Rule], *, now: datetime) -> Price:
    """What a stranger pays for a seat of a run that has these rules."""
    facts = PriceFacts(run.price, today=now.astimezone(run.tzinfo).date(), seats_taken=run.seats_taken)
    return pricing_rules.decide(rules, facts)


def as_rule(row: PriceRule) -> Rule:
    """A row as the decision sees it."""
    return Rule(
        rule_id=row.id,
        kind=RuleKind(row.kind),
        currency=row.currency,
        price=row.price_minor,
        percent_off=row.percent_off,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        first_seats=row.first_seats,
        colleagues_from=row.colleagues_from,
        organisation_id=row.organisation_id,
        organisation_zh=row.organisation.name_zh if row.organisation else "",
        organisation_en=row.organisation.name_en if row.organisation else "",
    )


def list_in_force(run_ids: Sequence[int]) -> Sequence[PriceRule]:
    """The rules in force of these runs with their organisations, by position; no query for no run."""
    if not run_ids:
        return []
    query = select(PriceRule).where(PriceRule.run_id.in_(run_ids), PriceRule.ended_at.is_(None))
    return db.session.scalars(
        query.options(joinedload(PriceRule.organisation)).order_by(PriceRule.position, PriceRule.id)
    ).all()


def list_ended(run_id: int, *, limit: int = 50) -> Sequence[PriceRule]:
    """The rules and versions of rules that are no longer in force, the last ended first."""
    query = select(PriceRule).where(PriceRule.run_id == run_id, PriceRule.ended_at.is_not(None))
    return db.session.scalars(query.order_by(PriceRule.ended_at.desc(), PriceRule.id.desc()).limit(limit)).all()


def get_rule(run_id: int, public_id: str) -> PriceRule:
    """A rule of this run, in force or not; raises NotFound, also for another run's."""
    query = select(PriceRule).where(PriceRule.run_id == run_id, PriceRule.public_id == public_id)
    found = db.session.scalar(query)
    if found is None:
        raise NotFound
    return found


def add_rule(run_id: int, rule: Rule, *, actor_id: int | None, now: datetime) -> PriceRule:
    """Put a rule at the end of a run's list. Locks the run, so that no order is priced in between; raises Invalid."""
    with transaction():
        run = locked(CourseRun, run_id)
        last, count = db.session.execute(
            select(func.max(PriceRule.position), func.count()).where(
                PriceRule.run_id == run_id, PriceRule.ended_at.is_(None)
            )
        ).one()
        if count >= MOST_RULES:
            raise Refused("too_many_price_rules", lazy("A run has at most twenty price rules. End one first."))
        run.has_price_rules = True
        return _written(run, rule, position=(last or 0) + 1, actor_id=actor_id, now=now)


def change_rule(rule_id: int, rule: Rule, *, actor_id: int | None, now: datetime) -> PriceRule:
    """End a rule and write its next version in its place; orders keep naming the version they were sold by.

    Locks run and rule; raises Invalid, or Refused when the rule is no longer in force.
    """
    with transaction():
        old = _locked_in_force(rule_id)
        _end(old, actor_id=actor_id, now=now)
        return _written(old.run, rule, position=old.position, actor_id=actor_id, now=now, replaces_id=old.id)


def end_rule(rule_id: int, *, actor_id: int | None, now: datetime) -> PriceRule:
    """Let a rule no longer apply, from this moment on. Locks run and rule; ending it twice changes nothing."""
    with transaction():
        rule = _locked(rule_id)
        if rule.ended_at is None:
            _end(rule, actor_id=actor_id, now=now)
            rule.run.has_price_rules = bool(list_in_force([rule.run_id]))
        return rule


def _locked(rule_id: int) -> PriceRule:
    run_id = db.session.scalar(select(PriceRule.run_id).where(PriceRule.id == rule_id))
    if run_id is None:
        raise NotFound
    locked(CourseRun, run_id)
    return locked(PriceRule, rule_id)


def _locked_in_force(rule_id: int) -> PriceRule:
    rule = _locked(rule_id)
    if rule.ended_at is not None:
        raise Refused(
            "price_rule_ended", lazy("This rule has been changed or ended meanwhile. Please look at the list again.")
        )
    return rule


def _end(rule: PriceRule, *, actor_id: int | None, now: datetime) -> None:
    rule.ended_at = now
    rule.ended_by_id = actor_id
    db.session.flush()


def _written(
    run: CourseRun, rule: Rule, *, position: int, actor_id: int | None, now: datetime, replaces_id: int | None = None
) -> PriceRule:
    pricing_rules.check(rule, list_price=run.price)
    return add(
        PriceRule(
            run_id=run.id,
            position=position,
            kind=rule.kind.value,
            currency=run.currency,
            price_minor=rule.price,
            percent_off=rule.percent_off,
            starts_on=rule.starts_on,
            ends_on=rule.ends_on,
            first_seats=rule.first_seats,
            colleagues_from=rule.colleagues_from,
            organisation_id=rule.organisation_id,
            replaces_id=replaces_id,
            created_at=now,
            created_by_id=actor_id,
        )
    )
