"""The form of a funding rule. It stands in this room, where the catalogue's names and the funding room's rules meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_wtf import FlaskForm
from wtforms import BooleanField, RadioField, SelectMultipleField, StringField, SubmitField
from wtforms.validators import Length, NumberRange, Optional, ValidationError
from wtforms.widgets import CheckboxInput, ListWidget

from marketplace.accounts.industries import INDUSTRIES
from marketplace.accounts.models import PROVIDER_KINDS
from marketplace.accounts.names import EMPLOYER_SIZES, EXPERIENCE_BANDS, ORGANISATION_KINDS
from marketplace.accounts.regions import DISTRICTS, REGIONS
from marketplace.foundation.filling import NumberField, check_amount, choice, choices_of, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.money import Money
from marketplace.funding.subsidy_names import MODES, joined, name_of, name_of_value
from marketplace.funding.subsidy_rules import SECTIONS, WHOLE, Consequence, Named, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_CODES = 400
LONGEST_TERM = 3650
PLAIN = ("regions", "districts", "employer_sizes", "experience_bands", "provider_kinds", "modes")
NAMED = ("organisations", "skills", "categories", "providers")
AMOUNTS = {"fixed": "fixed_minor", "line_cap": "line_cap_minor", "person_year_cap": "person_year_cap_minor"}
CONSEQUENCES = {
    Consequence.LEARNER_OWES: lazy("The learner owes it"),
    Consequence.BORNE: lazy("The programme bears it"),
}


class MultiCheckboxField(SelectMultipleField):
    """Several of a list, each with its box."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


def _amount(label: Any) -> StringField:
    return StringField(label, [Optional(), Length(max=20)], render_kw={"inputmode": "decimal"})


def _percent(label: Any, **options: Any) -> NumberField:
    bounds = NumberRange(0, WHOLE, message=lazy("A percentage lies between 0 and 100."))
    return NumberField(label, [Optional(), bounds], render_kw={"inputmode": "numeric"}, **options)


def _days(label: Any, default: int) -> NumberField:
    bounds = NumberRange(0, LONGEST_TERM, message=lazy("A term is a number of days."))
    return NumberField(label, [bounds], default=default, render_kw={"inputmode": "numeric"})


