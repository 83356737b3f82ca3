"""Zones and countries have names in both languages."""

from __future__ import annotations

from marketplace.foundation import places
from tests.foundation.test_formats import speaking


def test_a_zone_is_told_by_whose_time_it_is(app):
    with speaking("zh"):
        assert [places.zone_name(zone) for zone in ("Asia/Shanghai", "Europe/London", "UTC")] == [
            "中国（上海）时间",
            "英国时间",
            "UTC",
        ]
        assert str(places.zone_label("America/New_York")) == "America/New York · 美国（纽约）时间"
    with speaking("en"):
        assert places.zone_name("Asia/Shanghai") == "China (Shanghai) Time"


def test_countries_are_chosen_by_name(app):
    with speaking("zh"):
        assert (places.country_name("CN"), places.country_name("GB"), places.country_name("Q?")) == (
            "中国",
            "英国",
            "Q?",
        )
    with speaking("en"):
        found = dict(places.countries())
        assert list(found.values()) == sorted(found.values())
        assert ("EU" in found, found["NO"], len(found) > 240) == (False, "Norway", True)
