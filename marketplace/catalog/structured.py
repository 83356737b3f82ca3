"""A course as schema.org describes it, for search engines: https://schema.org/Course."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketplace.foundation.i18n import html_lang, pick

if TYPE_CHECKING:
    from collections.abc import Mapping

    from marketplace.catalog.models import Course, CourseRun
    from marketplace.catalog.offer import RunOnPage
    from marketplace.catalog.pricing_rules import Price

MODES = {"in_person": "Onsite", "online": "Online", "blended": "Blended"}
AVAILABLE = {"open": "https://schema.org/InStock", "sold_out": "https://schema.org/SoldOut"}


def course_data(course: Course, runs: list[RunOnPage], prices: Mapping[int, Price], *, address: str) -> dict[str, Any]:
    """The course with its runs and the prices anyone pays, in the language spoken here."""
    return {
        "@context": "https://schema.org",
        "@type": "Course",
        "url": address,
        "name": str(pick(course, "title")),
        "description": str(pick(course, "summary") or pick(course, "description")),
        "inLanguage": html_lang(),
        "provider": [
            {"@type": "Organization", "name": str(pick(provider.organisation, "name"))} for provider in course.providers
        ],
        "hasCourseInstance": [
            _run_data(item.run, item.status, prices.get(item.run.id)) for item in runs if item.status != "cancelled"
        ],
    }


def _run_data(run: CourseRun, status: str, price: Price | None) -> dict[str, Any]:
    starts, ends = run.starts_at, run.ends_at
    amount = price.amount if price else run.price
    return {
        "@type": "CourseInstance",
        "courseMode": MODES[run.mode],
        "startDate": starts.astimezone(run.tzinfo).isoformat() if starts else None,
        "endDate": ends.astimezone(run.tzinfo).isoformat() if ends else None,
        "location": str(pick(run, "place")),
        "offers": {
            "@type": "Offer",
            "price": str(amount.major),
            "priceCurrency": amount.currency,
            "availability": AVAILABLE.get(status, "https://schema.org/OutOfStock"),
        },
    }
