"""Pages of visitors kept as they were written: the same facts, in the same language, give the same page.

Facts are read anew for every request, or PostgreSQL is asked whether they are those the page was written from: a kept
page is used when they are. What a template asks besides the facts it is given (names of categories, how far a budget
still reaches, the ways on from an empty list) may be so old as a page is kept; what a room above the page's tells on it
can say by itself whether it is the same (`tell_beside`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flask import g, render_template, request, session
from flask_login import current_user

from marketplace.foundation.i18n import language
from marketplace.foundation.keeping import Shelf
from marketplace.foundation.web import csp_nonce

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime

KEPT_SECONDS = 60
# A page has some 30 KB; a process keeps two megabytes of them.
MOST_PAGES = 64
# Prices may change with the day, and somewhere a day begins at each quarter of an hour.
DAYS_BEGIN_SECONDS = 900
_pages = Shelf(KEPT_SECONDS, largest=MOST_PAGES)
_beside: dict[str, Callable[[], Hashable]] = {}


def tell_beside(template: str, state: Callable[[], Hashable]) -> None:
    """Keep a template's pages apart by what `state` says. It is asked for every visitor: what it says must be kept."""
    _beside[template] = state


class _Kept(NamedTuple):
    seen: object
    rest: tuple[object, ...]
    # What stands between the places of the nonce.
    parts: list[bytes]


class Page:
    """The page of a template at the address asked for, as visitors were shown it last, if it is kept.

    Pages of someone signed in, and those that carry a message or a token of a session, are never kept.
    """

    def __init__(self, template: str, *, now: datetime) -> None:
        """Look for it; `now` is the moment prices are decided for."""
        self._template = template
        is_signed_in: bool = current_user.is_authenticated  # type: ignore[attr-defined]
        self._may_be_kept = not is_signed_in and "_flashes" not in session
        quarter = int(now.timestamp()) // DAYS_BEGIN_SECONDS
        beside = _beside[template]() if self._may_be_kept and template in _beside else None
        self._key = (template, request.url_root, request.full_path, language(), quarter, beside)
        self._kept: _Kept | None = _pages.find(self._key) if self._may_be_kept else None

    @property
    def seen(self) -> Any:
        """What the kept page was written from, as it was given to `show`; None when none is kept."""
        return self._kept and self._kept.seen

    def tells(self, seen: object, *rest: object) -> bool:
        """Whether the kept page was written from facts equal to these."""
        return self._kept is not None and (self._kept.seen, self._kept.rest) == (seen, rest)

    def show(self, seen: object, *rest: object, context: Callable[[], dict[str, Any]]) -> bytes:
        """The kept page if it `tells` these facts, else the page written with what `context` makes of them.

        `seen` and `rest` are all that the page tells of seats, prices, dates and numbers, or marks of it. Without
        `seen` the page is not kept.
        """
        if self._kept is not None and self.tells(seen, *rest):
            return _with_nonce(self._kept.parts)
        written = render_template(self._template, **context())
        # Flask-WTF writes its token down in both, but in the session only the first time.
        if seen is None or not self._may_be_kept or session.modified or "csrf_token" in g:
            return written.encode()
        parts = [part.encode() for part in written.split(csp_nonce())]
        _pages.put(self._key, _Kept(seen, rest, parts))
        return _with_nonce(parts)


def _with_nonce(parts: list[bytes]) -> bytes:
    """The nonce is the one thing of such a page that belongs to its answer."""
    return csp_nonce().encode().join(parts)