class RuleForm(FlaskForm):
    """Who, what, how much, and what earns it; an empty choice asks for nothing."""

    regions = MultiCheckboxField(lazy("Region where they work"))
    districts = MultiCheckboxField(lazy("District of Shanghai"))
    industries = StringField(
        lazy("Sectors"),
        [Length(max=LONGEST_CODES)],
        description=lazy("Codes of GB/T 4754 or their beginnings, with commas: R, 88, 8850. R is the whole section R."),
    )
    employer_sizes = MultiCheckboxField(lazy("Size of the employer"), choices=choices_of(EMPLOYER_SIZES))
    experience_bands = MultiCheckboxField(lazy("Years of experience"), choices=choices_of(EXPERIENCE_BANDS))
    first_time_only = BooleanField(lazy("Only for the first course here"))
    organisations = MultiCheckboxField(lazy("Members of these organisations"))
    categories = MultiCheckboxField(lazy("Categories"))
    skills = MultiCheckboxField(lazy("Skills that are taught"))
    provider_kinds = MultiCheckboxField(lazy("Kinds of provider"))
    providers = MultiCheckboxField(lazy("Providers"))
    modes = MultiCheckboxField(lazy("How it takes place"), choices=choices_of(MODES))
    percent = _percent(lazy("Percentage of the price"), description=lazy("Or a fixed amount, below."))
    fixed = _amount(lazy("Fixed amount per seat"))
    line_cap = _amount(lazy("At most per seat"))
    person_year_cap = _amount(lazy("At most per person and calendar year"))
    attendance_percent = _percent(lazy("Sessions to be attended, in per cent"))
    needs_completion = BooleanField(lazy("The course must be completed"), default=True)
    earn_within_days = _days(lazy("Days after the last day of the course to meet the conditions"), 30)
    claim_within_days = _days(lazy("Days to claim it of the funder afterwards"), 90)
    if_lapsed = RadioField(lazy("When the conditions are not met in time"), choices=choices_of(CONSEQUENCES))
    if_rejected = RadioField(lazy("When the funder rejects it"), choices=choices_of(CONSEQUENCES))
    owed_percent = _percent(lazy("Part of the subsidy the learner owes then, in per cent"), default=WHOLE)
    needs_review = BooleanField(lazy("An officer looks at each application first"))
    submit = SubmitField(lazy("Save the draft"))

    def __init__(self, rule: Rule, currency: str, names: Mapping[str, list[Named]], **kwargs: Any) -> None:
        """Show a rule; `names` are the things of the catalogue that can be chosen, by field."""
        super().__init__(data=_as_data(rule, currency), **kwargs)
        self.currency = currency
        kept = {name: {one.id: one for one in getattr(rule, name)} for name in NAMED}
        # What an earlier version named stays a choice, though the catalogue may not have it any more.
        self.names = {name: kept[name] | {one.id: one for one in names[name]} for name in NAMED}
        self.regions.choices = [choice(code, str(pick(one, "name"))) for code, one in REGIONS.items()]
        self.districts.choices = [choice(code, str(pick(one, "name"))) for code, one in DISTRICTS.items()]
        self.provider_kinds.choices = [choice(kind, ORGANISATION_KINDS[kind]) for kind in sorted(PROVIDER_KINDS)]
        for name in NAMED:
            self[name].choices = [choice(str(one.id), name_of(one)) for one in self.names[name].values()]

    @property
    def sector_names(self) -> str:
        """What the codes of sectors are called."""
        return joined(name_of_value("industry", code) for code in _codes(self.industries))

    def validate_industries(self, field: StringField) -> None:
        """Codes that somebody's profile can begin with."""
        unknown = [
            code
            for code in _codes(field)
            if code not in SECTIONS and not any(one.startswith(code) for one in INDUSTRIES)
        ]
        if unknown:
            raise ValidationError(_("No sector begins with %(code)s.", code=unknown[0]))

    def validate_fixed(self, field: StringField) -> None:
        """An amount the currency can write; the same for the caps."""
        if text(field):
            check_amount(field, self.currency)

    validate_line_cap = validate_person_year_cap = validate_fixed

    def rule(self) -> Rule:
        """What was filled in."""
        values: dict[str, Any] = {name: tuple(self[name].data or ()) for name in PLAIN}
        values |= {name: tuple(self.names[name][int(value)] for value in self[name].data or ()) for name in NAMED}
        values |= {column: _minor(self[name], self.currency) for name, column in AMOUNTS.items()}
        values |= {name: bool(self[name].data) for name in ("first_time_only", "needs_completion", "needs_review")}
        values |= {name: Consequence(self[name].data) for name in ("if_lapsed", "if_rejected")}
        numbers = ("percent", "attendance_percent", "earn_within_days", "claim_within_days", "owed_percent")
        values |= {name: self[name].data for name in numbers}
        if values["owed_percent"] is None:
            values["owed_percent"] = WHOLE
        return Rule(industries=_codes(self.industries), **values)


def _as_data(rule: Rule, currency: str) -> dict[str, Any]:
    data: dict[str, Any] = {name: getattr(rule, name) for name in rule.__slots__ if name not in NAMED}
    data |= {name: [str(one.id) for one in getattr(rule, name)] for name in NAMED}
    data["industries"] = ", ".join(rule.industries)
    for name, column in AMOUNTS.items():
        minor = getattr(rule, column)
        data[name] = "" if minor is None else f"{Money(minor, currency).major:f}"
    return data | {"if_lapsed": rule.if_lapsed.value, "if_rejected": rule.if_rejected.value}


def _codes(field: StringField) -> tuple[str, ...]:
    written = text(field).replace("，", ",").replace("、", ",").upper()
    return tuple(code for part in written.split(",") if (code := part.strip()))


def _minor(field: StringField, currency: str) -> int | None:
    typed = text(field).strip()
    return Money.parse(typed, currency).minor if typed else None
