"""What states, steps, conditions and consequences of subsidies are called, in the language spoken here."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from marketplace.accounts.industries import DIVISIONS, INDUSTRIES
from marketplace.accounts.names import EMPLOYER_SIZES, EXPERIENCE_BANDS, ORGANISATION_KINDS
from marketplace.accounts.regions import DISTRICTS, REGIONS
from marketplace.foundation.formats import format_date, format_money
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import language, lazy, pick
from marketplace.foundation.money import Money
from marketplace.funding import subsidy_rules
from marketplace.funding.facts import Consent
from marketplace.funding.subsidy_rules import Consequence, Reason, Verdict
from marketplace.funding.subsidy_states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flask_babel import LazyString

    from marketplace.funding.estimates import Estimate
    from marketplace.funding.programme_models import FundingProgramme, FundingRule
    from marketplace.funding.subsidy_rules import Named, Rule

# Changes with the sentence of `consent`; each consent keeps the sentence as it stood.
CONSENT_VERSION = 1
MODES = {"in_person": lazy("In person"), "online": lazy("Online"), "blended": lazy("Blended")}
SECTION_NAMES = {"R": lazy("Culture, sports and entertainment (section R)")}
# What of a profile a rule may ask for, as the consent names it.
FACTS = {
    "regions": lazy("region"),
    "districts": lazy("district"),
    "industries": lazy("sector"),
    "employer_sizes": lazy("size of the employer"),
    "experience_bands": lazy("years of experience"),
    "first_time_only": lazy("whether it is the first course"),
    "organisations": lazy("membership of the organisation"),
}


def states() -> dict[State, tuple[str, str]]:
    """Each state in words, with the kind of its badge."""
    return {
        State.APPLIED: (_("Under review"), "warn"),
        State.RESERVED: (_("Reserved"), "accent"),
        State.EARNED: (_("Earned"), "good"),
        State.CLAIMED: (_("Claimed"), "good"),
        State.PAID: (_("Paid by the funder"), "good"),
        State.REJECTED: (_("Rejected"), "bad"),
        State.LAPSED: (_("Lapsed"), "bad"),
        State.CLAWED_BACK: (_("Owed back to the funder"), "warn"),
        State.SENT_BACK: (_("Sent back to the funder"), ""),
        State.REVOKED: (_("Taken back by the funder, not sent yet"), "bad"),
        State.REPAID: (_("Taken back by the funder"), "bad"),
        State.CANCELLED: (_("Application withdrawn"), ""),
        State.RELEASED: (_("Released"), ""),
    }


def acts() -> dict[str, str]:
    """Each step of a subsidy in words, for its history."""
    return {
        "apply": _("Applied for with the order"),
        "approve": _("Amount reserved in the budget"),
        "earn": _("Conditions met"),
        "claim": _("Claimed of the funder"),
        "pay": _("Paid by the funder"),
        "reject": _("Rejected"),
        "lapse": _("Deadline passed"),
        "release": _("Released: the order ended"),
        "claw_back": _("Taken back by the funder"),
        "send_back": _("Sent back to the funder"),
        "reduce": _("Lowered: a part of the price went back"),
        "return_part": _("What came off was sent back to the funder"),
        "doubted": _("In doubt: what it was earned by was corrected"),
        "restored": _("Conditions met again"),
        "extend": _("Deadline extended"),
        "reinstate": _("Reserved again: the payment came late"),
    }


def programme_acts() -> dict[str, str]:
    """Each line of a programme's history in words."""
    return {
        "created": _("Programme made"),
        "changed": _("Programme changed"),
        "closed": _("Closed"),
        "opened": _("Opened again"),
        "deposited": _("Deposit recorded"),
        "rule_drafted": _("Draft of the rule saved"),
        "rule_published": _("Rule published"),
        "batch_made": _("Claim batch made"),
        "batch_paid": _("Claim batch paid"),
        "batch_extended": _("Claim batch expected later"),
        "overdue_told": _("Officers written to about overdue batches"),
    }


def funder(programme: FundingProgramme) -> str:
    """Who pays: the organisation, or the name it is known by."""
    return str(pick(programme.funder, "name")) if programme.funder else str(pick(programme, "funder"))


