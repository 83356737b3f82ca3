"""The form of one's own profile. Every optional field says why it is asked."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from flask_wtf import FlaskForm
from wtforms import SelectField, StringField, SubmitField
from wtforms.validators import DataRequired, InputRequired, Length

from marketplace.accounts.forms import LONGEST_NAME, choice, choices_of
from marketplace.accounts.industries import GROUPS
from marketplace.accounts.names import EMPLOYER_SIZES, EXPERIENCE_BANDS
from marketplace.accounts.regions import DISTRICTS, REGIONS, ZONES
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.places import zone_label

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_TEXT = 120
# Each language is named in itself, whatever is spoken.
LANGUAGE_CHOICES = [choice("zh", "中文"), choice("en", "English")]
NOT_SAID = ""


def _not_said() -> Any:
    return choice(NOT_SAID, _("Not said"))


def _choices(rows: Iterable[Any], heading: str | None = None) -> list[Any]:
    return [choice(row.code, str(pick(row, "name")), heading) for row in rows]


class ProfileForm(FlaskForm):
    """Who one is, and what subsidies and figures need to know."""

    name = StringField(
        lazy("Your name"),
        [DataRequired(lazy("Enter your name.")), Length(max=LONGEST_NAME)],
        description=lazy("As it should stand on a certificate."),
        render_kw={"autocomplete": "name"},
    )
    locale = SelectField(
        lazy("Language of mails"), [InputRequired()], choices=LANGUAGE_CHOICES, description=lazy("Pages follow it too.")
    )
    time_zone = SelectField(
        lazy("Time zone"),
        [InputRequired()],
        choices=[choice(zone, zone_label(zone)) for zone in ZONES],
        description=lazy("Dates are shown in the course's zone and in yours."),
    )
    region = SelectField(
        lazy("Province or region where you work"),
        description=lazy("Some subsidies are for people who work in one place, and figures are kept by region."),
    )
    district = SelectField(
        lazy("District, if you work in Shanghai"),
        description=lazy("Districts of Shanghai pay subsidies of their own."),
    )
    industry_code = SelectField(
        lazy("Sector"),
        description=lazy("Subsidies for cultural and creative work ask for it; codes are those of GB/T 4754."),
    )
    occupation = StringField(
        lazy("Occupation"),
        [Length(max=LONGEST_TEXT)],
        description=lazy("It shows providers whom a course reaches; they see totals, not names."),
        render_kw={"autocomplete": "organization-title"},
    )
    employer = StringField(
        lazy("Your employer"),
        [Length(max=LONGEST_TEXT)],
        description=lazy("An employer that pays for your seat is recognised by it."),
        render_kw={"autocomplete": "organization"},
    )
    employer_size = SelectField(
        lazy("Size of your employer"),
        description=lazy("Some subsidies are for people in small companies."),
    )
    experience_band = SelectField(
        lazy("Years of experience"),
        description=lazy("Some courses and subsidies are for beginners or for experienced people."),
    )
    submit = SubmitField(lazy("Save profile"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Fill the choices in the language spoken here."""
        super().__init__(*args, **kwargs)
        self.region.choices = [_not_said(), *_choices(REGIONS.values())]
        self.district.choices = [_not_said(), *_choices(DISTRICTS.values())]
        self.employer_size.choices = [_not_said(), *choices_of(EMPLOYER_SIZES)]
        self.experience_band.choices = [_not_said(), *choices_of(EXPERIENCE_BANDS)]
        sectors = [_choices(group.industries, str(pick(group, "name"))) for group in GROUPS]
        self.industry_code.choices = [_not_said(), *chain.from_iterable(sectors)]

    def values(self) -> dict[str, str | None]:
        """What to write, by column."""
        names = ("name", "locale", "time_zone", "region", "district", "industry_code")
        return {
            name: self[name].data for name in (*names, "occupation", "employer", "employer_size", "experience_band")
        }
