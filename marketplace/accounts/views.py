"""All doors of the room: into an account, of one's own, of an organisation, of the administrators."""

from __future__ import annotations

from marketplace.accounts import (
    account_views,
    consent_views,
    entry_views,
    organisation_views,
    second_factor_views,
    security,
    staff_views,
    sweeping,
)
from marketplace.accounts.blueprint import blueprint

__all__ = [
    "account_views",
    "blueprint",
    "consent_views",
    "entry_views",
    "init_app",
    "organisation_views",
    "second_factor_views",
    "staff_views",
    "sweeping",
]

init_app = security.init_app
blueprint.before_app_request(security.enforce)
