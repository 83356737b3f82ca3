"""What people of the demo looked for in vain and want to hear of."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from marketplace.demo.chance import public_id, seeded
from marketplace.demo.rows import insert_rows
from marketplace.enrolment.seat_models import SearchWish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

# Words, facets, how many people; nothing in the demo's catalogue answers them.
SOUGHT: tuple[tuple[str, list[str], int], ...] = (
    ("大漆修复", [], 9),
    ("皮影", ["mode:online"], 6),
    ("dubbing", ["language:en"], 4),
    ("古琴", [], 2),
)


def write_searches(people: Sequence[int], learner_id: int, *, now: datetime) -> None:
    """Insert wishes of people (ids) and one of the learner to look around with; call inside a transaction."""
    chance = seeded("searches")
    wishes = [(words, facets, person) for words, facets, most in SOUGHT for person in chance.sample(people, most)]
    wishes.append((*SOUGHT[0][:2], learner_id))
    rows = [
        {
            "public_id": public_id(chance),
            "person_id": person,
            "words": words,
            "facets": facets,
            "wished_at": now - timedelta(days=chance.randint(1, 90)),
            "looked_at": now,
        }
        for words, facets, person in wishes
    ]
    insert_rows(SearchWish, rows)
