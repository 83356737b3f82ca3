"""Where a Chinese heading may break: between words, not inside them. Browsers know no words of Chinese."""

from __future__ import annotations

import re
from functools import lru_cache

import rjieba
from markupsafe import Markup, escape

CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+")
# A word of one character belongs to the one before it, or else to the one after it.
AFTER = frozenset("的了们中上下里者性化课学")
KEPT = 4096


@lru_cache(KEPT)
def phrased(text: object) -> Markup:
    """The text with a place to break after each Chinese word; css/base.css lets headings break nowhere else."""
    parts: list[Markup] = []
    written, plain = str(text), 0
    for run in CJK.finditer(written):
        parts += [escape(written[plain : run.start()]), Markup("<wbr>").join(_phrases(run[0]))]
        plain = run.end()
    return Markup("").join([*parts, escape(written[plain:])])


def _phrases(run: str) -> list[str]:
    found: list[str] = []
    for word in rjieba.cut(run):
        joins = found and ((len(word) == 1 and word in AFTER) or (len(found[-1]) == 1 and found[-1] not in AFTER))
        if joins:
            found[-1] += word
        else:
            found.append(word)
    return found
