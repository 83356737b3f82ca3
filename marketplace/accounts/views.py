"""All doors of the room: into an account (`entry_views`) and of one's own account (`account_views`)."""

from __future__ import annotations

from marketplace.accounts import account_views, entry_views, security
from marketplace.accounts.blueprint import blueprint

__all__ = ["account_views", "blueprint", "entry_views", "init_app"]

init_app = security.init_app
blueprint.before_app_request(security.enforce)
