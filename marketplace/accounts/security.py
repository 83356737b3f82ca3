"""Flask-Security set up as the engine (argon2id, the signed-in person) below our own doors, and the session cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from flask import current_app, flash, g, redirect, request, session, url_for
from flask_security import Security, SQLAlchemyUserDatastore, login_user, logout_user

from marketplace.accounts import keys, permissions, second_factors, sign_ins, throttle
from marketplace.accounts.models import Person, SignIn
from marketplace.accounts.permissions import SignInNeeded
from marketplace.accounts.rules import HALF_SIGNED_IN_FOR, REMEMBERED_FOR
from marketplace.foundation import clock, web
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import hand_out_form_messages, lazy

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue

    from config import Settings

KEY = "sign_in"
TARGET = "target"
HALF = "half"
# OWASP's password storage cheat sheet: 19 MiB and two passes; four sign-ins at once stay within a worker's memory.
HASH = {"argon2__time_cost": 2, "argon2__memory_cost": 19456, "argon2__parallelism": 1}
# Tests are about what is refused, not how slowly.
CHEAP_HASH = {"argon2__time_cost": 1, "argon2__memory_cost": 8, "argon2__parallelism": 1}
# Doors that never ask who is there, so they cost no query.
IMPERSONAL = frozenset(
    {
        "static",
        "foundation.cover",
        "foundation.healthz",
        "foundation.metrics",
        "foundation.picture_file",
        "foundation.readyz",
    }
)


def init_app(app: Flask, settings: Settings) -> None:
    """Install the engine, the loader of the person, the check of permissions and the throttle."""
    app.config.update(
        SECURITY_PASSWORD_HASH="argon2",  # noqa: S106 - the name of an algorithm
        SECURITY_PASSWORD_SCHEMES=["argon2"],
        SECURITY_DEPRECATED_PASSWORD_SCHEMES=[],
        SECURITY_PASSWORD_SINGLE_HASH=["argon2"],
        SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS=CHEAP_HASH if settings.environment == "test" else HASH,
        SECURITY_CLI_USERS_NAME=None,
        SECURITY_CLI_ROLES_NAME=None,
        PERMANENT_SESSION_LIFETIME=REMEMBERED_FOR,
    )
    # The engine keeps no roles of its own (models.StaffAppointment), and our doors stand instead of its blueprint.
    datastore = SQLAlchemyUserDatastore(db, Person, cast("Any", None))
    manager: Any = Security(app, datastore, register_blueprint=False).login_manager
    manager.user_loader(_load_person)
    # Tokens in headers or addresses sign nobody in.
    manager.request_loader(lambda _request: None)
    manager.session_protection = None
    # Names that Flask-Security and its extensions ask for.
    app.add_url_rule("/sign-in", "security.login", build_only=True)
    app.add_url_rule("/sign-out", "security.logout", build_only=True)
    app.add_url_rule("/register", "security.register", build_only=True)
    app.register_error_handler(SignInNeeded, _lead_to_sign_in)
    app.register_error_handler(SecondFactorNeeded, _lead_to_second_factor)
    app.jinja_env.globals.update(current_person=permissions.current_person, may_open=permissions.may_open)
    throttle.init_app(app)


def sign_in(person: Person, *, is_remembered: bool) -> None:
    """Sign the browser in with a new session; what was in the old one is gone."""
    key = sign_ins.begin(
        person,
        user_agent=request.user_agent.string,
        address=request.remote_addr or "",
        is_remembered=is_remembered,
        now=clock.now(),
    )
    session.clear()
    session.permanent = is_remembered
    session[KEY] = key
    login_user(person, remember=False)


def remember_proof(person: Person, *, is_remembered: bool, target: str) -> None:
    """Note in the cookie, for HALF_SIGNED_IN_FOR, that the password was right; the second factor is still to come."""
    session.clear()
    until = (clock.now() + HALF_SIGNED_IN_FOR).timestamp()
    session[HALF] = {"person": person.id, "until": until, "is_remembered": is_remembered, "target": target}


def half_signed_in() -> tuple[Person, bool, str] | None:
    """Whose password was right in this browser a moment ago, whether to remember them, and where they were going."""
    half = session.get(HALF)
    if half is None or half["until"] < clock.now().timestamp():
        return None
    person = db.session.get(Person, half["person"])
    return (person, half["is_remembered"], half["target"]) if person is not None and person.active else None


def sign_out() -> None:
    """End this sign-in in the database and empty the cookie."""
    found = present_sign_in()
    if found is not None:
        sign_ins.end(found.person, found.public_id, now=clock.now())
    logout_user()
    session.clear()


def remember_target(path: str) -> None:
    """Keep where a visitor was going while they register and look into their mailbox."""
    if path:
        session[TARGET] = path


def remembered_target() -> str:
    """Where the visitor of this browser was going before registering, empty for nowhere."""
    return str(session.get(TARGET, ""))


def present_sign_in() -> SignIn | None:
    """The sign-in of this request."""
    permissions.current_person()
    found: SignIn | None = g.get("present_sign_in")
    return found


def present_key() -> str:
    """The key in this browser's cookie, empty for none."""
    return str(session.get(KEY, ""))


