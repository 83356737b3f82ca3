"""Throttling that holds across processes: Flask-Limiter counting in an UNLOGGED table.

Counts are kept on connections of their own, outside the request's transaction: an attempt that is rolled back was made
all the same. Keys are keyed hashes, so the table names nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from flask import current_app, g, request, session
from flask_limiter import Limiter
from limits.storage import Storage
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from marketplace.accounts.addresses import normal_email
from marketplace.accounts.permissions import current_person
from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from flask import Flask, Response
    from sqlalchemy import TextClause

    View = TypeVar("View", bound=Callable[..., Any])

SCHEME = "marketplace"
SEE_OTHER, UNPROCESSABLE = 303, 422
# What is guessed or flooded here is somebody's, whoever is signed in meanwhile.
NAMING = frozenset({"accounts.sign_in", "accounts.register", "accounts.confirm_again", "accounts.forgot_password"})
_COUNT = text("""
    INSERT INTO throttle_hit AS hit (key, hits, expires_at) VALUES (:key, :amount, :until)
    ON CONFLICT (key) DO UPDATE SET
        hits = CASE WHEN hit.expires_at <= :now THEN excluded.hits ELSE hit.hits + excluded.hits END,
        expires_at = CASE WHEN hit.expires_at <= :now THEN excluded.expires_at ELSE hit.expires_at END
    RETURNING hits
""")


class PostgresStorage(Storage):
    """Fixed windows in `throttle_hit`; one statement a hit, exact under parallel hits."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - the registry of limits reads a plain list

    @property
    def base_exceptions(self) -> type[Exception]:
        """What a broken store raises."""
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count a hit; returns the hits in the key's window of `expiry` seconds."""
        now = clock.now()
        return int(_value(_COUNT, key=key, amount=amount, now=now, until=now + timedelta(seconds=expiry)))

    def get(self, key: str) -> int:
        """The hits in the key's present window."""
        query = text("SELECT hits FROM throttle_hit WHERE key = :key AND expires_at > :now")
        return int(_value(query, key=key, now=clock.now()) or 0)

    def get_expiry(self, key: str) -> float:
        """When the key's window ends, in seconds since 1970."""
        found = _value(text("SELECT expires_at FROM throttle_hit WHERE key = :key"), key=key)
        return (found or clock.now()).timestamp()

    def check(self) -> bool:
        """Whether the table can be read."""
        return _value(text("SELECT count(*) FROM throttle_hit")) is not None

    def reset(self) -> int:
        """Forget all hits; returns how many keys."""
        return _deleted(text("DELETE FROM throttle_hit"))

    def clear(self, key: str) -> None:
        """Forget one key's hits."""
        _deleted(text("DELETE FROM throttle_hit WHERE key = :key"), key=key)


def sweep() -> int:
    """Delete windows that ended; returns how many."""
    return _deleted(text("DELETE FROM throttle_hit WHERE expires_at <= :now"), now=clock.now())


def _value(statement: TextClause, **values: object) -> Any:
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return connection.execute(statement, values).scalar()


def _deleted(statement: TextClause, **values: object) -> int:
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return connection.execute(statement, values).rowcount


def address() -> str:
    """The network address of the request, or its /64 for IPv6: one household gets that many."""
    return _hidden("address", _network(request.remote_addr or ""))


def _network(remote: str) -> str:
    try:
        found = ipaddress.ip_address(remote)
    except ValueError:
        return remote
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.IPv6Address(int(found) >> 64 << 64))


def account() -> str:
    """The account the request is about: at the doors that ask who one is the one the form names, else whose it is.

    Elsewhere the form has no say: an address of one's own making would be a fresh limit.
    """
    if request.endpoint not in NAMING:
        person = current_person()
        if person is not None:
            return _hidden("account", person.email)
        # The password was right: what is guessed now is this account's second factor.
        return _hidden("half", str(session["half"]["person"])) if "half" in session else address()
    try:
        return _hidden("account", normal_email(request.form.get("email", "")))
    except Invalid:
        return address()


def _hidden(kind: str, value: str) -> str:
    secret = current_app.config["SETTINGS"].secret_key.encode()
    return f"{kind}:{hmac.new(secret, value.encode(), hashlib.sha256).hexdigest()[:32]}"


limiter = Limiter(address, storage_uri=f"{SCHEME}://", strategy="fixed-window", headers_enabled=False)


def attempts_limited(view: View) -> View:
    """Limit attempts at a secret, right ones too: generously per address, tightly per account."""
    for limit, key in (("300 per 10 minutes", address), ("20 per 10 minutes", account), ("100 per day", account)):
        view = cast("View", limiter.limit(limit, key_func=key, methods=["POST"])(view))
    return view


def mails_limited(view: View) -> View:
    """Limit mails sent to one mailbox, or from one network; all such acts count together, mistyped forms do not."""
    for limit, key in (("200 per hour", address), ("5 per hour", account)):
        shared = limiter.shared_limit(limit, scope="mails", key_func=key, methods=["POST"], deduct_when=_did_send)
        view = cast("View", shared(view))
    return view


def codes_limited(view: View) -> View:
    """Limit wrong codes that one account or one network tries, at all doors together.

    They are those of vouchers (the field `voucher_code`), and of kept seats (`seat_code`, or `seats` in a link); of
    these the door says that one was wrong (`note_wrong_code`).
    """
    for limit, key in (("200 per hour", address), ("15 per 10 minutes", account), ("60 per day", account)):
        shared = limiter.shared_limit(
            limit,
            scope="codes",
            key_func=key,
            methods=["GET", "POST"],
            deduct_when=_did_refuse,
            exempt_when=_sends_no_code,
        )
        view = cast("View", shared(view))
    return view


def _sends_no_code() -> bool:
    """Nothing is guessed by a form without a code, and asking the counters would cost most orders three statements."""
    return not (_sent("voucher_code") or _sent("seat_code") or request.args.get("seats", "").strip())


def _sent(field: str) -> bool:
    return bool(request.form.get(field, "").strip())


def _did_refuse(response: Response) -> bool:
    return g.get("has_wrong_code", False) or (_sent("voucher_code") and response.status_code == UNPROCESSABLE)


def note_wrong_code() -> None:
    """Let this request count as a wrong code, whatever its answer."""
    g.has_wrong_code = True


def _did_send(response: Response) -> bool:
    return response.status_code == SEE_OTHER


def init_app(app: Flask) -> None:
    """Switch the limits on, except in tests, which switch them on themselves."""
    app.config["RATELIMIT_ENABLED"] = not app.testing
    limiter.init_app(app)
