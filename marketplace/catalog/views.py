"""Doors of the catalogue that anyone may open: home, search, a course, a provider, calendars, the site map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flask import Response, render_template, request, url_for

from marketplace.accounts.permissions import permission
from marketplace.catalog import (
    alignment_views,
    authoring_views,
    calendars,
    cards,
    course_pages,
    cover_views,
    import_views,
    listing,
    offer,
    partner_views,
    price_views,
    price_words,
    pricing,
    provider_pages,
    review_views,
    run_views,
    search,
    shelves,
    structured,
)
from marketplace.catalog.blueprint import blueprint
from marketplace.foundation import clock, kept_pages
from marketplace.foundation.errors import NotFound
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import language

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue

    from config import Settings
    from marketplace.accounts.models import Organisation

__all__ = [
    "alignment_views",
    "authoring_views",
    "blueprint",
    "cover_views",
    "import_views",
    "partner_views",
    "price_views",
    "review_views",
    "run_views",
]


def init_app(app: Flask, _settings: Settings) -> None:
    """Give templates the words of a price."""
    app.jinja_env.globals.update(price_reason=price_words.reason, price_lines=price_words.explain)


@blueprint.get("/")
@permission("public")
def home() -> ResponseReturnValue:
    """What there is to learn: fields, what starts soon, what is new."""
    now = clock.now()
    soonest = search.Wish(facets=("seats:left",), order="start")
    newest = search.find_courses(search.Wish(), now=now, with_counts=False, limit=6)
    soon = search.find_courses(soonest, now=now, with_counts=False, limit=6)
    fields, numbers = shelves.list_shelves(), offer.count_offer()
    return kept_pages.Page("catalog/home.html", now=now).show(
        (newest.seen, soon.seen),
        fields,
        numbers,
        context=lambda: {
            "newest": newest.courses,
            "soon": soon.courses,
            "prices": cards.prices_on([*newest.rows, *soon.rows], now=now),
            "fields": fields,
            "numbers": numbers,
        },
    )


@blueprint.get("/courses")
@permission("public")
def courses() -> ResponseReturnValue:
    """Search with words and facets; the address holds the whole wish, so it can be shared."""
    wish, more = listing.read_wish(request.args), request.args.get("more", "")
    now = clock.now()
    page = kept_pages.Page("catalog/courses.html", now=now)
    found = search.find_courses(wish, now=now, seen=page.seen)
    if found.is_unchanged and not page.tells(found.seen, found.tally):
        # The same courses among more or fewer.
        found = search.find_courses(wish, now=now)
    return page.show(
        found.seen,
        found.tally,
        context=lambda: {
            "wish": wish,
            "found": found,
            "groups": listing.facet_groups(wish, found, more=more),
            "chips": listing.chips(wish),
            "without_all": listing.address(replace(wish, facets=(), after=None)),
            "ways": None if found.rows and not found.is_nearest else listing.ways_on(wish, found),
            "prices": cards.prices_on(found.rows, now=now),
            "orders": listing.order_links(wish),
            "next_page": listing.next_page(wish, found),
        },
    )


@blueprint.get("/courses/<public_id>")
@permission("public")
def course(public_id: str) -> ResponseReturnValue:
    """One course with its runs; a draft or withdrawn one is not found here."""
    now = clock.now()
    page = kept_pages.Page("catalog/course.html", now=now)
    mark, shown = course_pages.get(public_id, now=now, known=page.seen)
    if shown is None:
        return page.show(mark, context=dict)
    runs = offer.runs_on_page(shown, now=now)
    prices = {run.id: pricing.public_price(run, run.rules, now=now) for run in shown.runs if not run.is_free}
    address = url_for("catalog.course", public_id=public_id, _external=True)
    # The page of one that is sold out tells when held seats may come back, which is asked while it is written.
    is_sold_out = any(item.status == "sold_out" for item in runs)
    return page.show(
        None if is_sold_out else mark,
        context=lambda: {
            "course": shown,
            "runs": runs,
            "prices": prices,
            "levels": listing.level_names(),
            "address": address,
            # Each language is a page of its own to search engines; the bare address chooses by the reader.
            "canonical": f"{address}?lang={language()}" if "lang" in request.args else address,
            "data": structured.course_data(shown, runs, prices, address=address),
        },
    )


@blueprint.get("/runs/<public_id>.ics")
@permission("public")
def run_calendar(public_id: str) -> ResponseReturnValue:
    """The sessions of a run for a calendar program."""
    run = offer.get_run(public_id)
    address = url_for("catalog.course", public_id=run.course.public_id, _external=True)
    text = calendars.calendar_of([run], address_of=lambda _run: address, name=_("Course calendar"))
    disposition = {"Content-Disposition": f'attachment; filename="{run.public_id}.ics"'}
    return Response(text, mimetype="text/calendar", headers=disposition)


@blueprint.get("/providers/<public_id>")
@permission("public")
def provider(public_id: str) -> ResponseReturnValue:
    """A university or industry partner: what it is, what it teaches next, with whom, and its courses by field."""
    organisation = offer.get_provider(public_id)
    wish = provider_pages.read_wish(organisation.id, request.args)
    now = clock.now()
    found, runs = search.find_courses(wish, now=now), provider_pages.next_runs(organisation.id, now=now)
    address = url_for("catalog.provider", public_id=public_id, _external=True)
    return render_template(
        "catalog/provider.html",
        provider=organisation,
        found=found,
        runs=runs,
        prices=cards.prices_on(found.rows, now=now) | pricing.public_prices(runs, now=now),
        partners=provider_pages.partners(organisation.id),
        fields=provider_pages.fields(public_id, wish, found),
        next_page=provider_pages.next_page(public_id, wish, found),
        address=address,
        canonical=f"{address}?lang={language()}" if "lang" in request.args else address,
        data=provider_pages.provider_data(organisation, address=address, logo=_logo_address(organisation)),
    )


def _logo_address(organisation: Organisation) -> str | None:
    logo = organisation.logo
    if logo is None or not logo.is_ready:
        return None
    return url_for("foundation.picture_file", name=logo.of_format("webp")[-1]["name"], _external=True)


@blueprint.get("/sitemap.xml")
@permission("public")
def sitemap() -> ResponseReturnValue:
    """The addresses of every published course, for search engines, in both languages; a list of files if it is long."""
    files = offer.count_for_sitemap()
    if files == 1:
        return sitemap_file(1)
    page = render_template("catalog/sitemap_index.xml", numbers=range(1, files + 1))
    return Response(page, mimetype="application/xml")


@blueprint.get("/sitemap-<int:number>.xml")
@permission("public")
def sitemap_file(number: int) -> ResponseReturnValue:
    """One file of the site map."""
    if not 1 <= number <= offer.count_for_sitemap():
        raise NotFound
    base = url_for("catalog.courses", _external=True)
    providers = offer.list_providers_for_sitemap() if number == 1 else []
    page = render_template(
        "catalog/sitemap.xml", courses=offer.list_for_sitemap(number), base=base, providers=providers
    )
    return Response(page, mimetype="application/xml")


@blueprint.get("/robots.txt")
@permission("public")
def robots() -> ResponseReturnValue:
    """What robots may read: the catalogue."""
    lines = ["User-agent: *", "Disallow: /account", "Disallow: /orders", "Disallow: /my"]
    lines.append(f"Sitemap: {url_for('catalog.sitemap', _external=True)}")
    return Response("\n".join(lines) + "\n", mimetype="text/plain")
