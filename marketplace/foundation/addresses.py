"""Addresses on pages, built once per process: `url_for` costs more than the line of a page that it stands in."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from flask import current_app, has_request_context, request, url_for

KEPT = 16384
# Longer words of an address are somebody's own (a search), and seldom come again.
LONGEST = 80


def address_of(endpoint: str, **values: Any) -> str:
    """What Flask's `url_for` says, kept where the same question has the same answer for everybody."""
    is_plain = not endpoint.startswith(".") and all(
        not name.startswith("_") and (isinstance(value, int) or (isinstance(value, str) and len(value) <= LONGEST))
        for name, value in values.items()
    )
    if not is_plain or not has_request_context():
        return url_for(endpoint, **values)
    return _address(request.script_root, endpoint, tuple(values.items()))


@lru_cache(KEPT)
def _address(_script_root: str, endpoint: str, values: tuple[tuple[str, Any], ...]) -> str:
    return url_for(endpoint, **dict(values))


def asset(name: str) -> str:
    """The address of a file of `static/`, with a mark of its content: browsers may keep it for ever."""
    return address_of("static", filename=name, v=_mark(f"{current_app.static_folder}/{name}"))


@lru_cache(None)
def _mark(path: str) -> str:
    return sha256(Path(path).read_bytes()).hexdigest()[:10]
