"""The forms of a run and its sessions; times are those of the run's own zone."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import available_timezones

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    IntegerField,
    SelectField,
    StringField,
    SubmitField,
)
from wtforms.validators import InputRequired, Length, NumberRange, Optional
from wtforms.widgets import HiddenInput

from marketplace.catalog import run_rules
from marketplace.catalog.listing import mode_names, teaching_languages
from marketplace.catalog.run_rules import Meeting
from marketplace.foundation.errors import Invalid
from marketplace.foundation.filling import DayField, MomentField, choice, text
from marketplace.foundation.i18n import DEFAULT_ZONE, lazy
from marketplace.foundation.money import EXPONENTS, Money, MoneyError
from marketplace.foundation.places import zone_label

if TYPE_CHECKING:
    from marketplace.catalog.models import CourseRun, Session

LONGEST_PLACE, LONGEST_TITLE = 200, 200
LARGEST_CAPACITY = 100_000
LARGEST_PRICE_MINOR = 10**10
CHINESE, ENGLISH = {"lang": "zh-Hans-CN"}, {"lang": "en"}
NEAR = (DEFAULT_ZONE, "Asia/Hong_Kong", "Asia/Tokyo", "Asia/Singapore", "Europe/London", "Europe/Paris")


@lru_cache(maxsize=1)
def zones() -> tuple[str, ...]:
    """Every IANA zone that is a place, and UTC."""
    areas = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return (*NEAR, *sorted(name for name in available_timezones() if name.startswith(areas)), "UTC")


def _moment(label: Any, *validators: Any, hint: Any = "") -> MomentField:
    formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
    return MomentField(label, [*validators], format=formats, description=hint)


def _number(label: Any, low: int, high: int, *, hint: Any = "", is_optional: bool = False) -> IntegerField:
    validators = [Optional()] if is_optional else [InputRequired(lazy("Enter a whole number."))]
    keys = {"inputmode": "numeric", "min": str(low), "max": str(high)}
    return IntegerField(
        label,
        [*validators, NumberRange(low, high, lazy("Enter a number from %(low)s to %(high)s.", low=low, high=high))],
        description=hint,
        render_kw=keys,
    )


class RunForm(FlaskForm):
    """One time a course takes place. An empty date stays empty until the run is scheduled."""

    zone = SelectField(lazy("Time zone"), description=lazy("All times of this run are told in this zone."))
    starts_at = _moment(lazy("Starts"), Optional())
    ends_at = _moment(lazy("Ends"), Optional())
    enrol_opens_at = _moment(lazy("Enrolment opens"), Optional())
    enrol_closes_on = DayField(
        lazy("Last day of enrolment"), [Optional()], description=lazy("Until midnight at the end of this day.")
    )
    mode = SelectField(lazy("Where"))
    place_zh = StringField(lazy("Place in Chinese"), [Length(max=LONGEST_PLACE)], render_kw=CHINESE)
    place_en = StringField(lazy("Place in English"), [Length(max=LONGEST_PLACE)], render_kw=ENGLISH)
    language = SelectField(lazy("Language of teaching"))
    capacity = _number(lazy("Seats"), 1, LARGEST_CAPACITY)
    price = StringField(
        lazy("Price of a seat"),
        [InputRequired(lazy("Enter the price, or 0 for a free run."))],
        description=lazy("A new price holds for orders placed from now on. 0 is free."),
        render_kw={"inputmode": "decimal"},
    )
    currency = SelectField(lazy("Currency"), choices=[choice(code, code) for code in EXPONENTS])
    completion_attendance_percent = _number(
        lazy("Share of sessions to attend, in per cent"),
        0,
        100,
        hint=lazy("Leave it empty if attendance does not count."),
        is_optional=True,
    )
    completion_needs_pass = BooleanField(lazy("An assessment has to be passed"))
    version = IntegerField(widget=HiddenInput(), default=0)
    submit = SubmitField(lazy("Save"))

    def offer(self) -> None:
        """Fill the selects; with each request, as names are told in the reader's language."""
        kept = self.zone.object_data
        self.zone.choices = [
            choice(name, zone_label(name)) for name in dict.fromkeys([*([kept] if kept else []), *zones()])
        ]
        self.mode.choices = [choice(mode, name) for mode, name in mode_names().items()]
        self.language.choices = [choice(code, name) for code, name in teaching_languages().items()]

    def values(self, kept: CourseRun | None) -> dict[str, Any]:
        """What to write, by column; raises Invalid for a time that does not exist or an amount that is none."""
        zone = text(self.zone)
        given = {name: self._when(name, zone) for name in ("starts_at", "ends_at", "enrol_opens_at")}
        day = self.enrol_closes_on.data
        closes = run_rules.deadline(day, zone, kept=_kept_deadline(kept, zone)) if day else None
        price = self._price()
        names = ("mode", "language", "capacity", "completion_attendance_percent", "completion_needs_pass")
        return given | {
            "zone": zone,
            "enrol_closes_at": closes,
            "price_minor": price.minor,
            "currency": price.currency,
            **{name: text(self[name]).strip() for name in ("place_zh", "place_en")},
            **{name: self[name].data for name in names},
        }

    def _when(self, name: str, zone: str) -> datetime | None:
        local = self[name].data
        try:
            return run_rules.moment(local, zone) if local else None
        except Invalid as refused:
            raise Invalid(refused.code, refused.message, {name: refused.message}) from refused

    def _price(self) -> Money:
        sentence = lazy("Enter an amount like 1280 or 1280.50.")
        try:
            price = Money.parse(text(self.price), text(self.currency))
        except MoneyError as error:
            raise Invalid("price", sentence, {"price": sentence}) from error
        if not 0 <= price.minor <= LARGEST_PRICE_MINOR:
            raise Invalid("price", sentence, {"price": sentence})
        return price


