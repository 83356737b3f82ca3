from __future__ import annotations

import pytest

from marketplace.catalog import spelling
from marketplace.catalog.words import folded, query_of

TITLES = [folded(title) for title in ("交互设计工作坊 Interaction design", "博物馆数据可视化 Data for museums")]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("muzeums", ["museums"]),
        ("data for museums", []),
        ("交户设计", ["交互设计"]),
        ("数据可是化", ["数据可视化"]),
        ("数据可视化 intraction", ["数据可视化 interaction"]),
        ("vrt", []),
        ("陶瓷修复", []),
    ],
)
def test_the_nearest_words_of_titles(typed, meant):
    words = folded(typed)
    assert spelling.nearest(words, query_of(words).terms, TITLES)[:1] == meant
