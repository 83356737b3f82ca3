"""The doors that switch a second factor on and off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import segno
from flask import flash, redirect, render_template, url_for

from marketplace.accounts import second_factors, security, totp_rules
from marketplace.accounts.blueprint import blueprint
from marketplace.accounts.forms import CodeForm, SecondFactorOffForm, attempt, text
from marketplace.accounts.permissions import permission, person
from marketplace.accounts.throttle import attempts_limited
from marketplace.foundation import clock
from marketplace.foundation.i18n import gettext as _

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/account/second-factor", methods=["GET", "POST"])
@attempts_limited
@permission("signed_in")
def second_factor() -> ResponseReturnValue:
    """Set a second factor up with an app: the square picture, the key to type, and a first code as proof."""
    someone, form, present = person(), CodeForm(), security.present_sign_in()
    if second_factors.is_on(someone.id):
        return redirect(url_for("accounts.second_factor_off"), 303)
    secret = second_factors.begin(someone)
    tried = attempt(form, lambda: second_factors.confirm(someone, text(form.code), now=clock.now()))
    if tried.result is not None:
        security.sign_in(someone, is_remembered=bool(present and present.is_remembered))
        return render_template("accounts/recovery_codes.html", codes=tried.result)
    address = totp_rules.address(secret, account=someone.email, issuer=_("Yijiang Talent Courses"))
    picture = segno.make(address, error="m").svg_inline(scale=5, border=4, dark="#1d2126", light="#ffffff")
    page = render_template("accounts/second_factor.html", form=form, picture=picture, key=totp_rules.readable(secret))
    return page, tried.status


@blueprint.route("/account/second-factor/off", methods=["GET", "POST"])
@attempts_limited
@permission("signed_in")
def second_factor_off() -> ResponseReturnValue:
    """Do without it again, with the password."""
    someone, form, present = person(), SecondFactorOffForm(), security.present_sign_in()
    tried = attempt(form, lambda: second_factors.switch_off(someone, text(form.password), now=clock.now()))
    if tried.is_done:
        security.sign_in(someone, is_remembered=bool(present and present.is_remembered))
        flash(_("The second factor is switched off."), "success")
        return redirect(url_for("accounts.guard"), 303)
    left = second_factors.codes_left(someone.id)
    return render_template("accounts/second_factor_off.html", form=form, codes_left=left), tried.status
