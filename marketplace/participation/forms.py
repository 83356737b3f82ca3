"""The forms of registers, results and uploads. A register has a row of fields per person, read by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import SubmitField

from marketplace.foundation.i18n import lazy
from marketplace.participation.registers import Mark

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUS = "status-"
REASON = "reason-"
RESULT = "result-"


class RegisterForm(FlaskForm):
    """The marks of one session: `status-<enrolment>` and, for a correction, `reason-<enrolment>`."""

    submit = SubmitField(lazy("Save the register"))


class ResultsForm(FlaskForm):
    """The results of a run: `result-<enrolment>` is pass or fail."""

    submit = SubmitField(lazy("Save the results"))


class UploadForm(FlaskForm):
    """A spreadsheet of marks."""

    file = FileField(
        lazy("CSV file"),
        [FileRequired(lazy("Choose a file."))],
        description=lazy("Columns: email, session (its number), status (present, absent, excused), reason."),
        render_kw={"accept": ".csv,text/csv"},
    )
    submit = SubmitField(lazy("Send the file"))


def marks_of(values: Mapping[str, str]) -> dict[str, Mark]:
    """The marks that were chosen, by public id of the enrolment; a person without a choice is left out."""
    return {
        name.removeprefix(STATUS): Mark(status, values.get(REASON + name.removeprefix(STATUS), ""))
        for name, status in values.items()
        if name.startswith(STATUS) and status
    }


def results_of(values: Mapping[str, str]) -> dict[str, bool]:
    """The results that were chosen, by public id of the enrolment."""
    return {
        name.removeprefix(RESULT): result == "pass"
        for name, result in values.items()
        if name.startswith(RESULT) and result in {"pass", "fail"}
    }
