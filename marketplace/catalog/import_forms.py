"""A catalogue's file and what kind it is."""

from __future__ import annotations

from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import BooleanField, SelectField, SubmitField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are of 3.2

from marketplace.catalog.import_rules import MAPPINGS
from marketplace.foundation.i18n import lazy


class ImportForm(FlaskForm):
    """Asks for a dry run first: it tells everything and changes nothing."""

    mapping = SelectField(
        lazy("Kind of file"), choices=[SelectChoice(name, mapping.label) for name, mapping in MAPPINGS.items()]
    )
    file = FileField(
        lazy("File"),
        validators=[FileRequired(lazy("Choose a file."))],
        description=lazy("CSV or JSON in UTF-8, up to 16 MB."),
    )
    is_dry_run = BooleanField(lazy("Only say what would happen"), default=True)
    submit = SubmitField(lazy("Take the file in"))
