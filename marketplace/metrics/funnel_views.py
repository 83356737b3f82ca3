"""The door to the funnel of a funding programme, for its officer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template

from marketplace.accounts.permissions import permission
from marketplace.funding import programmes
from marketplace.metrics import funnels
from marketplace.metrics.blueprint import blueprint

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/staff/funding/<public_id>/funnel")
@permission("staff:funding_officer")
def funding_funnel(public_id: str) -> ResponseReturnValue:
    """From asking to the claim, as chart and table."""
    programme = programmes.get(public_id)
    steps = funnels.funnel(programme.id)
    return render_template(
        "metrics/funding_funnel.html", programme=programme, steps=steps, chart=funnels.chart(steps)
    )  # fmt: skip
