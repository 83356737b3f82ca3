"""The doors of this room, by who opens them; and those of everyone: what can be had, and what one has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template

from marketplace.accounts.permissions import permission, person
from marketplace.foundation import clock
from marketplace.foundation.errors import NotFound
from marketplace.funding import claim_views, programme_views, programmes, subsidy_lists, subsidy_names, subsidy_views
from marketplace.funding.blueprint import blueprint

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

__all__ = ["blueprint", "claim_views", "programme_views", "subsidy_views"]


@blueprint.get("/funding")
@permission("public")
def open_programmes() -> ResponseReturnValue:
    """What programmes pay today, for whom and on which conditions."""
    versions = programmes.list_open(now=clock.now())
    return render_template("funding/open_programmes.html", versions=versions, names=subsidy_names)


@blueprint.get("/funding/<public_id>")
@permission("public")
def programme(public_id: str) -> ResponseReturnValue:
    """One programme with its conditions, its terms, and what follows when they are not met."""
    version = programmes.find_in_force(public_id)
    if version is None:
        raise NotFound
    return render_template(
        "funding/programme.html",
        version=version,
        programme=version.programme,
        rule=version.rule,
        is_open=version.id in {one.id for one in programmes.list_open(now=clock.now())},
        names=subsidy_names,
    )


@blueprint.get("/my/funding")
@permission("signed_in")
def my_funding() -> ResponseReturnValue:
    """One's own subsidies: how much, where they stand, what is to be done by when."""
    return render_template(
        "funding/my_funding.html",
        subsidies=subsidy_lists.list_of_person(person().id),
        states=subsidy_names.states(),
        names=subsidy_names,
    )
