"""The rows of this room, by what they are about."""

from __future__ import annotations

from marketplace.funding import voucher_models

__all__ = ["voucher_models"]
