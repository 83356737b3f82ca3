"""What an officer's pages say of attempts and steps, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace.foundation.formats import format_date, format_money
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.money import Money
from marketplace.funding import subsidy_names, subsidy_rules
from marketplace.funding.subsidy_rules import Reason, Verdict

if TYPE_CHECKING:
    from marketplace.funding.subsidy_models import SubsidyAttempt, SubsidyEvent


def refusals() -> dict[str, str]:
    """Why an attempt was refused, in a word or two."""
    return {
        "subsidy_refused": _("Conditions not met"),
        "subsidy_changed": _("Amount or rule changed meanwhile"),
        "consent_needed": _("No consent"),
        "programme_closed": _("Programme not open"),
    }


def told(attempt: SubsidyAttempt) -> list[tuple[str, str, Verdict]]:
    """The reasons kept with an attempt: each condition, what was found, and the verdict."""
    if attempt.rule is None:
        return []
    rule = attempt.rule.rule
    kept = [Reason(one["code"], Verdict(one["verdict"]), tuple(one["wanted"]), one["found"]) for one in attempt.reasons]
    return [
        (subsidy_names.condition(one, rule, attempt.currency), subsidy_names.found(one, attempt.currency), one.verdict)
        for one in kept
    ]


def facts_of(attempt: SubsidyAttempt) -> list[tuple[str, str]]:
    """The facts about the buyer that a decision was made from, as they were kept."""
    kept = attempt.buyer
    labels = {
        "region": (_("Region"), "region"),
        "district": (_("District"), "district"),
        "industry_code": (_("Sector"), "industry"),
        "employer_size": (_("Size of your employer"), "employer_size"),
        "experience_band": (_("Years of experience"), "experience"),
    }
    told = [
        (label, subsidy_names.name_of_value(code, kept[name]) if kept.get(name) else "–")
        for name, (label, code) in labels.items()
    ]
    return [*told, (_("First course here"), _("no") if kept.get("has_enrolled_before") else _("yes"))]


def _ending(reason: str) -> str:
    """Why a place or an order ended, in words; what an officer wrote stays as it is."""
    words = {
        "cancelled": _("cancelled"),
        "expired": _("not paid in time"),
        "superseded": _("another order of the same person took its place"),
        "refunded": _("the money went back"),
        "deferred": _("moved to another date"),
        "transferred": _("passed on to another person"),
        "staff": _("a part of the price was given back"),
        "deferral_difference": _("moved to another date"),
    }
    return words.get(reason, reason)


def event_note(event: SubsidyEvent) -> str:
    """What stands beside a step: who, by which evidence, until when, and what is owed since."""
    evidence, currency = event.evidence, event.subsidy.currency
    notes = [event.actor.name] if event.actor else []
    if evidence.get("reason"):
        notes.append(_ending(str(evidence["reason"])))
    notes += [str(evidence[name]) for name in ("note", "bank_reference") if evidence.get(name)]
    if evidence.get("attendance_percent") is not None:
        notes.append(_("Attendance %(percent)s%%", percent=evidence["attendance_percent"]))
    if event.deadline is not None:
        last = subsidy_rules.last_day_before(event.deadline, event.subsidy.programme.zone)
        notes.append(_("until %(day)s", day=format_date(last)))
    if event.part_minor > 0:
        part = format_money(Money(event.part_minor, currency))
        notes.append(
            _("less by %(amount)s", amount=part) if event.act == "reduce" else _("%(amount)s of it", amount=part)
        )
    if event.owed_minor > 0:
        notes.append(_("owed: %(amount)s", amount=format_money(Money(event.owed_minor, currency))))
    if event.borne_minor > 0:
        notes.append(_("borne: %(amount)s", amount=format_money(Money(event.borne_minor, currency))))
    return " · ".join(notes)
