"""Doors to the figures: a page with totals, chart and table, and the same as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, render_template, request, url_for

from marketplace.accounts.permissions import permission
from marketplace.foundation import clock
from marketplace.foundation.i18n import gettext as _
from marketplace.metrics import computation, funnel_views, reports
from marketplace.metrics.blueprint import blueprint
from marketplace.metrics.indicators import INDICATORS

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

__all__ = ["blueprint", "funnel_views"]


@blueprint.get("/staff/figures")
@permission("staff")
def figures() -> ResponseReturnValue:
    """Six indicators: totals, by one dimension as chart and table, each with its definition."""
    wish = reports.read_wish(request.args, now=clock.now())
    cells, found = computation.table(wish.scope, [wish.by])
    names = reports.names_of(wish.by, cells)
    return render_template(
        "metrics/figures.html",
        wish=wish,
        indicators=INDICATORS,
        totals=computation.compute_all(wish.scope),
        cells=cells,
        found=found,
        names=names,
        chart=reports.chart(cells, found, names),
        providers=reports.list_providers(),
        categories=reports.list_categories(),
        file_address=url_for("metrics.figures_file", **wish.arguments),  # type: ignore[arg-type]
    )


@blueprint.get("/staff/figures.csv")
@permission("staff")
def figures_file() -> ResponseReturnValue:
    """All cells of month × provider × category, for a spreadsheet: UTF-8 with a mark that Excel understands."""
    wish = reports.read_wish(request.args, now=clock.now())
    cells, found = computation.table(wish.scope, computation.DIMENSIONS)
    content = reports.write_csv(wish, cells, found)
    name = _("figures")
    headers = {"Content-Disposition": f"attachment; filename=figures.csv; filename*=UTF-8''{_quoted(name)}.csv"}
    return Response(content, mimetype="text/csv", headers=headers)


def _quoted(name: str) -> str:
    return "".join(f"%{byte:02X}" for byte in name.encode())
