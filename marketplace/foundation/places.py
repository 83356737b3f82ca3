"""Time zones and countries by the names people have for them, in the reader's language; from CLDR."""

from __future__ import annotations

from functools import lru_cache

from babel import Locale, dates
from flask_babel import LazyString

from marketplace.foundation.formats import babel_locale

# Codes of CLDR that are no country: unions, and those for tests.
_NO_COUNTRIES = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"})


def zone_name(zone: str) -> str:
    """Whose time an IANA zone is: 中国（上海）时间, United Kingdom Time."""
    return zone if zone == "UTC" else _zone_name(zone, babel_locale())


def zone_label(zone: str) -> LazyString:
    """A zone in a list to choose from, with its IANA name, by which it is looked for."""
    return LazyString(lambda: zone if zone == "UTC" else f"{zone.replace('_', ' ')} · {zone_name(zone)}")


def country_name(code: str) -> str:
    """A country by its ISO code of two letters; a code that is none stays as it is."""
    return _countries(babel_locale()).get(code, code)


def countries() -> list[tuple[str, str]]:
    """Every country with its name, in the order of names."""
    return sorted(_countries(babel_locale()).items(), key=lambda pair: pair[1])


@lru_cache(2048)
def _zone_name(zone: str, locale: str) -> str:
    return dates.get_timezone_location(zone, locale=locale)


@lru_cache(4)
def _countries(locale: str) -> dict[str, str]:
    found = Locale.parse(locale).territories
    return {
        code: name
        for code, name in found.items()
        if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRIES  # noqa: PLR2004 - letters of ISO 3166
    }