def condition(reason: Reason, rule: Rule, currency: str) -> str:
    """One condition of a decision as a sentence about the reader."""
    code, names = reason.code, joined(wanted_names(rule, reason.code))
    if code in {"applications", "run_dates"}:
        return _span(code, reason.wanted)
    if code == "person_cap":
        cap = format_money(Money(int(reason.wanted[0]), currency))
        return _("At most %(amount)s per person and year", amount=cap)
    sentences = {
        "region": _("You work in %(names)s", names=names),
        "district": _("Your district is %(names)s", names=names),
        "industry": _("Your sector is %(names)s", names=names),
        "employer_size": _("Size of your employer: %(names)s", names=names),
        "experience": _("Your experience: %(names)s", names=names),
        "first_time": _("It is your first course here"),
        "organisation": _("You are a member of %(names)s", names=names),
        "skill": _("The course teaches %(names)s", names=names),
        "category": _("The course belongs to %(names)s", names=names),
        "provider": _("The course is given by %(names)s", names=names),
        "provider_kind": _("The course is given by: %(names)s", names=names),
        "mode": _("The course takes place: %(names)s", names=names),
        "completion": _("The course says what completes it"),
        "currency": _("The price is in %(names)s", names=currency),
        "budget": _("The programme's budget still covers it"),
        "price": _("There is a price of which a part can be paid"),
    }
    return sentences[code]


def found(reason: Reason, currency: str) -> str:
    """What was found for a condition, where there is a word for it."""
    if not reason.found:
        return ""
    if reason.code == "person_cap":
        return _("%(amount)s so far this year", amount=format_money(Money(int(reason.found), currency)))
    if reason.code in {"applications", "run_dates"}:
        return _day(reason.found)
    return name_of_value(reason.code, reason.found)


def wanted_names(rule: Rule, code: str) -> list[str]:
    """The names of what a rule asks for under one condition."""
    named: Mapping[str, Sequence[Named]] = {
        "organisation": rule.organisations,
        "skill": rule.skills,
        "category": rule.categories,
        "provider": rule.providers,
    }
    if code in named:
        return [name_of(one) for one in named[code]]
    codes = {
        "region": rule.regions,
        "district": rule.districts,
        "industry": rule.industries,
        "employer_size": rule.employer_sizes,
        "experience": rule.experience_bands,
        "provider_kind": rule.provider_kinds,
        "mode": rule.modes,
    }
    return [name_of_value(code, value) for value in codes.get(code, ())]


def name_of(named: Named) -> str:
    """What a thing of another room is called, by the rule that names it."""
    return (named.zh or named.en) if language() == "zh" else (named.en or named.zh)


def joined(names: Iterable[str]) -> str:
    """Names in a row."""
    return ("、" if language() == "zh" else ", ").join(names)


def clauses(sentences: Iterable[str]) -> str:
    """Conditions in a row."""
    return ("；" if language() == "zh" else "; ").join(sentences)


def told(estimate: Estimate) -> list[tuple[str, str, Verdict]]:
    """The reasons of a decision: each condition, what was found, and the verdict."""
    rule, currency = estimate.version.rule, estimate.programme.currency
    return [(condition(one, rule, currency), found(one, currency), one.verdict) for one in estimate.decision.reasons]


def conditions(version: FundingRule) -> list[str]:
    """Who and what a version is for, as sentences; nothing is found out yet."""
    programme, rule = version.programme, version.rule
    frame = programme.frame
    told = [_span("applications", (frame.applications_from.isoformat(), frame.applications_until.isoformat()))]
    if frame.runs_from or frame.runs_until:
        told.append(_span("run_dates", [day.isoformat() if day else "" for day in (frame.runs_from, frame.runs_until)]))
    codes = [code for code, names in _asked(rule).items() if names]
    return told + [condition(Reason(code, Verdict.ASKED), rule, programme.currency) for code in codes]


def amounts(rule: Rule, currency: str) -> list[str]:
    """How much a rule pays, as sentences."""
    if rule.fixed_minor is None:
        told = [_("%(percent)s%% of the price", percent=rule.percent)]
    else:
        told = [_("%(amount)s per seat", amount=format_money(Money(rule.fixed_minor, currency)))]
    if rule.line_cap_minor is not None:
        told.append(_("at most %(amount)s per seat", amount=format_money(Money(rule.line_cap_minor, currency))))
    if rule.person_year_cap_minor is not None:
        cap = format_money(Money(rule.person_year_cap_minor, currency))
        told.append(_("at most %(amount)s per person and year", amount=cap))
    return told


def duties(rule: Rule) -> list[str]:
    """What a learner must do to keep the subsidy, as sentences."""
    told = []
    if rule.attendance_percent is not None:
        told.append(_("You attend at least %(percent)s%% of the sessions", percent=rule.attendance_percent))
    if rule.needs_completion:
        told.append(_("You complete the course within %(days)s days after its last day", days=rule.earn_within_days))
    return told or [_("You take part: nothing else is asked")]


