"""The rows of this room, by what they are about."""

from __future__ import annotations

from marketplace.funding import programme_models, subsidy_models, voucher_models

__all__ = ["programme_models", "subsidy_models", "voucher_models"]
