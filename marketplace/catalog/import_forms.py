"""A catalogue's file and what kind it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import BooleanField, RadioField, SelectField, StringField, SubmitField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are of 3.2
from wtforms.validators import InputRequired

from marketplace.catalog.import_rules import MAPPINGS
from marketplace.catalog.mapping_rules import FIELDS, OWN, Plan
from marketplace.catalog.run_forms import zones
from marketplace.foundation.filling import text
from marketplace.foundation.i18n import DEFAULT_ZONE, lazy
from marketplace.foundation.money import EXPONENTS

if TYPE_CHECKING:
    from collections.abc import Mapping


class ImportForm(FlaskForm):
    """Asks for a dry run first: it tells everything and changes nothing."""

    mapping = SelectField(
        lazy("Kind of file"),
        choices=[
            SelectChoice(OWN, lazy("Another table: I say what its columns are")),
            *(SelectChoice(name, mapping.label) for name, mapping in MAPPINGS.items()),
        ],
    )
    file = FileField(
        lazy("File"),
        validators=[FileRequired(lazy("Choose a file."))],
        description=lazy("CSV or JSON in UTF-8, up to 16 MB."),
    )
    is_dry_run = BooleanField(lazy("Only say what would happen"), default=True)
    submit = SubmitField(lazy("Send the file"))


class ColumnsForm(FlaskForm):
    """Where rows come from; which column is which field is read by name: `courses-title_zh`, `runs-price` and so on."""

    kind = RadioField(
        lazy("What is in each row?"),
        choices=[SelectChoice("courses", lazy("A course")), SelectChoice("runs", lazy("A run of a course"))],
        default="courses",
    )
    source = StringField(
        lazy("Name of the source"),
        [InputRequired(lazy("Name the source in small letters, digits and hyphens, like example-academy."))],
        description=lazy("Small letters, digits and hyphens. A file sent again under this name changes its own rows."),
    )
    zone = SelectField(lazy("Time zone of its days"), default=DEFAULT_ZONE)
    currency = SelectField(
        lazy("Currency where no column says it"), choices=[SelectChoice(code, code) for code in EXPONENTS]
    )
    is_dry_run = BooleanField(lazy("Only say what would happen"), default=True)
    submit = SubmitField(lazy("Go on"))

    def offer(self) -> None:
        """Fill the zones."""
        self.zone.choices = [SelectChoice(name, name) for name in dict.fromkeys(zones())]

    def plan(self, sent: Mapping[str, str]) -> Plan:
        """What was mapped."""
        kind = text(self.kind)
        columns = {name: sent.get(f"{kind}-{name}", "") for name in FIELDS[kind]}
        return Plan(
            kind=kind,
            source=text(self.source).strip(),
            columns={name: column for name, column in columns.items() if column},
            zone=text(self.zone),
            currency=text(self.currency),
        )
