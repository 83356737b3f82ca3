"""Who may decide about a subsidy: any funding officer but the one it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from marketplace.funding.subsidy_models import Subsidy


def check(subsidy: Subsidy, actor_id: int | None) -> None:
    """Raise Refused where somebody would decide, or note money, about what they applied for themselves."""
    if actor_id == subsidy.person_id:
        raise Refused("own_subsidy", lazy("You applied for this yourself: another funding officer decides about it."))
