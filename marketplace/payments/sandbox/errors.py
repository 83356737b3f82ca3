"""Errors as Stripe words them."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer other than success: https://docs.stripe.com/api/errors."""

    def __init__(
        self, message: str, *, status: int = 400, kind: str = "invalid_request_error", code: str = "", param: str = ""
    ) -> None:
        """`kind` is Stripe's type of error."""
        super().__init__(message)
        self.status = status
        details = {"type": kind, "message": message, "code": code, "param": param}
        self.body: dict[str, Any] = {"error": {name: value for name, value in details.items() if value}}


def missing(kind: str, object_id: str) -> ApiError:
    """There is nothing of this kind under this id."""
    return ApiError(f"No such {kind}: '{object_id}'", status=404, code="resource_missing", param="id")
