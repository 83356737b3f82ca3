"""The doors of one's own account: profile, password, address, sign-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, url_for

from marketplace.accounts import events, mailed_links, names, people, second_factors, security, sign_ins
from marketplace.accounts.account_forms import ProfileForm
from marketplace.accounts.blueprint import blueprint
from marketplace.accounts.forms import ChangeEmailForm, ChangePasswordForm, PressForm, attempt, text
from marketplace.accounts.permissions import permission, person
from marketplace.accounts.rules import browser_name
from marketplace.accounts.throttle import attempts_limited, mails_limited
from marketplace.foundation import clock
from marketplace.foundation.i18n import gettext as _

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/account", methods=["GET", "POST"])
@permission("signed_in")
def profile() -> ResponseReturnValue:
    """Show and change what we know of the person."""
    someone = person()
    form = ProfileForm(obj=someone)
    tried = attempt(form, lambda: people.update_profile(someone, form.values(), now=clock.now()))
    if tried.is_done:
        flash(_("Your profile is saved."), "success")
        return redirect(url_for("accounts.profile"), 303)
    page = render_template("accounts/profile.html", form=form, person=someone, role_names=names.MEMBER_ROLES)
    return page, tried.status


@blueprint.get("/account/security")
@permission("signed_in")
def guard() -> ResponseReturnValue:
    """Show what guards the account and what happened to it lately."""
    someone = person()
    lately = [(names.EVENT_KINDS[event.kind], event.occurred_at, None) for event in events.list_recent(someone)]
    return render_template(
        "accounts/guard.html",
        person=someone,
        events=lately,
        staff_role_names=names.STAFF_ROLES,
        has_second_factor=second_factors.is_on(someone.id),
    )


@blueprint.route("/account/password", methods=["GET", "POST"])
@attempts_limited
@permission("signed_in")
def change_password() -> ResponseReturnValue:
    """Change the password; this browser stays signed in with a new session, every other sign-in ends."""
    form, someone, present = ChangePasswordForm(), person(), security.present_sign_in()
    old, new = text(form.password), text(form.new_password)
    tried = attempt(form, lambda: people.change_password(someone, old=old, new=new, now=clock.now()))
    if tried.is_done:
        security.sign_in(someone, is_remembered=bool(present and present.is_remembered))
        flash(_("Your password is changed, and every other sign-in has ended."), "success")
        return redirect(url_for("accounts.guard"), 303)
    return render_template("accounts/change_password.html", form=form), tried.status


@blueprint.route("/account/email", methods=["GET", "POST"])
@mails_limited
@attempts_limited
@permission("signed_in")
def change_email() -> ResponseReturnValue:
    """Ask for another address; it changes when the link sent there is used."""
    form, someone = ChangeEmailForm(), person()
    new_email, password = text(form.email), text(form.password)
    tried = attempt(
        form,
        lambda: people.ask_for_new_email(someone, new_email=new_email, password=password, now=clock.now()),
    )
    if tried.is_done:
        return redirect(url_for("accounts.mail_sent"), 303)
    return render_template("accounts/change_email.html", form=form, person=someone), tried.status


@blueprint.route("/account/email/<key>", methods=["GET", "POST"])
@attempts_limited
@permission("public")
def confirm_email(key: str) -> ResponseReturnValue:
    """Use the link sent to the new address; pressing the button does it, not a mail scanner."""
    link = mailed_links.find(key, "change_email", now=clock.now())
    form = PressForm()
    if form.validate_on_submit():
        people.change_email(key, now=clock.now())
        flash(_("Your new e-mail address is in use."), "success")
        return redirect(url_for("accounts.profile"), 303)
    return render_template("accounts/confirm_email.html", form=form, email=link.email)


@blueprint.get("/account/sessions")
@permission("signed_in")
def sessions() -> ResponseReturnValue:
    """List where the person is signed in."""
    found = sign_ins.list_open(person(), now=clock.now())
    return render_template(
        "accounts/sessions.html",
        sign_ins=found,
        is_present=security.is_present,
        browser_name=browser_name,
    )


@blueprint.post("/account/sessions/<public_id>/end")
@permission("own")
def end_session(public_id: str) -> ResponseReturnValue:
    """End one of one's own sign-ins."""
    sign_ins.end(person(), public_id, now=clock.now())
    flash(_("That sign-in has ended."), "success")
    return redirect(url_for("accounts.sessions"), 303)


@blueprint.post("/account/sessions/end-others")
@permission("signed_in")
def end_other_sessions() -> ResponseReturnValue:
    """End every sign-in but this one."""
    sign_ins.end_all(person(), now=clock.now(), except_key=security.present_key())
    flash(_("Every other sign-in has ended."), "success")
    return redirect(url_for("accounts.sessions"), 303)
