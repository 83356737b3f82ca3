"""The address of the course list: what it asks for, and the addresses that ask for a little more or less."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from marketplace.catalog import facets, matches, search
from marketplace.catalog.facets import GROUPS
from marketplace.catalog.search import ORDERS, Found, Wish
from marketplace.catalog.shelves import list_shelves, skill_names
from marketplace.foundation.addresses import address_of
from marketplace.foundation.formats import format_month
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import language

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.datastructures import MultiDict

# A long group shows so many of its options, the most frequent ones, until all are asked for.
SHORT, LONG = 8, 60
LONG_GROUPS = ("skill",)
MOST_FIELDS = 6
# More than anybody chooses; an address with more is a machine's.
MOST_FACETS = 40


@dataclass(frozen=True, slots=True)
class Option:
    """A key of a group, how many courses it leaves, and the address with it, or without it when it is chosen."""

    key: str
    name: str
    count: int
    href: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A group of options; `more` is the address that shows the rest of a long one."""

    code: str
    title: str
    options: list[Option]
    more: str | None = None
    # The counts are least numbers: more courses match than were counted.
    is_capped: bool = False


def read_wish(arguments: MultiDict[str, str]) -> Wish:
    """Read an address; what cannot be understood is left out, since addresses are edited by hand and grow old."""
    words = arguments.get("q", "").strip()
    chosen = sorted({f"{group}:{value}" for group in GROUPS for value in arguments.getlist(group) if value})
    order = arguments.get("order", "")
    if order not in ORDERS and not (order == "relevance" and words):
        order = _usual_order(words)
    return Wish(words=words, facets=tuple(chosen[:MOST_FACETS]), order=order, after=_after(arguments))


def _usual_order(words: str) -> str:
    return "relevance" if words else "newest"


def _after(arguments: MultiDict[str, str]) -> tuple[int, int] | None:
    key, separator, course = arguments.get("after", "").partition("-")
    if not separator or not key.isdecimal() or not course.isdecimal():
        return None
    keyset = int(key[:20]), int(course[:20])
    return keyset if max(keyset) < 2**63 else None


def address(wish: Wish, *, more: str = "") -> str:
    """The address that asks for this wish; `more` names a long group shown whole."""
    path, asked = address_of("catalog.courses"), question(wish, more=more)
    return f"{path}?{asked}" if asked else path


def question(wish: Wish, *, more: str = "") -> str:
    """What follows the question mark in such an address."""
    pairs = [("q", wish.words)] if wish.words else []
    for facet in wish.facets:
        group, _separator, value = facet.partition(":")
        pairs.append((group, value))
    if wish.order != _usual_order(wish.words):
        pairs.append(("order", wish.order))
    if more:
        pairs.append(("more", more))
    if wish.after is not None:
        pairs.append(("after", f"{wish.after[0]}-{wish.after[1]}"))
    return urlencode(pairs)


def next_page(wish: Wish, found: Found) -> str | None:
    """The address of the next page, if there is one."""
    return address(replace(wish, after=found.next_after)) if found.next_after else None


def order_links(wish: Wish) -> list[tuple[str, str, bool]]:
    """The orders one can choose: (label, address, is the present one); relevance only where there are words."""
    names = {"relevance": _("Best match"), "newest": _("Newest"), "start": _("Starting soonest"), "price": _("Price")}
    if not wish.words:
        del names["relevance"]
    plain = replace(wish, after=None)
    return [(name, address(replace(plain, order=order)), order == wish.order) for order, name in names.items()]


def facet_groups(wish: Wish, found: Found, *, more: str = "") -> list[Group]:
    """Each group with its options that would leave something, or are chosen: following one adds or removes it."""
    counts = found.counts
    titles, names = group_names(), facet_names({*counts, *wish.facets})
    plain = replace(wish, after=None)
    here = address(plain, more=more)
    groups = []
    for code, keys in _keys_by_group(names, counts).items():
        limit = LONG if more == code else SHORT
        is_long = code in LONG_GROUPS and len(keys) > limit
        shown = [key for place, key in enumerate(keys) if place < limit or key in wish.facets] if is_long else keys
        options = [_option(plain, key, names[key], counts.get(key, 0), here) for key in shown]
        if options:
            has_more = is_long and more != code
            rest = address(plain, more=code) if has_more else None
            groups.append(Group(code, titles[code], options, rest, found.is_capped))
    return groups


