"""Doors to a seat: enrol, one's orders, one's learning."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flask import Response, flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.accounts.throttle import codes_limited
from marketplace.catalog import calendars, offer
from marketplace.enrolment import (
    availability,
    bills,
    change_views,
    course_funding,
    learning,
    orders,
    pages,
    policy_pages,
    policy_views,
    pool_views,
    quotes,
    reminders,
    rule_views,
    search_wishes,
    taken_views,
    till,
    voucher_views,
    waiting,
    waiting_views,
    waivers,
    wishes,
)
from marketplace.enrolment.blueprint import blueprint
from marketplace.enrolment.forms import STALE, EnrolForm, PressForm
from marketplace.foundation import clock, ids, kept_pages
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import language
from marketplace.funding import subsidy_lists, subsidy_names
from marketplace.funding.voucher_rules import VoucherRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flask import Flask
    from flask.typing import ResponseReturnValue

    from config import Settings
    from marketplace.catalog.models import CourseRun
    from marketplace.enrolment.quotes import Asked, Quote, Sale

__all__ = [
    "blueprint",
    "change_views",
    "policy_views",
    "pool_views",
    "reminders",
    "rule_views",
    "taken_views",
    "voucher_views",
    "waiting_views",
]


def init_app(app: Flask, _settings: Settings) -> None:
    """Let the course page, which belongs to a lower room, tell how its seats stand and what programmes would pay."""
    app.jinja_env.globals["availability_of"] = lambda runs: availability.of_runs(runs, now=clock.now())
    app.jinja_env.globals["funding_notes"] = course_funding.notes
    kept_pages.tell_beside("catalog/course.html", course_funding.open_now)
    app.jinja_env.globals["days_before"] = policy_pages.days_before
    app.extensions[till.NAME] = till.Till()


@blueprint.get("/runs/<public_id>/enrol")
@codes_limited
@permission("signed_in")
def enrol(public_id: str) -> ResponseReturnValue:
    """What one is about to take: run, price, terms; and, when it cannot be taken, why."""
    run = offer.get_run(public_id)
    open_order = learning.find_open_order(run.id, person().id, now=clock.now())
    if open_order is not None:
        return redirect(url_for("enrolment.order", public_id=open_order.public_id), 303)
    return _enrol_page(run)


@blueprint.post("/runs/<public_id>/enrol")
@codes_limited
@permission("signed_in")
def place_order(public_id: str) -> ResponseReturnValue:
    """Take the seat and place the order; a double click, a replay or a second tab lands on the same order."""
    run_id, form = offer.get_run_id(public_id), EnrolForm()
    try:
        _check(form)
        order_id = orders.place(
            run_id,
            person().id,
            shown_price=form.shown_price,
            request_key=form.request_key.data or "",
            locale=language(),
            now=clock.now(),
            asked=form.asked,
        )
    except Refused as refusal:
        return _enrol_page(offer.get_run(public_id), refusal=refusal, sent=form, status=refusal.status)
    return redirect(url_for("enrolment.order", public_id=order_id), 303)


@blueprint.post("/runs/<public_id>/enrol/price")
@codes_limited
@permission("signed_in")
def price_seat(public_id: str) -> ResponseReturnValue:
    """The same page with the price as the form asks for it: a voucher applied or taken off; nothing is ordered."""
    run, form = offer.get_run(public_id), EnrolForm()
    if "without_voucher" in request.form:
        form.voucher_code.data = ""
    return _enrol_page(run, sent=form)


def _check(form: EnrolForm) -> None:
    """Raise Invalid for a form that was tampered with or grew old."""
    if not form.validate_on_submit():
        raise Invalid("stale_form", STALE)


def _enrol_page(
    run: CourseRun, *, refusal: Refused | None = None, sent: EnrolForm | None = None, status: int = 200
) -> ResponseReturnValue:
    """The page of the seat; what was typed into `sent` is kept, and priced if it can be."""
    now = clock.now()
    form = _fresh(run.id, sent)
    seats = availability.of_runs([run], now=now)[run.id]
    sale = quotes.sale_of(run, person().id, expired_holds=seats.expired)
    choices = quotes.choices(sale, request.form.get("choose") or request.values.get("programme"), now=now)
    form.choose(choices.chosen)
    quoted, refused = _quoted(sale, form.asked, now=now)
    stands = availability.standing(run, person().id, seats, seat_code=form.seat_code.data, opened=quoted.opened_pool)
    refusal = refusal or pages.find_obstacle(run, person().id, stands, now=now)
    if isinstance(refused, VoucherRefused):
        form.voucher_code.errors = [refused.message]
    refusal = None if isinstance(refusal, VoucherRefused) else refusal
    form.show(quoted)
    return render_template(
        "enrolment/enrol.html",
        run=run,
        form=form,
        refusal=refusal,
        quote=quoted,
        choices=choices,
        names=subsidy_names,
        bill_lines=bills.of_quote(quoted),
        stands=stands,
        needs_waiver=waivers.is_needed(run, quoted.price, now=now),
        sale_terms=None if quoted.price.is_zero else policy_pages.for_sale(run),
    ), refused.status if refused else status


def _fresh(run_id: int, sent: EnrolForm | None) -> EnrolForm:
    """A form with a key of its own, and what was typed and chosen before; a wrong code of kept seats counts."""
    form = EnrolForm(formdata=None, request_key=ids.public_id(), seat_code=request.args.get("seats"))
    if sent is not None:
        form.keep(sent)
    pool_views.count_guess(run_id, form.seat_code.data)
    return form


def _quoted(sale: Sale, asked: Asked, *, now: datetime) -> tuple[Quote, Refused | None]:
    """The price as the form asks for it; when a payer refuses, the price without that one, and why."""
    try:
        return quotes.quote(sale, asked, now=now), None
    except VoucherRefused as refused:
        # The programme was asked first, and goes on paying beside a code that does not.
        return quotes.quote(sale, replace(asked, voucher_code=None), now=now), refused
    except Refused as refused:
        return quotes.quote(sale, now=now), refused


@blueprint.get("/orders/<public_id>")
@permission("own")
def order(public_id: str) -> ResponseReturnValue:
    """One order: what it is for, what is due, how long the seat is kept, what happened so far."""
    found = learning.get_order(public_id, person().id)
    page, line = pages.order_page(found, now=clock.now()), found.lines[0]
    return render_template(
        "enrolment/order.html",
        order=found,
        line=line,
        bill_lines=bills.of_order(found),
        subsidy=subsidy_lists.find_of_line(line.id) if line.subsidy_minor else None,
        names=subsidy_names,
        page=page,
        form=PressForm(),
    )


@blueprint.post("/orders/<public_id>/extend")
@permission("own")
def extend(public_id: str) -> ResponseReturnValue:
    """Ten more minutes to pay, once."""
    found = learning.get_order(public_id, person().id)
    return _act(
        found.public_id, lambda: orders.extend_order(found.id, now=clock.now()), _("You have more time to pay.")
    )


@blueprint.post("/orders/<public_id>/cancel")
@permission("own")
def cancel(public_id: str) -> ResponseReturnValue:
    """Give the seat back before paying."""
    found = learning.get_order(public_id, person().id)
    actor_id = person().id
    return _act(
        found.public_id,
        lambda: orders.cancel_order(found.id, actor_id=actor_id, now=clock.now()),
        _("The order is cancelled and the seat is free again."),
    )


def _act(public_id: str, act: Callable[[], object], done: str) -> ResponseReturnValue:
    try:
        act()
    except Refused as refusal:
        flash(str(refusal.message), "error")
    else:
        flash(done, "success")
    return redirect(url_for("enrolment.order", public_id=public_id), 303)


@blueprint.get("/my")
@permission("signed_in")
def my_learning() -> ResponseReturnValue:
    """What one is enrolled in, what comes next, and one's orders."""
    someone = person()
    enrolments = learning.list_enrolments(someone.id)
    return render_template(
        "enrolment/my_learning.html",
        enrolments=enrolments,
        upcoming=learning.upcoming_sessions(enrolments, now=clock.now()),
        orders=learning.list_orders(someone.id),
        places=waiting.list_places(someone.id),
        wishes=wishes.list_wishes(someone.id),
        searches=search_wishes.list_told(someone.id),
        states=pages.state_names(),
    )


@blueprint.get("/my/calendar.ics")
@permission("signed_in")
def my_calendar() -> ResponseReturnValue:
    """All sessions one is enrolled in, for a calendar program."""
    runs = [enrolment.run for enrolment in learning.list_enrolments(person().id)]
    text = calendars.calendar_of(runs, address_of=_course_address, name=_("My learning"))
    return Response(text, mimetype="text/calendar", headers={"Content-Disposition": 'attachment; filename="my.ics"'})


def _course_address(run: CourseRun) -> str:
    return url_for("catalog.course", public_id=run.course.public_id, _external=True)
