"""The form of a price rule, and the day a preview is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_wtf import FlaskForm
from wtforms import Field, RadioField, SelectField, StringField, SubmitField
from wtforms.validators import Optional, ValidationError

from marketplace.catalog.price_words import kind_names
from marketplace.catalog.pricing_rules import Rule, RuleKind
from marketplace.foundation.filling import DayField, NumberField, choice, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.money import Money, MoneyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.accounts.models import Organisation
    from marketplace.catalog.models import CourseRun
    from marketplace.catalog.price_models import PriceRule


class PriceRuleForm(FlaskForm):
    """What a rule rewards, what it makes of the price, when and for whom; all conditions given must hold."""

    kind = RadioField(lazy("What it rewards"), default=RuleKind.EARLY_BIRD)
    price = StringField(lazy("Price"), render_kw={"inputmode": "decimal", "autocomplete": "off"})
    percent_off = NumberField(
        lazy("Or a percentage off the list price"), [Optional()], render_kw={"min": "1", "max": "100"}
    )
    starts_on = DayField(lazy("First day"), [Optional()])
    ends_on = DayField(lazy("Last day"), [Optional()], description=lazy("To its end, in the time zone of the run."))
    first_seats = NumberField(
        lazy("Only for the first seats"), [Optional()], description=lazy("How many, counting every seat of the run.")
    )
    colleagues_from = NumberField(
        lazy("Only from this colleague on"),
        [Optional()],
        description=lazy("3 means: from the third person of one organisation enrolled in this run."),
    )
    organisation = SelectField(lazy("Only for people of"), validate_choice=False)
    submit = SubmitField(lazy("Save the rule"))

    def offer(self, run: CourseRun, organisations: Sequence[Organisation]) -> None:
        """Fill the selects, in the reader's language, and remember the run's currency."""
        self.run = run
        self.kind.choices = [choice(kind, name) for kind, name in kind_names().items()]
        named = sorted((str(pick(one, "name")), one.public_id) for one in organisations)
        self.organisation.choices = [choice("", lazy("Anyone")), *(choice(key, name) for name, key in named)]
        self.ids = {one.public_id: one.id for one in organisations}

    def validate_price(self, field: Field) -> None:
        """An amount in the run's currency."""
        self.amount()
        if text(field).strip() and self.amount() is None:
            raise ValidationError(_("Enter an amount in %(currency)s, like 980.00.", currency=self.run.currency))

    def amount(self) -> Money | None:
        """The price typed, if it is one."""
        try:
            return Money.parse(text(self.price), self.run.currency) if text(self.price).strip() else None
        except MoneyError:
            return None

    def rule(self) -> Rule:
        """The rule as it was filled in."""
        amount = self.amount()
        return Rule(
            rule_id=0,
            kind=RuleKind(self.kind.data),
            currency=self.run.currency,
            price=amount.minor if amount else None,
            percent_off=self.percent_off.data,
            starts_on=self.starts_on.data,
            ends_on=self.ends_on.data,
            first_seats=self.first_seats.data,
            colleagues_from=self.colleagues_from.data,
            organisation_id=self.ids.get(text(self.organisation)),
        )


class PreviewForm(FlaskForm):
    """The day to preview prices of; sent in the address."""

    class Meta:
        """Asking changes nothing, so no token is needed."""

        csrf = False

    on = DayField(lazy("On which day?"), [Optional()])


def values_of(rule: PriceRule) -> dict[str, Any]:
    """A rule as its form shows it."""
    price = None if rule.price_minor is None else str(Money(rule.price_minor, rule.currency).major)
    names = ("kind", "percent_off", "starts_on", "ends_on", "first_seats", "colleagues_from")
    return {name: getattr(rule, name) for name in names} | {
        "price": price,
        "organisation": rule.organisation.public_id if rule.organisation else "",
    }