def is_present(sign_in_row: SignIn) -> bool:
    """Whether this is the sign-in of this request."""
    return sign_in_row.key_hash == keys.digest(present_key())


def enforce() -> None:
    """Before every request: know who is there, speak their language, and check the door's permission."""
    endpoint = request.endpoint
    if endpoint is None or endpoint in IMPERSONAL:
        return
    person = permissions.current_person()
    if person is not None:
        g.person_language, g.person_zone = person.locale, person.time_zone
        sign_ins.see(g.present_sign_in, now=clock.now())
    hand_out_form_messages()
    permissions.check(endpoint)
    _demand_second_factor(person, endpoint)


def _demand_second_factor(person: Person | None, endpoint: str) -> None:
    """Where the operator requires it, the doors of staff open to those with a second factor alone."""
    if current_app.config["SETTINGS"].staff_second_factor == "optional" or person is None:
        return
    if permissions.PERMISSIONS[endpoint].kind == "staff" and not second_factors.is_on(person.id):
        raise SecondFactorNeeded


class SecondFactorNeeded(Refused):
    """A staff page without a second factor; the door leads to the page that sets it up."""

    status = 403

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("second_factor_needed", lazy("Staff pages need a second factor. Set it up first."))


def _lead_to_second_factor(error: SecondFactorNeeded) -> ResponseReturnValue:
    if web.wants_json():
        return web.error_page(error.status, error.message, code=error.code)
    flash(str(error.message), "warning")
    return redirect(url_for("accounts.second_factor"), 303)


def _load_person(unique: str) -> Person | None:
    """The person of the session cookie, through its sign-in: an ended one names nobody. One query."""
    if request.endpoint in IMPERSONAL:
        return None
    found = sign_ins.find(present_key(), now=clock.now())
    if found is None or found.person.fs_uniquifier != unique:
        return None
    g.present_sign_in = found
    return found.person


def _lead_to_sign_in(error: SignInNeeded) -> ResponseReturnValue:
    if web.wants_json():
        return web.error_page(error.status, error.message, code=error.code)
    wanted = request.full_path.rstrip("?") if request.method == "GET" else _referring_path()
    target = url_for("accounts.sign_in", next=wanted)
    if "HX-Request" in request.headers:
        return "", 401, {"HX-Redirect": target}
    return redirect(target, 303)


def _referring_path() -> str:
    """The page a form was sent from, if it is ours."""
    origin = request.host_url
    referrer = request.referrer or ""
    return "/" + referrer.removeprefix(origin) if referrer.startswith(origin) else "/"
