"""Doors that belong to no room: health, language, and the style guide of development."""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    jsonify,
    redirect,
    render_template,
    request,
    send_from_directory,
)

from marketplace.foundation import covers, health, mail, measures, media
from marketplace.foundation.i18n import COOKIE, LANGUAGES
from marketplace.foundation.style_form import StyleForm
from marketplace.foundation.web import YEAR_SECONDS, csrf

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

LOOPBACK = frozenset({"127.0.0.1", "::1"})

blueprint = Blueprint("foundation", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """This process answers; asks nothing else, so a slow database does not restart it."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Whether to send people here: 200 or 503 with each part's state."""
    parts = health.readiness()
    is_ready = all(state == "ok" for state in parts.values())
    return jsonify(status="ok" if is_ready else "not ready", parts=parts), 200 if is_ready else 503


@blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Figures for Prometheus: with METRICS_TOKEN for who has it, without it for this machine alone."""
    token = current_app.config["SETTINGS"].metrics_token
    if token:
        may_see = compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode())
    else:
        # A proxy on this machine hands on the whole world's requests.
        may_see = request.remote_addr in LOOPBACK and "X-Forwarded-For" not in request.headers
    if not may_see:
        abort(404)
    return measures.exposition(), {"Content-Type": measures.CONTENT_TYPE}


@blueprint.post("/language")
def language() -> ResponseReturnValue:
    """Remember the chosen language in a cookie and go back to the page it was chosen on."""
    chosen = request.form.get("language", "")
    if chosen not in LANGUAGES:
        abort(400)
    response = redirect(safe_path(request.form.get("next", "/")), code=303)
    secure = current_app.config["SESSION_COOKIE_SECURE"]
    response.set_cookie(COOKIE, chosen, max_age=YEAR_SECONDS, secure=secure, httponly=True, samesite="Lax")
    return response


# Without a token: a stranger who changes someone's language does no harm, and a token in the head of every page would
# give every visitor a session cookie.
csrf.exempt(language)


@blueprint.get("/covers/<int:edition>/<string(maxlength=40):seed>-<int:colour>.svg")
def cover(edition: int, seed: str, colour: int) -> ResponseReturnValue:
    """A generated cover. Its address says all there is to draw, so whoever has it may keep it for ever."""
    if edition != covers.EDITION or colour >= len(covers.COLOURS):
        abort(404)
    picture = Response(covers.cover_svg(seed, colour), mimetype="image/svg+xml")
    picture.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    return picture


@blueprint.get("/media/<path:name>")
def picture_file(name: str) -> ResponseReturnValue:
    """A file of an uploaded picture. Its name is its content, so whoever has it may keep it for ever."""
    if not media.NAME.fullmatch(name):
        abort(404)
    file = send_from_directory(media.folder(), name, mimetype=f"image/{name.rpartition('.')[2]}", conditional=True)
    file.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    # Drawn by us, but begun by somebody: opened by itself it can do nothing.
    file.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return file


@blueprint.get("/styleguide")
def styleguide() -> ResponseReturnValue:
    """Every part of the visual language on one page; not in production."""
    if current_app.config["SETTINGS"].is_production:
        abort(404)
    return render_template("styleguide.html", form=StyleForm(formdata=None).with_faults())


@blueprint.get("/mail")
def mails() -> ResponseReturnValue:
    """The mails written in development, newest first, with their previews."""
    if current_app.config["SETTINGS"].is_production:
        abort(404)
    return render_template("foundation/mails.html", mails=mail.list_recent())


@blueprint.get("/mail/<int:mail_id>")
def mail_preview(mail_id: int) -> ResponseReturnValue:
    """One mail as its reader sees it; with `?as=text` the plain text."""
    if current_app.config["SETTINGS"].is_production:
        abort(404)
    written = mail.get(mail_id)
    if request.args.get("as") == "text":
        return written.text, {"Content-Type": "text/plain; charset=utf-8"}
    # Mail clients know no nonce: the preview allows inline styles, and nothing else at all.
    return written.html, {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:"
    }


def safe_path(target: str) -> str:
    """A path of this site, whatever was asked for: an open redirect lends our name to strangers."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    is_ours = not parts.scheme and not parts.netloc and target.startswith("/")
    return target if is_ours and not target.startswith(("//", "/\\")) and "\\" not in target else "/"
