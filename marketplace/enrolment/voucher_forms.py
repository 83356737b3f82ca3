"""The forms by which staff issue vouchers, find one, and end them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flask_wtf import FlaskForm
from wtforms import Field, RadioField, SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional, ValidationError

from marketplace.catalog import run_rules
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import voucher_bounds
from marketplace.enrolment.voucher_seats import KeptSeats
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid
from marketplace.foundation.filling import DayField, NumberField, choice, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.money import EXPONENTS, Money, MoneyError
from marketplace.funding.voucher_batches import LONGEST_NAME, MOST_CODES, NewBatch
from marketplace.funding.voucher_rules import Terms, ValueKind, with_money_cap
from marketplace.funding.vouchers import LONGEST_CODE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask_babel import LazyString

    from marketplace.accounts.models import Organisation

LONGEST_LIST, LONGEST_REASON = 8000, 500
DECIMAL = {"inputmode": "decimal", "autocomplete": "off"}


class VoucherForm(FlaskForm):
    """What codes are worth, how far, when, for what and for whom. Limits are required, or declined in words."""

    name = StringField(
        lazy("Name of the batch"),
        [InputRequired(lazy("Enter a name by which you will know these codes.")), Length(max=LONGEST_NAME)],
        description=lazy("Only staff see it."),
    )
    size = NumberField(
        lazy("How many codes"), default=1, description=lazy("Up to %(most)s, all on the same terms.", most=MOST_CODES)
    )
    word = StringField(
        lazy("A code of your own"),
        [Length(max=LONGEST_CODE)],
        description=lazy("A word for a campaign, which anyone may guess. Leave it empty to have secret codes drawn."),
        render_kw={"autocomplete": "off", "spellcheck": "false"},
    )
    value_kind = RadioField(lazy("What a code pays"), default=ValueKind.AMOUNT)
    currency = SelectField(lazy("Currency"), choices=[choice(code, code) for code in EXPONENTS], default="CNY")
    amount = StringField(lazy("Amount"), render_kw=DECIMAL)
    percent = NumberField(lazy("Percentage of what is left to pay"), [Optional()])
    use_cap = NumberField(lazy("Uses per code, at most"), [Optional()], default=1)
    money_cap = StringField(
        lazy("Money per code in all, at most"),
        description=lazy("For an amount it follows from the uses if you leave it empty."),
        render_kw=DECIMAL,
    )
    person_cap = NumberField(lazy("Uses per person, at most"), [Optional()], default=1)
    uncapped_words = StringField(
        lazy("No limit?"),
        description=lazy("To leave a limit of uses or money empty, type “I want this code without a limit”."),
        render_kw={"autocomplete": "off"},
    )
    starts_on = DayField(lazy("First day"), [Optional()])
    ends_on = DayField(lazy("Last day"), [Optional()], description=lazy("To its end, in Shanghai."))
    provider = SelectField(lazy("Courses of"), validate_choice=False)
    runs = TextAreaField(
        lazy("Runs"), [Length(max=LONGEST_LIST)], description=lazy("The addresses of their pages, one a line.")
    )
    courses = TextAreaField(
        lazy("Courses"), [Length(max=LONGEST_LIST)], description=lazy("The addresses of their pages, one a line.")
    )
    people = TextAreaField(
        lazy("People"),
        [Length(max=LONGEST_LIST)],
        description=lazy("The e-mail addresses of their accounts, one a line."),
    )
    domains = TextAreaField(
        lazy("Mail domains"), [Length(max=LONGEST_LIST)], description=lazy("Like museum.example, one a line.")
    )
    kept_seats = NumberField(
        lazy("Seats kept for the codes"),
        [Optional()],
        description=lazy("Of the one run named above: nobody else can take them until the last day."),
    )
    kept_until = DayField(
        lazy("Kept until the end of"),
        [Optional()],
        description=lazy("The day in the time zone of the run. Then the unused seats are everyone's."),
    )
    sponsor = SelectField(lazy("Who pays"), validate_choice=False)
    submit = SubmitField(lazy("Issue the codes"))

    def offer(self, organisations: Sequence[Organisation]) -> None:
        """Fill the selects, in the reader's language."""
        named = sorted((str(pick(one, "name")), one.public_id, one.is_provider) for one in organisations)
        self.ids = {one.public_id: one.id for one in organisations}
        self.sponsor.choices = [
            choice("", lazy("The programme itself")),
            *(choice(key, name) for name, key, _provides in named),
        ]
        self.provider.choices = [
            choice("", lazy("Any provider")),
            *(choice(key, name) for name, key, provides in named if provides),
        ]
        self.value_kind.choices = [
            choice(ValueKind.AMOUNT, _("An amount")),
            choice(ValueKind.PERCENT, _("A percentage")),
            choice(ValueKind.FULL, _("All that is left to pay")),
        ]

    def validate_amount(self, field: Field) -> None:
        """An amount in the currency chosen."""
        self._money(field)

    def validate_money_cap(self, field: Field) -> None:
        """An amount in the currency chosen."""
        self._money(field)

    def _money(self, field: Field) -> int | None:
        typed = text(field).strip()
        if not typed:
            return None
        try:
            return Money.parse(typed, text(self.currency)).minor
        except MoneyError as error:
            raise ValidationError(
                _("Enter an amount in %(currency)s, like 980.00.", currency=text(self.currency))
            ) from error

    def wanted(self) -> tuple[NewBatch, KeptSeats | None]:
        """The batch as it was filled in, and its seats; raises Invalid beside what names something unknown."""
        bounds = voucher_bounds.read(
            runs=text(self.runs),
            courses=text(self.courses),
            provider_id=self.ids.get(text(self.provider)),
            people=text(self.people),
            domains=text(self.domains),
        )
        kind = ValueKind(self.value_kind.data)
        terms = Terms(
            value_kind=kind,
            currency=text(self.currency),
            amount=self._money(self.amount) if kind is ValueKind.AMOUNT else None,
            percent=self.percent.data if kind is ValueKind.PERCENT else None,
            use_cap=self.use_cap.data,
            money_cap=self._money(self.money_cap),
            person_cap=self.person_cap.data,
            starts_on=self.starts_on.data,
            ends_on=self.ends_on.data,
            run_ids=bounds.run_ids,
            course_ids=bounds.course_ids,
            provider_ids=bounds.provider_ids,
            person_ids=bounds.person_ids,
            email_domains=bounds.email_domains,
        )
        batch = NewBatch(
            name=text(self.name),
            terms=replace(terms, money_cap=with_money_cap(terms)),
            size=self.size.data or 0,
            word=text(self.word).strip(),
            uncapped_words=text(self.uncapped_words),
            sponsor_id=self.ids.get(text(self.sponsor)),
        )
        return batch, self._kept(bounds.run_ids)

    def _kept(self, run_ids: frozenset[int]) -> KeptSeats | None:
        """The seats of the one run that the codes are bound to; raises Invalid beside the field that is missing."""
        size, until = self.kept_seats.data, self.kept_until.data
        if size is None and until is None:
            return None
        if not size or size < 1:
            raise _invalid("kept_seats", lazy("At least one."))
        if until is None:
            raise _invalid("kept_until", lazy("Enter until when they are kept."))
        if len(run_ids) != 1:
            raise _invalid("runs", lazy("Seats are kept in one run: enter its address here, and no other."))
        [run_id] = run_ids
        run = db.session.get_one(CourseRun, run_id)
        return KeptSeats(run_id, size, run_rules.end_of(until, run.zone))


def _invalid(field: str, sentence: LazyString) -> Invalid:
    return Invalid("voucher_seats_not_valid", lazy("Please check what you entered"), {field: sentence})


class FindVoucherForm(FlaskForm):
    """A code somebody asks about; sent in the body, so that no log keeps it."""

    code = StringField(
        lazy("Find a code"), [InputRequired(), Length(max=LONGEST_CODE)], render_kw={"autocomplete": "off"}
    )
    submit = SubmitField(lazy("Find"))


class EndVoucherForm(FlaskForm):
    """Why codes end."""

    reason = TextAreaField(
        lazy("Reason"),
        [InputRequired(lazy("Say why, for those who look at it later.")), Length(max=LONGEST_REASON)],
    )
    submit = SubmitField(lazy("End now"))
