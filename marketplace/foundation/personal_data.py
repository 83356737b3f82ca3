"""The words in which each room tells what it knows of a person, and by which it forgets them.

A room that keeps anything about people has a module `personal` with three functions: `tell(person_id)` gives sections
for the person's own copy, `find_obstacle(person_id)` says why they cannot be forgotten yet, and `forget(identity,
now=…)` does it inside the caller's transaction. `privacy/erasures.py` calls them from the top floor down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from marketplace.foundation.i18n import LazyString
    from marketplace.foundation.money import Money

GONE = "…"
# A shorter name is part of too many other words to be blanked in a text.
SHORTEST_NAME = 2


def plain_money(amount: Money) -> str:
    """An amount for people and machines alike, as "1280.00 CNY"."""
    return f"{amount.major} {amount.currency}"


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a person's own copy: `columns` maps the key of a value to its heading; rows hold plain values."""

    key: str
    title: LazyString
    columns: Mapping[str, LazyString]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom to forget: the row that stays without them, and the words by which anyone could find them."""

    person_id: int
    name: str
    addresses: tuple[str, ...]
    words: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """The words to look for in texts that others wrote."""
        names = (self.name,) if len(self.name) >= SHORTEST_NAME else ()
        object.__setattr__(self, "words", (*self.addresses, *names))

    def blanked(self, text: str) -> str:
        """The text without the person's name and addresses."""
        return re.sub("|".join(map(re.escape, self.words)), GONE, text, flags=re.IGNORECASE) if self.words else text
