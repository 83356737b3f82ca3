"""Doors for staff who take in the catalogues of others."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from flask import Response, flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.catalog import imports as verbs
from marketplace.catalog.blueprint import blueprint
from marketplace.catalog.import_forms import ColumnsForm, ImportForm
from marketplace.catalog.import_rules import MAPPINGS
from marketplace.catalog.mapping_rules import FIELDS, OWN
from marketplace.foundation import clock
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.spreadsheets import harmless

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

ROWS_SHOWN = 500


@blueprint.get("/staff/imports")
@permission("staff:reviewer")
def imports() -> ResponseReturnValue:
    """What was taken in lately, and the form for the next file."""
    return _imports_page(ImportForm())


@blueprint.post("/staff/imports")
@permission("staff:reviewer")
def begin_import() -> ResponseReturnValue:
    """Take a file and let a job work through it."""
    form = ImportForm()
    if not form.validate_on_submit():
        return _imports_page(form), 422
    try:
        made = verbs.begin(
            form.mapping.data,
            form.file.data.read(),
            file_name=form.file.data.filename or "",
            is_dry_run=form.is_dry_run.data,
            person_id=person().id,
            now=clock.now(),
        )
    except Invalid as refused:
        form.file.errors = [*form.file.errors, str(refused.message)]
        return _imports_page(form), refused.status
    next_page = "catalog.import_columns" if made.mapping == OWN else "catalog.import_report"
    return redirect(url_for(next_page, public_id=made.public_id), 303)


@blueprint.route("/staff/imports/<public_id>/columns", methods=["GET", "POST"])
@permission("staff:reviewer")
def import_columns(public_id: str) -> ResponseReturnValue:
    """Say which column of a table is which field, with its first values beside."""
    found, actor = verbs.get(public_id), person()
    if found.mapping != OWN or found.columns:
        return redirect(url_for("catalog.import_report", public_id=public_id), 303)
    columns = verbs.columns_of(found)
    known = verbs.find_plan(columns)
    form = ColumnsForm(data=known.kept() if known else None)
    form.offer()
    tried = attempt(
        form,
        lambda: verbs.map_columns(
            found.id, form.plan(request.form), is_dry_run=form.is_dry_run.data, actor=actor, now=clock.now()
        ),
    )
    if tried.is_done:
        return redirect(url_for("catalog.import_report", public_id=public_id), 303)
    chosen = {f"{known.kind}-{name}": column for name, column in known.columns.items()} if known else {}
    chosen |= request.form.to_dict()
    page = render_template(
        "catalog/import_columns.html", form=form, found=found, columns=columns, fields=FIELDS, chosen=chosen
    )
    return page, tried.status


@blueprint.post("/staff/imports/<public_id>/again")
@permission("staff:reviewer")
def import_for_good(public_id: str) -> ResponseReturnValue:
    """Take in what a dry run told about."""
    try:
        made = verbs.again(verbs.get(public_id).id, actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
        return redirect(url_for("catalog.import_report", public_id=public_id), 303)
    return redirect(url_for("catalog.import_report", public_id=made.public_id), 303)


def _labels() -> dict[str, object]:
    return {OWN: _("Another table"), **{name: mapping.label for name, mapping in MAPPINGS.items()}}


def _imports_page(form: ImportForm) -> str:
    return render_template(
        "catalog/imports.html", form=form, imports=verbs.list_recent(), labels=_labels(), outcomes=outcome_names()
    )


@blueprint.get("/staff/imports/<public_id>")
@permission("staff:reviewer")
def import_report(public_id: str) -> ResponseReturnValue:
    """How far an import is, and what there is to say about its rows."""
    found = verbs.get(public_id)
    return render_template(
        "catalog/import_report.html",
        found=found,
        counts=verbs.count_outcomes(found.id),
        rows=[(row, verbs.notes_of(row)) for row in verbs.list_rows(found.id, told_only=True, limit=ROWS_SHOWN)],
        labels=_labels(),
        outcomes=outcome_names(),
        shown=ROWS_SHOWN,
    )


@blueprint.get("/staff/imports/<public_id>.csv")
@permission("staff:reviewer")
def import_report_csv(public_id: str) -> ResponseReturnValue:
    """Every row of an import, as a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_("Row"), _("Key"), _("Outcome"), _("Note")])
    names = outcome_names()
    for row in verbs.list_rows(verbs.get(public_id).id):
        writer.writerow([row.number, harmless(row.key), names[row.outcome], " ".join(verbs.notes_of(row))])
    headers = {"Content-Disposition": f"attachment; filename=import-{public_id}.csv"}
    # With its mark at the front Excel reads Chinese as it is.
    return Response(out.getvalue().encode("utf-8-sig"), mimetype="text/csv", headers=headers)


def outcome_names() -> dict[str, str]:
    """What a row may come to, in the reader's language."""
    return {
        "accepted": _("Accepted"),
        "changed": _("Changed"),
        "unchanged": _("Unchanged"),
        "refused": _("Refused"),
    }
