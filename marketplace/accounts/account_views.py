"""The doors of one's own account: profile, password, address, sign-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template

from marketplace.accounts.blueprint import blueprint
from marketplace.accounts.permissions import permission, person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/account")
@permission("signed_in")
def profile() -> ResponseReturnValue:
    """What we know of the person."""
    return render_template("accounts/profile.html", person=person())
