"""The page where a person pays, and the desk where a tester orders trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, redirect, render_template, request

from marketplace.payments.sandbox import balance, chaos, checkout, disputes, refunds
from marketplace.payments.sandbox.api import answer, store
from marketplace.payments.sandbox.errors import ApiError
from marketplace.payments.sandbox.words import WORDS

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.payments.sandbox.store import Body

blueprint = Blueprint("pages", __name__)
# Stripe's own test cards: https://docs.stripe.com/testing
DECLINED_CARDS = {"4000000000000002": "card_declined", "4000000000009995": "insufficient_funds"}
CARD_TO_CONFIRM = "4000002500003155"
GOOD_CARDS = {"4242424242424242", "5555555555554444"}
# How many minor units a unit has, where it is not a hundred.
UNDIVIDED = {"jpy", "krw", "vnd", "clp", "xof", "xaf"}


@blueprint.get("/")
def home() -> str:
    """The desk: switches, sessions and what is on its way."""
    sessions = store().list_kind("checkout.session")[:50]
    values = {name: store().switch(name) for name in chaos.SWITCHES}
    deliveries = store().rows("SELECT state, count(*) FROM delivery GROUP BY state")
    return render_template(
        "desk.html",
        sessions=sessions,
        charges=store().list_kind("charge")[:20],
        disputes=store().list_kind("dispute")[:20],
        switches=chaos.SWITCHES,
        values=values,
        deliveries=deliveries,
    )


@blueprint.post("/switches")
def turn() -> ResponseReturnValue:
    """Turn switches on and off."""
    for name in chaos.SWITCHES:
        if name in request.form:
            store().turn(name, request.form[name])
    if request.accept_mimetypes.best == "application/json":
        return answer({name: store().switch(name) for name in chaos.SWITCHES})
    return redirect("/", 303)


@blueprint.post("/payouts")
def pay_out() -> ResponseReturnValue:
    """A tester has everything paid out now."""
    made = balance.pay_out(store(), is_early=True)
    if request.accept_mimetypes.best == "application/json":
        return answer({"object": "list", "data": made})
    return redirect("/", 303)


@blueprint.post("/charges/<charge_id>/dispute")
def dispute(charge_id: str) -> ResponseReturnValue:
    """A tester disputes a charge, as a cardholder would."""
    made = disputes.open_dispute(store(), charge_id)
    return answer(made) if request.accept_mimetypes.best == "application/json" else redirect("/", 303)


@blueprint.post("/disputes/<dispute_id>/close")
def close_dispute(dispute_id: str) -> ResponseReturnValue:
    """A tester lets a dispute be won or lost."""
    made = disputes.close(store(), dispute_id, is_won=request.form.get("outcome") == "won")
    return answer(made) if request.accept_mimetypes.best == "application/json" else redirect("/", 303)


@blueprint.post("/charges/<charge_id>/refund")
def refund_by_hand(charge_id: str) -> ResponseReturnValue:
    """A tester refunds a charge by hand, as in Stripe's dashboard."""
    made = refunds.create(store(), {"charge": charge_id, "amount": request.form.get("amount")})
    return answer(made) if request.accept_mimetypes.best == "application/json" else redirect("/", 303)


@blueprint.get("/pay/<session_id>")
def pay(session_id: str) -> ResponseReturnValue:
    """The page to pay on, or where to go when there is nothing to pay any more."""
    session = checkout.get_session(store(), session_id)
    if session["status"] != "open":
        return _page(session, "closed.html"), 200 if session["status"] == "complete" else 410
    return _page(session, "pay.html")


@blueprint.post("/pay/<session_id>")
def submit(session_id: str) -> ResponseReturnValue:
    """What the person chose."""
    session = checkout.get_session(store(), session_id)
    method = request.form.get("method", "card")
    if session["status"] != "open":
        return _page(session, "closed.html"), 410
    if method == "card":
        return _pay_by_card(session)
    if method == "delayed":
        return _leave(checkout.begin_delayed(store(), session, method="alipay"))
    return _leave(checkout.try_to_pay(store(), session, method=method))


@blueprint.post("/pay/<session_id>/settle")
def settle(session_id: str) -> ResponseReturnValue:
    """A tester lets the delayed money arrive or fail."""
    failure = "payment_method_provider_decline" if request.form.get("outcome") == "fail" else None
    return answer(checkout.settle(store(), checkout.get_session(store(), session_id), failure=failure))


def _pay_by_card(session: Body) -> ResponseReturnValue:
    number = "".join(request.form.get("number", "").split())
    if number in DECLINED_CARDS:
        failure = DECLINED_CARDS[number]
        session = checkout.try_to_pay(store(), session, method="card", failure=failure)
        return _page(session, "pay.html", failure=failure), 402
    if number == CARD_TO_CONFIRM and "confirmation" not in request.form:
        return _page(session, "confirm.html", number=number)
    if request.form.get("confirmation") == "fail":
        session = checkout.try_to_pay(store(), session, method="card", failure="authentication_failed")
        return _page(session, "pay.html", failure="authentication_failed"), 402
    if number not in GOOD_CARDS | {CARD_TO_CONFIRM}:
        return _page(session, "pay.html", failure="incorrect_number"), 402
    return _leave(checkout.try_to_pay(store(), session, method="card"))


def _leave(session: Body) -> ResponseReturnValue:
    """Back to the shop, unless the person closes the tab."""
    if request.form.get("then") == "close":
        return _page(session, "closed.html")
    return redirect(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]), 303)


def _page(session: Body, template: str, **values: str) -> str:
    language = "zh" if str(session.get("locale") or "").startswith("zh") else "en"
    divisor = 1 if session["currency"] in UNDIVIDED else 100
    total = f"{session['currency'].upper()} {session['amount_total'] / divisor:,.{0 if divisor == 1 else 2}f}"
    return render_template(template, session=session, words=WORDS[language], language=language, total=total, **values)


@blueprint.app_errorhandler(ApiError)
def refuse(error: ApiError) -> Response:
    """Pages answer an error of the API as the API does."""
    return answer(error.body, error.status)
