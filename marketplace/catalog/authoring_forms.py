"""The forms of a provider's desk: a course in both languages, its partners, a reviewer's word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField, RadioField, SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import InputRequired, Length, ValidationError
from wtforms.widgets import HiddenInput

from marketplace.catalog import authoring_rules as rules
from marketplace.catalog.authoring import TRANSLATIONS
from marketplace.catalog.listing import level_names
from marketplace.foundation.filling import choice, choices_of, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, pick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.catalog.models import Category, Course

LONGEST_TITLE, LONGEST_SUMMARY, LONGEST_DESCRIPTION = 160, 400, 12_000
MOST_ITEMS, LONGEST_ITEM = 40, 300
LISTS = ("outcomes", "syllabus")
CHINESE, ENGLISH = {"lang": "zh-Hans-CN"}, {"lang": "en"}


def _items(_form: FlaskForm, field: TextAreaField) -> None:
    items = rules.lines(text(field))
    if not rules.is_within(items, most=MOST_ITEMS, longest=LONGEST_ITEM):
        raise ValidationError(
            _("At most %(most)s lines of %(longest)s characters each.", most=MOST_ITEMS, longest=LONGEST_ITEM)
        )


def _state_field() -> SelectField:
    return SelectField(lazy("State of the translation"), choices=choices_of(TRANSLATIONS), default="translated")


class CourseForm(FlaskForm):
    """A course, each text in both languages; `state_<field>` says where its translation stands."""

    original_language = RadioField(
        lazy("Which language do you write first?"),
        choices=[choice("zh", lazy("Chinese")), choice("en", lazy("English"))],
        description=lazy("When you change a text in this language, its translation is marked until you confirm it."),
    )
    title_zh = StringField(lazy("Title in Chinese"), [Length(max=LONGEST_TITLE)], render_kw=CHINESE)
    title_en = StringField(lazy("Title in English"), [Length(max=LONGEST_TITLE)], render_kw=ENGLISH)
    summary_zh = TextAreaField(lazy("Summary in Chinese"), [Length(max=LONGEST_SUMMARY)], render_kw=CHINESE)
    summary_en = TextAreaField(lazy("Summary in English"), [Length(max=LONGEST_SUMMARY)], render_kw=ENGLISH)
    description_zh = TextAreaField(
        lazy("Description in Chinese"), [Length(max=LONGEST_DESCRIPTION)], render_kw={**CHINESE, "rows": 10}
    )
    description_en = TextAreaField(
        lazy("Description in English"), [Length(max=LONGEST_DESCRIPTION)], render_kw={**ENGLISH, "rows": 10}
    )
    outcomes_zh = TextAreaField(lazy("What people will be able to do, in Chinese"), [_items], render_kw=CHINESE)
    outcomes_en = TextAreaField(lazy("What people will be able to do, in English"), [_items], render_kw=ENGLISH)
    syllabus_zh = TextAreaField(lazy("Syllabus in Chinese"), [_items], render_kw=CHINESE)
    syllabus_en = TextAreaField(lazy("Syllabus in English"), [_items], render_kw=ENGLISH)
    state_title = _state_field()
    state_summary = _state_field()
    state_description = _state_field()
    state_outcomes = _state_field()
    state_syllabus = _state_field()
    category_id = SelectField(lazy("Field"), coerce=int)
    level = SelectField(lazy("Level"))
    version = IntegerField(widget=HiddenInput(), default=0)
    submit = SubmitField(lazy("Save"))

    def offer(self, categories: Sequence[Category]) -> None:
        """Fill the selects; with each request, as names are told in the reader's language."""
        nothing = choice("0", lazy("Not chosen yet"))
        self.category_id.choices = [nothing, *(choice(str(row.id), str(pick(row, "name"))) for row in categories)]
        self.level.choices = [choice(level, name) for level, name in level_names().items()]

    def values(self) -> dict[str, Any]:
        """What to write, by column."""
        found: dict[str, Any] = {}
        for field in rules.PAIRED:
            for column in (f"{field}_zh", f"{field}_en"):
                typed = text(self[column]).replace("\r\n", "\n").strip()
                found[column] = rules.lines(typed) if field in LISTS else typed
        return found | {
            "category_id": self.category_id.data or None,
            "level": self.level.data,
            "original_language": self.original_language.data,
        }

    def translations(self) -> dict[str, str]:
        """The state chosen for each translation."""
        return {field: text(self[f"state_{field}"]) for field in rules.PAIRED}


def values_of(course: Course) -> dict[str, Any]:
    """A course as its form shows it."""
    found: dict[str, Any] = {"category_id": course.category_id or 0}
    for field in rules.PAIRED:
        for column in (f"{field}_zh", f"{field}_en"):
            kept = getattr(course, column)
            found[column] = "\n".join(kept) if field in LISTS else kept
        found[f"state_{field}"] = course.translation_state.get(field, "translated")
    for name in ("level", "original_language", "version"):
        found[name] = getattr(course, name)
    return found


class PartnerForm(FlaskForm):
    """Whom to ask, and what they would do."""

    organisation = RadioField(lazy("Organisation"), [InputRequired(lazy("Choose an organisation."))])
    duties_zh = StringField(lazy("Duties in Chinese"), [Length(max=LONGEST_ITEM)], render_kw=CHINESE)
    duties_en = StringField(lazy("Duties in English"), [Length(max=LONGEST_ITEM)], render_kw=ENGLISH)
    submit = SubmitField(lazy("Ask them"))


class AnswerForm(FlaskForm):
    """Yes or no to a question."""

    answer = HiddenField(validators=[InputRequired()])


class StepForm(FlaskForm):
    """A step of the course as a whole, sent by its button."""

    step = HiddenField(validators=[InputRequired()])


class ReviewForm(FlaskForm):
    """What a reviewer asks to be changed."""

    note = TextAreaField(
        lazy("What is to be changed"),
        [Length(max=4000)],
        description=lazy("The provider reads this on the course's page."),
    )
    submit = SubmitField(lazy("Return with this note"))
