"""The doors of the texts people agree to, of what one agreed to oneself, and of the mails one wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, flash, redirect, render_template, request, url_for

from marketplace.accounts import agreements, consents, mail_preferences, names, organisations
from marketplace.accounts.blueprint import blueprint
from marketplace.accounts.forms import PressForm
from marketplace.accounts.permissions import permission, person
from marketplace.foundation import clock
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import language
from marketplace.foundation.web import csrf

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/agreements/<document>", defaults={"version": None})
@blueprint.get("/agreements/<document>/<int:version>")
@permission("public")
def agreement(document: str, version: int | None) -> ResponseReturnValue:
    """A text people agree to, in its newest version or the one asked for."""
    wanted = agreements.NEWEST.get(document, 0) if version is None else version
    text = agreements.read(document, wanted, language())
    return render_template("accounts/agreement.html", agreement=text, newest=agreements.NEWEST[document])


@blueprint.get("/account/agreements")
@permission("signed_in")
def my_agreements() -> ResponseReturnValue:
    """What one agreed to and when, and with whom one shares what."""
    someone = person()
    given = consents.list_all(someone.id)
    shared = {
        consent.organisation_id: consent for consent in given if consent.organisation_id and not consent.withdrawn_at
    }
    return render_template(
        "accounts/my_agreements.html",
        consents=given,
        employers=consents.list_employers(someone),
        shared=shared,
        titles={name: agreements.read(name, version, language()).title for name, version in agreements.NEWEST.items()},
        acts=names.CONSENT_ACTS,
    )


@blueprint.post("/account/agreements/share/<public_id>")
@permission("own")
def share(public_id: str) -> ResponseReturnValue:
    """Let an employer of one's own see one's participation."""
    consents.share(person(), organisations.get(public_id), language=language(), now=clock.now())
    flash(_("The organisation may now see that you take part. You can withdraw this here at any time."), "success")
    return redirect(url_for("accounts.my_agreements"), 303)


@blueprint.post("/account/agreements/<int:consent_id>/withdraw")
@permission("own")
def withdraw_consent(consent_id: int) -> ResponseReturnValue:
    """Take a consent to share back."""
    consents.withdraw(person(), consent_id, now=clock.now())
    flash(_("The organisation no longer sees your participation."), "success")
    return redirect(url_for("accounts.my_agreements"), 303)


@blueprint.route("/account/mails", methods=["GET", "POST"])
@permission("signed_in")
def my_mails() -> ResponseReturnValue:
    """Which mails one wants, of those that can be stopped."""
    someone, form = person(), PressForm()
    if form.validate_on_submit():
        mail_preferences.choose(someone, request.form.getlist("kind"), now=clock.now())
        flash(_("Your choice of mails is saved."), "success")
        return redirect(url_for("accounts.my_mails"), 303)
    stopped = mail_preferences.stopped(someone.id)
    return render_template("accounts/my_mails.html", form=form, kinds=mail_preferences.KINDS, stopped=stopped)


@blueprint.route("/mail/stop/<key>", methods=["GET", "POST"])
@permission("public")
def stop_mails(key: str) -> ResponseReturnValue:
    """Stop one kind of mail with the link that came with it; a mail program does it with one POST (RFC 8058)."""
    secret = current_app.config["SETTINGS"].secret_key
    _someone, kind = mail_preferences.find(key, secret=secret)
    if request.method == "POST":
        mail_preferences.stop(key, secret=secret, now=clock.now())
    is_done = request.method == "POST"
    return render_template("accounts/stop_mails.html", kind=mail_preferences.KINDS[kind], is_done=is_done)


# A mail program has no token of ours; the signed key in the address is the proof.
csrf.exempt(stop_mails)