def _kept_deadline(run: CourseRun | None, zone: str) -> datetime | None:
    return run.enrol_closes_at if run is not None and run.zone == zone else None


def values_of(run: CourseRun) -> dict[str, Any]:
    """A run as its form shows it, in its own zone."""
    found: dict[str, Any] = {
        name: run_rules.wall_clock(when, run.zone) if (when := getattr(run, name)) else None
        for name in ("starts_at", "ends_at", "enrol_opens_at")
    }
    closes = run.enrol_closes_at
    names = ("zone", "mode", "place_zh", "place_en", "language", "capacity", "currency", "version")
    rule = ("completion_attendance_percent", "completion_needs_pass")
    return found | {
        "enrol_closes_on": run_rules.last_day_before(closes, run.zone) if closes else None,
        "price": str(run.price.major),
        **{name: getattr(run, name) for name in (*names, *rule)},
    }


NEW_RUN = {
    "zone": DEFAULT_ZONE,
    "mode": "in_person",
    "language": "zh",
    "capacity": 20,
    "currency": "CNY",
    "completion_attendance_percent": 80,
}


class SessionForm(FlaskForm):
    """One meeting: when, how long, what about, and where if not at the run's own place."""

    starts_at = _moment(lazy("Starts"), InputRequired(lazy("Enter the day and the time.")))
    minutes = _number(lazy("Length in minutes"), 5, 960)
    title_zh = StringField(lazy("Topic in Chinese"), [Length(max=LONGEST_TITLE)], render_kw=CHINESE)
    title_en = StringField(lazy("Topic in English"), [Length(max=LONGEST_TITLE)], render_kw=ENGLISH)
    place_zh = StringField(lazy("Place in Chinese"), [Length(max=LONGEST_PLACE)], render_kw=CHINESE)
    place_en = StringField(lazy("Place in English"), [Length(max=LONGEST_PLACE)], render_kw=ENGLISH)
    submit = SubmitField(lazy("Save the session"))

    def meeting(self, zone: str) -> Meeting:
        """Its moments; raises Invalid for a time that does not exist."""
        first = cast("datetime", self.starts_at.data)
        return run_rules.weekly(first, minutes=self.minutes.data or 0, count=1, every=1, zone=zone)[0]

    def texts(self) -> dict[str, str]:
        """What it is about and where."""
        return {name: text(self[name]).strip() for name in ("title_zh", "title_en", "place_zh", "place_en")}


def session_values(session: Session, zone: str) -> dict[str, Any]:
    """A session as its form shows it."""
    return {
        "starts_at": run_rules.wall_clock(session.starts_at, zone),
        "minutes": round((session.ends_at - session.starts_at).total_seconds() / 60),
        **{name: getattr(session, name) for name in ("title_zh", "title_en", "place_zh", "place_en")},
    }


class SeriesForm(FlaskForm):
    """Sessions at the same time every week or every few; shown first, made when confirmed."""

    starts_at = _moment(lazy("First session"), InputRequired(lazy("Enter the day and the time.")))
    minutes = _number(lazy("Length in minutes"), 5, 960)
    count = _number(lazy("How many sessions"), 1, run_rules.MOST_IN_SERIES)
    every = _number(lazy("Every how many weeks"), 1, 8)
    is_confirmed = BooleanField(widget=HiddenInput(), default=False)
    submit = SubmitField(lazy("Show the sessions"))

    def meetings(self, zone: str) -> list[Meeting]:
        """The sessions it stands for; raises Invalid for a time that does not exist."""
        first, minutes = cast("datetime", self.starts_at.data), self.minutes.data or 0
        return run_rules.weekly(
            first, minutes=minutes, count=self.count.data or 0, every=self.every.data or 1, zone=zone
        )


class CopyForm(FlaskForm):
    """When the copy starts."""

    starts_on = DayField(
        lazy("The copy starts on"),
        [InputRequired(lazy("Enter the day."))],
        description=lazy("Sessions and enrolment dates keep their distance from it."),
    )
    submit = SubmitField(lazy("Copy the run"))

    def day(self) -> date:
        """The day that was entered."""
        return cast("date", self.starts_on.data)
