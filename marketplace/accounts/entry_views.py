"""The doors into an account: register, confirm, sign in and out, reset a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts import mailed_links, people, second_factors, security
from marketplace.accounts.blueprint import blueprint
from marketplace.accounts.forms import (
    AddressForm,
    CodeForm,
    ConfirmForm,
    RegisterForm,
    ResetForm,
    SignInForm,
    attempt,
    text,
)
from marketplace.accounts.permissions import current_person, permission
from marketplace.accounts.throttle import attempts_limited, mails_limited
from marketplace.foundation import clock
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import language
from marketplace.foundation.views import safe_path

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.accounts.models import Person


@blueprint.route("/sign-in", methods=["GET", "POST"])
@attempts_limited
@permission("public")
def sign_in() -> ResponseReturnValue:
    """Sign in and go where one was going."""
    form = SignInForm(next=request.args.get("next", ""))
    target = safe_path(form.next.data or url_for("accounts.profile"))
    if request.method == "GET" and current_person() is not None:
        return redirect(target, 303)
    tried = attempt(form, lambda: people.prove(text(form.email), text(form.password), now=clock.now()))
    if tried.result is not None:
        return _enter(tried.result, is_remembered=form.remember.data, target=target)
    return render_template("accounts/sign_in.html", form=form), tried.status


def _enter(person: Person, *, is_remembered: bool, target: str) -> ResponseReturnValue:
    """Sign in whose password was right, or ask for the second factor first."""
    if second_factors.is_on(person.id):
        security.remember_proof(person, is_remembered=is_remembered, target=target)
        return redirect(url_for("accounts.sign_in_code"), 303)
    security.sign_in(person, is_remembered=is_remembered)
    return redirect(target, 303)


@blueprint.route("/sign-in/code", methods=["GET", "POST"])
@attempts_limited
@permission("public")
def sign_in_code() -> ResponseReturnValue:
    """Enter the second factor, after the password."""
    half = security.half_signed_in()
    if half is None:
        return redirect(url_for("accounts.sign_in"), 303)
    someone, is_remembered, target = half
    form = CodeForm()
    tried = attempt(form, lambda: second_factors.prove(someone, text(form.code), now=clock.now()))
    if tried.is_done:
        security.sign_in(someone, is_remembered=is_remembered)
        return redirect(safe_path(target), 303)
    return render_template("accounts/sign_in_code.html", form=form), tried.status


@blueprint.post("/sign-out")
@permission("public")
def sign_out() -> ResponseReturnValue:
    """End this sign-in."""
    security.sign_out()
    flash(_("You are signed out."), "success")
    return redirect("/", 303)


@blueprint.route("/register", methods=["GET", "POST"])
@mails_limited
@permission("public")
def register() -> ResponseReturnValue:
    """Ask for an account; the answer is the same for every address. Confirming leads on to where one was going."""
    security.remember_target(request.args.get("next", ""))
    form = RegisterForm()
    tried = attempt(form, lambda: people.register(**form.values(), locale=language(), now=clock.now()))
    if tried.is_done:
        return redirect(url_for("accounts.mail_sent"), 303)
    return render_template("accounts/register.html", form=form), tried.status


@blueprint.get("/mail-sent")
@permission("public")
def mail_sent() -> ResponseReturnValue:
    """Say that a mail is on its way, without saying to whom."""
    return render_template("accounts/mail_sent.html")


@blueprint.route("/confirm/<key>", methods=["GET", "POST"])
@attempts_limited
@permission("public")
def confirm(key: str) -> ResponseReturnValue:
    """Confirm the address with the mailed link and the password; only sending the form does it, not a mail scanner."""
    mailed_links.find(key, "confirm", now=clock.now())
    form, target = ConfirmForm(), security.remembered_target() or url_for("accounts.profile")
    tried = attempt(form, lambda: people.confirm(key, text(form.password), now=clock.now()))
    if tried.result is not None:
        security.sign_in(tried.result, is_remembered=False)
        flash(_("Your e-mail address is confirmed. Welcome!"), "success")
        return redirect(safe_path(target), 303)
    return render_template("accounts/confirm.html", form=form), tried.status


@blueprint.route("/confirm", methods=["GET", "POST"])
@mails_limited
@permission("public")
def confirm_again() -> ResponseReturnValue:
    """Ask for the confirming mail once more."""
    form = AddressForm()
    tried = attempt(form, lambda: people.ask_for_confirmation(text(form.email)))
    if tried.is_done:
        return redirect(url_for("accounts.mail_sent"), 303)
    return render_template("accounts/confirm_again.html", form=form), tried.status


@blueprint.route("/forgot-password", methods=["GET", "POST"])
@mails_limited
@permission("public")
def forgot_password() -> ResponseReturnValue:
    """Ask for a link that sets a new password; the answer is the same for every address."""
    form = AddressForm()
    tried = attempt(form, lambda: people.ask_for_reset(text(form.email)))
    if tried.is_done:
        return redirect(url_for("accounts.mail_sent"), 303)
    return render_template("accounts/forgot_password.html", form=form), tried.status


@blueprint.route("/reset-password/<key>", methods=["GET", "POST"])
@attempts_limited
@permission("public")
def reset_password(key: str) -> ResponseReturnValue:
    """Set a new password with the mailed link, and sign in with it."""
    mailed_links.find(key, "reset", now=clock.now())
    form = ResetForm()
    tried = attempt(form, lambda: people.reset_password(key, text(form.password), now=clock.now()))
    if tried.is_done:
        flash(_("Your new password is set, and every other sign-in has ended. Please sign in."), "success")
        return redirect(url_for("accounts.sign_in"), 303)
    return render_template("accounts/reset_password.html", form=form), tried.status
