"""The address of the course list: what it asks for, and the addresses that ask for a little more or less."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flask import url_for

from marketplace.catalog.search import Found, Wish
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import pick

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from werkzeug.datastructures import MultiDict

    from marketplace.catalog.models import Category

ORDERS = ("relevance", "newest")
GROUPS = ("category", "level", "mode", "language", "price")
Option = tuple[str, int, str, bool]


def read_wish(arguments: MultiDict[str, str]) -> Wish:
    """Read an address; what cannot be understood is left out, since addresses are edited by hand and grow old."""
    words = arguments.get("q", "").strip()
    facets = tuple(sorted({f"{group}:{value}" for group in GROUPS for value in arguments.getlist(group) if value}))
    order = arguments.get("order", "")
    if order not in ORDERS:
        order = "relevance" if words else "newest"
    return Wish(words=words, facets=facets, order=order, after=_after(arguments))


def provider_wish(organisation_id: int, arguments: MultiDict[str, str]) -> Wish:
    """The courses of one provider, newest first."""
    return Wish(provider_id=organisation_id, after=_after(arguments))


def _after(arguments: MultiDict[str, str]) -> tuple[int, int] | None:
    key, separator, course = arguments.get("after", "").partition("-")
    is_keyset = bool(separator) and key.isdecimal() and course.isdecimal() and len(key) < 19 and len(course) < 19  # noqa: PLR2004 - bigint
    return (int(key), int(course)) if is_keyset else None


def address(wish: Wish) -> str:
    """The address that asks for this wish."""
    arguments: dict[str, str | list[str]] = {}
    if wish.words:
        arguments["q"] = wish.words
    for facet in wish.facets:
        group, _separator, value = facet.partition(":")
        arguments.setdefault(group, [])
        arguments[group] = [*arguments[group], value]
    if wish.order != ("relevance" if wish.words else "newest"):
        arguments["order"] = wish.order
    if wish.after is not None:
        arguments["after"] = f"{wish.after[0]}-{wish.after[1]}"
    return url_for("catalog.courses", **arguments)  # type: ignore[arg-type]


def next_page(wish: Wish, found: Found) -> str | None:
    """The address of the next page, if there is one."""
    return address(replace(wish, after=found.next_after)) if found.next_after else None


def next_provider_page(public_id: str, found: Found) -> str | None:
    """The address of a provider's next page, if there is one."""
    if found.next_after is None:
        return None
    return url_for("catalog.provider", public_id=public_id, after=f"{found.next_after[0]}-{found.next_after[1]}")


def order_links(wish: Wish) -> list[tuple[str, str, bool]]:
    """The orders one can choose: (label, address, is the present one); relevance only where there are words."""
    names = {"relevance": _("Best match"), "newest": _("Newest")}
    offered = ORDERS if wish.words else ("newest",)
    return [(names[order], address(replace(wish, order=order, after=None)), order == wish.order) for order in offered]


def facet_groups(
    wish: Wish, counts: Mapping[str, int], categories: Sequence[Category]
) -> list[tuple[str, list[Option]]]:
    """Each group with its options that would leave something, or are chosen: following one adds or removes it."""
    names = facet_names(categories)
    groups = []
    for group, title in group_names().items():
        keys = [key for key in names if key.startswith(f"{group}:")]
        options = [_option(wish, key, names[key], counts.get(key, 0)) for key in keys]
        shown = [option for option in options if option[1] or option[3]]
        if shown:
            groups.append((title, shown))
    return groups


def _option(wish: Wish, key: str, name: str, count: int) -> Option:
    is_chosen = key in wish.facets
    facets = tuple(facet for facet in wish.facets if facet != key) if is_chosen else (*wish.facets, key)
    return name, count, address(replace(wish, facets=facets, after=None)), is_chosen


def group_names() -> dict[str, str]:
    """The facets one can narrow by, in their order."""
    return {
        "category": _("Field"),
        "level": _("Level"),
        "mode": _("Where"),
        "language": _("Language of teaching"),
        "price": _("Price"),
    }


def facet_names(categories: Sequence[Category]) -> dict[str, str]:
    """The name of each facet's key."""
    names = {f"category:{category.code}": str(pick(category, "name")) for category in categories}
    names |= {f"level:{level}": name for level, name in level_names().items()}
    names |= {f"mode:{mode}": name for mode, name in mode_names().items()}
    names |= {f"language:{code}": name for code, name in teaching_languages().items() if code != "both"}
    return names | {"price:free": _("Free"), "price:paid": _("Paid")}


def level_names() -> dict[str, str]:
    """The levels in words."""
    return {"introductory": _("Introductory"), "intermediate": _("Intermediate"), "advanced": _("Advanced")}


def mode_names() -> dict[str, str]:
    """The modes in words."""
    return {"in_person": _("In person"), "online": _("Online"), "blended": _("Blended")}


def teaching_languages() -> dict[str, str]:
    """The languages of teaching in words."""
    return {"zh": _("Chinese"), "en": _("English"), "both": _("Chinese and English")}