def consequence(rule: Rule, amount: Money, *, rejected: bool = False) -> str:
    """What follows for the learner when a subsidy of this amount lapses, or is rejected."""
    which = rule.if_rejected if rejected else rule.if_lapsed
    owed = Money(amount.minor * rule.owed_percent // subsidy_rules.WHOLE, amount.currency)
    if which is Consequence.LEARNER_OWES and not owed.is_zero:
        return _("you owe %(amount)s", amount=format_money(owed))
    return _("you owe nothing; the programme bears it")


def consequence_of_claw_back(rule: Rule, amount: Money) -> str:
    """What follows, for an officer, when the funder takes back this amount; the rule says it as of a rejection."""
    owed = Money(
        subsidy_rules.owed_minor(rule, State.PAID, State.REVOKED, amount.minor),
        amount.currency,
    )
    if owed.is_zero:
        return _("the learner owes nothing; the marketplace bears it")
    if owed == amount:
        return _("the learner owes %(amount)s", amount=format_money(owed))
    rest = format_money(amount - owed)
    return _("the learner owes %(amount)s; the marketplace bears %(rest)s", amount=format_money(owed), rest=rest)


def consequence_words(rule: Rule, *, rejected: bool = False) -> str:
    """The same for a subsidy whose amount is not known yet."""
    which = rule.if_rejected if rejected else rule.if_lapsed
    if which is not Consequence.LEARNER_OWES or not rule.owed_percent:
        return _("you owe nothing; the programme bears it")
    if rule.owed_percent == subsidy_rules.WHOLE:
        return _("you owe the whole subsidy")
    return _("you owe %(percent)s%% of the subsidy", percent=rule.owed_percent)


def consent(version: FundingRule) -> Consent:
    """What a buyer agrees to before the button is pressed, as it stands on the page."""
    rule = version.rule
    names = tuple(name for name in FACTS if getattr(rule, name))
    asked = joined(str(FACTS[name]) for name in names)
    if names:
        text = _(
            "I agree that %(funder)s is told my name, the course and its price, whether I attend and complete it, and"
            " from my profile: %(facts)s.",
            funder=funder(version.programme),
            facts=asked,
        )
    else:
        text = _(
            "I agree that %(funder)s is told my name, the course and its price, and whether I attend and complete it.",
            funder=funder(version.programme),
        )
    return Consent(CONSENT_VERSION, language(), text, names)


def _asked(rule: Rule) -> dict[str, object]:
    return {
        "region": rule.regions,
        "district": rule.districts,
        "industry": rule.industries,
        "employer_size": rule.employer_sizes,
        "experience": rule.experience_bands,
        "first_time": rule.first_time_only,
        "organisation": rule.organisations,
        "skill": rule.skills,
        "category": rule.categories,
        "provider": rule.providers,
        "provider_kind": rule.provider_kinds,
        "mode": rule.modes,
    }


def name_of_value(code: str, value: str) -> str:
    """What an answer of a profile, or a value that a rule asks for, is called."""
    places: Mapping[str, Mapping[str, object]] = {"region": REGIONS, "district": DISTRICTS, "industry": INDUSTRIES}
    if code in places:
        known = places[code].get(value)
        return _sector(value) if known is None else str(pick(known, "name"))
    words: dict[str, Mapping[Any, LazyString]] = {
        "employer_size": EMPLOYER_SIZES,
        "experience": EXPERIENCE_BANDS,
        "provider_kind": ORGANISATION_KINDS,
        "mode": MODES,
    }
    return str(words[code].get(value, value))


def _sector(beginning: str) -> str:
    """What the beginning of a sector's code is called: the section, the division, or all that begin with it."""
    if beginning in SECTION_NAMES:
        return str(SECTION_NAMES[beginning])
    if beginning in DIVISIONS:
        return str(pick(DIVISIONS[beginning], "name"))
    return joined(str(pick(one, "name")) for code, one in INDUSTRIES.items() if code.startswith(beginning)) or beginning


def _day(written: str) -> str:
    return str(format_date(date.fromisoformat(written)))


def _span(code: str, days: Sequence[str]) -> str:
    first, last = (_day(day) if day else "" for day in days)
    if code == "applications":
        return _("Applications from %(first)s to %(last)s", first=first, last=last)
    if first and last:
        return _("The course starts between %(first)s and %(last)s", first=first, last=last)
    if first:
        return _("The course starts on %(day)s or later", day=first)
    return _("The course starts on %(day)s or earlier", day=last)
