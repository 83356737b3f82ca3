"""The doors into an account: register, confirm, sign in and out, reset a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts import mailed_links, people, security
from marketplace.accounts.blueprint import blueprint
from marketplace.accounts.forms import AddressForm, ConfirmForm, RegisterForm, ResetForm, SignInForm, show, text
from marketplace.accounts.permissions import current_person, permission
from marketplace.accounts.throttle import attempts_limited, mails_limited
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import language
from marketplace.foundation.views import safe_path

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/sign-in", methods=["GET", "POST"])
@attempts_limited
@permission("public")
def sign_in() -> ResponseReturnValue:
    """Sign in and go where one was going."""
    form = SignInForm(next=request.args.get("next", ""))
    if request.method == "GET" and current_person() is not None:
        return redirect(safe_path(form.next.data or url_for("accounts.profile")), 303)
    status = 200 if request.method == "GET" else 422
    if form.validate_on_submit():
        try:
            person = people.prove(text(form.email), text(form.password))
        except Refused as refused:
            status = show(form, refused)
        else:
            security.sign_in(person, is_remembered=form.remember.data)
            return redirect(safe_path(form.next.data or url_for("accounts.profile")), 303)
    return render_template("accounts/sign_in.html", form=form), status


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
    status = 200 if request.method == "GET" else 422
    if form.validate_on_submit():
        try:
            people.register(
                name=text(form.name),
                email=text(form.email),
                password=text(form.password),
                locale=language(),
                now=clock.now(),
            )
        except Refused as refused:
            status = show(form, refused)
        else:
            return redirect(url_for("accounts.mail_sent"), 303)
    return render_template("accounts/register.html", form=form), status


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
    form = ConfirmForm()
    status = 200 if request.method == "GET" else 422
    if form.validate_on_submit():
        try:
            person = people.confirm(key, text(form.password), now=clock.now())
        except people.WrongCredentials as refused:
            status = show(form, refused)
        else:
            target = security.remembered_target() or url_for("accounts.profile")
            security.sign_in(person, is_remembered=False)
            flash(_("Your e-mail address is confirmed. Welcome!"), "success")
            return redirect(safe_path(target), 303)
    return render_template("accounts/confirm.html", form=form), status


@blueprint.route("/confirm", methods=["GET", "POST"])
@mails_limited
@permission("public")
def confirm_again() -> ResponseReturnValue:
    """Ask for the confirming mail once more."""
    form = AddressForm()
    if form.validate_on_submit():
        people.ask_for_confirmation(text(form.email))
        return redirect(url_for("accounts.mail_sent"), 303)
    return render_template("accounts/confirm_again.html", form=form), 200 if request.method == "GET" else 422


@blueprint.route("/forgot-password", methods=["GET", "POST"])
@mails_limited
@permission("public")
def forgot_password() -> ResponseReturnValue:
    """Ask for a link that sets a new password; the answer is the same for every address."""
    form = AddressForm()
    if form.validate_on_submit():
        people.ask_for_reset(text(form.email))
        return redirect(url_for("accounts.mail_sent"), 303)
    return render_template("accounts/forgot_password.html", form=form), 200 if request.method == "GET" else 422


@blueprint.route("/reset-password/<key>", methods=["GET", "POST"])
@attempts_limited
@permission("public")
def reset_password(key: str) -> ResponseReturnValue:
    """Set a new password with the mailed link, and sign in with it."""
    mailed_links.find(key, "reset", now=clock.now())
    form = ResetForm()
    status = 200 if request.method == "GET" else 422
    if form.validate_on_submit():
        try:
            people.reset_password(key, text(form.password), now=clock.now())
        except Refused as refused:
            status = show(form, refused)
        else:
            flash(_("Your new password is set, and every other sign-in has ended. Please sign in."), "success")
            return redirect(url_for("accounts.sign_in"), 303)
    return render_template("accounts/reset_password.html", form=form), status
