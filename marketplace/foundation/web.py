"""What every request and answer has: an id, security headers, a nonce policy, CSRF, and pages for errors."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import structlog
from flask import current_app, g, jsonify, render_template, request
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import CSRFError, CSRFProtect
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException, SecurityError
from werkzeug.middleware.proxy_fix import ProxyFix

from marketplace.foundation import clock, measures
from marketplace.foundation.addresses import address_of, asset
from marketplace.foundation.covers import cover_address
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.formats import (
    format_date,
    format_datetime,
    format_decimal,
    format_money,
    format_percent,
    format_time,
    in_reader_zone,
)
from marketplace.foundation.i18n import gettext, lazy
from marketplace.foundation.phrases import phrased
from marketplace.foundation.places import country_name, zone_name
from marketplace.foundation.tables import is_wide, with_names

if TYPE_CHECKING:
    from flask import Flask
    from flask.sessions import SessionMixin
    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response

    from config import Settings

csrf = CSRFProtect()
log = structlog.get_logger("web")

# By which a proxy on the same machine asks how we are.
HEALTH_CHECK_HOSTS = ("localhost", "127.0.0.1")
LARGEST_UPLOAD_BYTES = 16 * 1024 * 1024
YEAR_SECONDS = 365 * 24 * 3600
KEPT_STATUSES = frozenset({200, 206, 304})
POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-%(nonce)s'; style-src 'self' 'nonce-%(nonce)s'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' %(forms)s"
)
HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()"),
)
HTTP_SENTENCES = {
    400: lazy("The request could not be read. Please go back and try again."),
    401: lazy("Please sign in to go on."),
    403: lazy("Your account may not do this."),
    404: lazy("We could not find what you asked for."),
    405: lazy("This page cannot be used that way."),
    413: lazy("That file is too large: 16 MB at most."),
    429: lazy("Too many attempts. Please wait a little and try again."),
    500: lazy("The fault is ours. Nothing you paid or booked is lost. Please try again in a minute."),
    503: lazy("We are not ready to answer yet. Please try again in a minute."),
}


METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
# Answered from files that shared caches may keep, so never with somebody's cookie.
FILES = frozenset({"static", "foundation.cover", "foundation.picture_file"})


class _Sessions(SecureCookieSessionInterface):
    """Flask's own, but a remembered session is not sent again with every file."""

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        """Whether this answer carries the cookie."""
        return request.endpoint not in FILES and super().should_set_cookie(app, session)


def init_app(app: Flask, settings: Settings) -> None:
    """Install headers, CSRF, error pages and the filters that templates use everywhere."""
    app.config.update(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=LARGEST_UPLOAD_BYTES,
        MAX_FORM_MEMORY_SIZE=2 * 1024 * 1024,
        SESSION_COOKIE_NAME="__Host-session" if settings.cookies_are_secure else "session",
        SESSION_COOKIE_SECURE=settings.cookies_are_secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        REMEMBER_COOKIE_SECURE=settings.cookies_are_secure,
        REMEMBER_COOKIE_HTTPONLY=True,
        REMEMBER_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,
        PREFERRED_URL_SCHEME="https" if settings.cookies_are_secure else "http",
    )
    if settings.is_production:
        # Canonical links, the site map and the way back from a payment name the host of the request: ours alone.
        app.config["TRUSTED_HOSTS"] = [urlsplit(settings.public_url).hostname, *HEALTH_CHECK_HOSTS]
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.session_interface = _Sessions()
    csrf.init_app(app)
    app.before_request(_begin)
    app.after_request(_secure)
    app.after_request(_record)
    app.register_error_handler(Refused, _refused)
    app.register_error_handler(CSRFError, _csrf)
    for kind in (DataError, psycopg.DataError):
        app.register_error_handler(kind, _unfit)
    app.register_error_handler(SecurityError, _not_our_host)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _fault)
    _install_filters(app)


def csp_nonce() -> str:
    """The nonce of this answer, for the one inline JSON or script element a page may need."""
    nonce: str | None = g.get("csp_nonce")
    if nonce is None:
        nonce = g.csp_nonce = secrets.token_urlsafe(16)
    return nonce


def wants_json() -> bool:
    """Whether a machine asks: it gets the same refusal as JSON."""
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def error_page(status: int, sentence: object, *, code: str | None = None) -> ResponseReturnValue:
    """The page of an error, in the reader's language, with the request id to quote to support."""
    text = str(sentence)
    if wants_json():
        return jsonify(code=code or str(status), message=text, request_id=g.get("request_id")), status
    page = render_template("errors/error.html", status=status, sentence=text, request_id=g.get("request_id"))
    return page, status


