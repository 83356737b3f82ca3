"""A course as schema.org describes it, for search engines: https://schema.org/Course."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketplace.foundation.i18n import html_lang, pick

if TYPE_CHECKING:
    from collections.abc import Mapping

    from marketplace.catalog.course_pages import CourseOnPage
    from marketplace.catalog.offer import RunOnPage
    from marketplace.catalog.pricing_rules import Price

MODES = {"in_person": "Onsite", "online": "Online", "blended": "Blended"}
LANGUAGES = {"zh": ["zh-Hans"], "en": ["en"], "both": ["zh-Hans", "en"]}
AVAILABLE = {"open": "https://schema.org/InStock", "sold_out": "https://schema.org/SoldOut"}


def course_data(
    course: CourseOnPage, runs: list[RunOnPage], prices: Mapping[int, Price], *, address: str
) -> dict[str, Any]:
    """The course with its runs and the prices anyone pays, in the language spoken here."""
    return {
        "@context": "https://schema.org",
        "@type": "Course",
        "@id": address,
        "url": address,
        "name": str(pick(course, "title")),
        "description": str(pick(course, "summary") or pick(course, "description") or pick(course, "title")),
        "inLanguage": html_lang(),
        "educationalLevel": course.level,
        "provider": [
            {"@type": "Organization", "name": str(pick(provider.organisation, "name"))} for provider in course.providers
        ],
        "teaches": list(pick(course, "outcomes").text or ()),
        "offers": [_offer(item, prices.get(item.run.id)) for item in runs if item.status in AVAILABLE],
        "hasCourseInstance": [_run_data(item, prices.get(item.run.id)) for item in runs if item.status != "cancelled"],
    }


def _run_data(item: RunOnPage, price: Price | None) -> dict[str, Any]:
    run = item.run
    data: dict[str, Any] = {
        "@type": "CourseInstance",
        "courseMode": MODES[run.mode],
        "inLanguage": LANGUAGES[run.language],
        "offers": _offer(item, price),
    }
    if run.starts_at is not None and run.ends_at is not None:
        data["startDate"] = run.starts_at.astimezone(run.tzinfo).isoformat()
        data["endDate"] = run.ends_at.astimezone(run.tzinfo).isoformat()
    place = str(pick(run, "place"))
    if run.mode != "in_person":
        data["location"] = {"@type": "VirtualLocation"}
    elif place:
        data["location"] = {"@type": "Place", "name": place, "address": place}
    hours = round(sum((session.ends_at - session.starts_at).total_seconds() for session in run.sessions) / 3600)
    if hours:
        data["courseWorkload"] = f"PT{hours}H"
    return data


def _offer(item: RunOnPage, price: Price | None) -> dict[str, str]:
    amount = price.amount if price else item.run.price
    return {
        "@type": "Offer",
        "category": "Free" if amount.is_zero else "Paid",
        "price": str(amount.major),
        "priceCurrency": amount.currency,
        "availability": AVAILABLE.get(item.status, "https://schema.org/OutOfStock"),
    }
