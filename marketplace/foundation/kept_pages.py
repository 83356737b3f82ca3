"""Pages of visitors kept as they were written: the same facts, in the same language, give the same page.

Facts are read anew for every request: a kept page is used when they are what they were. What a template asks besides
the facts it is given (names of categories, estimates of open programmes, the ways on from an empty list) may be so old
as a page is kept.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from flask import g, render_template, request, session
from flask_login import current_user

from marketplace.foundation.i18n import language
from marketplace.foundation.keeping import Shelf
from marketplace.foundation.web import csp_nonce

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_SECONDS = 60
# A page has some 30 KB; a process keeps two megabytes of them.
MOST_PAGES = 64
_pages = Shelf(KEPT_SECONDS, largest=MOST_PAGES)


def show(template: str, facts: object, context: Callable[[], dict[str, Any]]) -> str:
    """The page of `template`: kept from another visitor whose facts were equal, or rendered with what `context` makes.

    `facts` must show in their `repr` all that the page tells of seats, prices and dates. Pages of someone signed in,
    and those that carry a message or a token of a session, are never kept.
    """
    is_signed_in: bool = current_user.is_authenticated  # type: ignore[attr-defined]
    if is_signed_in or "_flashes" in session:
        return render_template(template, **context())
    digest = blake2b(repr(facts).encode(), digest_size=16).digest()
    key = (template, request.url_root, request.full_path, language(), digest)
    parts: list[str] | None = _pages.find(key)
    if parts is None:
        parts = render_template(template, **context()).split(csp_nonce())
        # Flask-WTF writes its token down in both, but in the session only the first time.
        if not session.modified and "csrf_token" not in g:
            _pages.put(key, parts)
    # The nonce is the one thing of such a page that belongs to its answer.
    return csp_nonce().join(parts)