def _begin() -> None:
    sent = request.headers.get("X-Request-ID", "")
    is_ours = 8 <= len(sent) <= 64 and sent.replace("-", "").isalnum() and sent.isascii()  # noqa: PLR2004 - header bounds
    g.request_id = sent if is_ours else secrets.token_hex(8)
    g.started_at = clock.now()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _secure(response: Response) -> Response:
    headers = response.headers
    forms = current_app.config.get("FORM_ACTIONS", "https://checkout.stripe.com")
    headers.setdefault("Content-Security-Policy", POLICY % {"nonce": csp_nonce(), "forms": forms})
    for name, value in HEADERS:
        headers.setdefault(name, value)
    headers.setdefault("X-Request-ID", g.get("request_id", ""))
    if current_app.config["SESSION_COOKIE_SECURE"]:
        headers.setdefault("Strict-Transport-Security", f"max-age={YEAR_SECONDS}; includeSubDomains")
    # Not a missing file: a proxy would go on missing it when it is there.
    if request.endpoint == "static" and response.status_code in KEPT_STATUSES:
        if "v" in request.args:
            headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    elif "Cache-Control" not in headers:
        # Pages name the person; a shared cache or the back button after signing out must not show them.
        is_personal = getattr(g.get("_login_user"), "is_authenticated", False)
        headers["Cache-Control"] = "no-store" if is_personal else "private, no-cache"
    if not headers.get("Cache-Control", "").startswith("public"):
        response.vary.update(["Cookie", "Accept-Language"])
    return response


def _record(response: Response) -> Response:
    if request.endpoint == "static":
        return response
    started = g.get("started_at")
    milliseconds = round((clock.now() - started).total_seconds() * 1000, 1) if started else None
    # The rule, not the path: paths may hold tokens and ids of people.
    rule = request.url_rule.rule if request.url_rule else None
    # Anyone may send a method of their own making, and each would be a new row of the figures for ever.
    method = request.method if request.method in METHODS else "other"
    measures.observe_request(rule or "none", method, response.status_code, (milliseconds or 0) / 1000)
    log.info("request", method=request.method, rule=rule, status=response.status_code, milliseconds=milliseconds)
    return response


def _refused(error: Refused) -> ResponseReturnValue:
    return error_page(error.status, error.message, code=error.code)


def _csrf(_error: CSRFError) -> ResponseReturnValue:
    sentence = gettext(
        "This page was open for too long to be sent safely. Please go back, reload it and send it again."
    )
    return error_page(400, sentence, code="csrf")


def _unfit(error: DataError | psycopg.DataError) -> ResponseReturnValue:
    """Something was sent that no column takes: a number beyond all ids, a text with a NUL in it."""
    db.session.rollback()
    # Without its text, which may repeat what was sent.
    log.warning("unfit value", kind=type(error).__name__, rule=request.url_rule.rule if request.url_rule else None)
    return error_page(400, HTTP_SENTENCES[400])


def _not_our_host(_error: SecurityError) -> ResponseReturnValue:
    """In plain text: a page has links, and there is no host to link to."""
    return str(HTTP_SENTENCES[400]), 400, {"Content-Type": "text/plain; charset=utf-8"}


def _http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error.response
    status = error.code or 500
    if status < 400:  # noqa: PLR2004 - a redirect raised as an exception
        return error.get_response()
    return error_page(status, HTTP_SENTENCES.get(status, HTTP_SENTENCES[500 if status >= 500 else 400]))  # noqa: PLR2004


def _fault(error: Exception) -> ResponseReturnValue:
    if current_app.testing or current_app.debug:
        raise error
    db.session.rollback()
    log.error("fault", kind=type(error).__name__, exc_info=error)
    return error_page(500, HTTP_SENTENCES[500])


def _install_filters(app: Flask) -> None:
    app.jinja_env.filters.update(
        money=format_money,
        date=format_date,
        datetime=format_datetime,
        time=format_time,
        decimal=format_decimal,
        percent=format_percent,
        phrased=phrased,
        is_wide=is_wide,
        zone_name=zone_name,
        country_name=country_name,
        with_names=with_names,
    )
    app.jinja_env.globals.update(csp_nonce=csp_nonce, now=clock.now, cover_address=cover_address)
    app.jinja_env.globals.update(url_for=address_of, asset=asset, in_reader_zone=in_reader_zone)
    # A page may come before the room it links to: base.html asks whether an endpoint exists.
    app.jinja_env.globals.update(view_functions=app.view_functions, settings=app.config["SETTINGS"])
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