def _keys_by_group(names: Mapping[str, str], counts: Mapping[str, int]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {code: [] for code in GROUPS}
    for key in names:
        groups[key.partition(":")[0]].append(key)
    for code in LONG_GROUPS:
        groups[code].sort(key=lambda key: (-counts.get(key, 0), names[key]))
    return groups


def _option(wish: Wish, key: str, name: str, count: int, here: str) -> Option:
    if key in wish.facets:
        return Option(key, name, count, _without(wish, key), is_chosen=True)
    group, _separator, value = key.partition(":")
    return Option(key, name, count, f"{here}{'&' if '?' in here else '?'}{group}={quote(value)}", is_chosen=False)


def _without(wish: Wish, key: str) -> str:
    return address(replace(wish, facets=tuple(facet for facet in wish.facets if facet != key), after=None))


def chips(wish: Wish) -> list[tuple[str, str]]:
    """The chosen facets by name, each with the address that leaves it out."""
    names = facet_names(wish.facets)
    return [(names[key], _without(wish, key)) for key in wish.facets if key in names]


@dataclass(frozen=True, slots=True)
class Ways:
    """Where to go from a list without an exact match.

    `spellings` are (words, address); `without` and `fields` are (name, courses, address): without one filter, or to a
    large field. `wish` are the words of the address where one asks to be told when there is something.
    """

    spellings: list[tuple[str, str]]
    wish: str
    without: list[tuple[str, int, str]]
    fields: list[tuple[str, int, str]]


def ways_on(wish: Wish, found: Found) -> Ways:
    """What to offer someone who found nothing, or only titles like their words; nothing that leads to nothing."""
    spelt = [(words, address(Wish(words=words, order="relevance"))) for words in matches.spellings(wish)]
    question_again = question(replace(wish, after=None, order=_usual_order(wish.words)))
    if found.rows:
        return Ways(spelt, question_again, [], [])
    names = facet_names(wish.facets)
    totals = {key: count for key, count in search.count_without_each(wish).items() if count and key in names}
    return Ways(
        spelt,
        question_again,
        without=[(names[key], count, _without(wish, key)) for key, count in totals.items()],
        fields=_large_fields(),
    )


def _large_fields() -> list[tuple[str, int, str]]:
    counts, _total = facets.count((), (), version=None)
    fields = [(f"category:{shelf.code}", _either(shelf.name_zh, shelf.name_en)) for shelf in list_shelves()]
    largest = sorted(((counts.get(key, 0), key, name) for key, name in fields), reverse=True)[:MOST_FIELDS]
    return [(name, count, address(Wish(facets=(key,)))) for count, key, name in largest if count]


def group_names() -> dict[str, str]:
    """The facets one can narrow by, in their order."""
    return {
        "category": _("Field"),
        "level": _("Level"),
        "mode": _("Where"),
        "month": _("Starts in"),
        "price": _("Price"),
        "seats": _("Seats"),
        "subsidised": _("Subsidy"),
        "language": _("Language of teaching"),
        "provider": _("Provider"),
        "skill": _("Skills"),
    }


def facet_names(keys: set[str] | tuple[str, ...]) -> dict[str, str]:
    """The names of these keys, in the order of their groups; keys nobody knows are left out."""
    names = {f"category:{shelf.code}": _either(shelf.name_zh, shelf.name_en) for shelf in list_shelves()}
    names |= {f"level:{level}": name for level, name in level_names().items()}
    names |= {f"mode:{mode}": name for mode, name in mode_names().items()}
    names |= {key: month for key in sorted(keys) if key.startswith("month:") and (month := _month(key[6:]))}
    names |= {"price:free": _("Free"), "price:paid": _("Paid")}
    names |= {"seats:left": _("Seats left"), "subsidised:yes": _("Subsidised")}
    names |= {f"language:{code}": name for code, name in teaching_languages().items() if code != "both"}
    names |= {f"provider:{kind}": name for kind, name in provider_kinds().items()}
    skills = skill_names(int(key[6:]) for key in keys if key.startswith("skill:") and key[6:].isdecimal())
    names |= {f"skill:{skill.id}": _either(skill.label_zh, skill.label_en) for skill in skills.values()}
    return {key: name for key, name in names.items() if key in keys}


def _either(chinese: str, english: str) -> str:
    return (chinese or english) if language() == "zh" else (english or chinese)


def _month(value: str) -> str:
    """A month in words, empty for what is none."""
    year, _separator, month = value.partition("-")
    try:
        return format_month(date(int(year), int(month), 1))
    except ValueError:
        return ""


def level_names() -> dict[str, str]:
    """The levels in words."""
    return {"introductory": _("Introductory"), "intermediate": _("Intermediate"), "advanced": _("Advanced")}


def mode_names() -> dict[str, str]:
    """The modes in words."""
    return {"in_person": _("In person"), "online": _("Online"), "blended": _("Blended")}


def teaching_languages() -> dict[str, str]:
    """The languages of teaching in words."""
    return {"zh": _("Chinese"), "en": _("English"), "both": _("Chinese and English")}


def provider_kinds() -> dict[str, str]:
    """The kinds of providers in words."""
    return {"university": _("University"), "industry_partner": _("Industry partner")}
