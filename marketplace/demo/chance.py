"""Chance with a fixed seed: the same demo at every load, one stream for each purpose so that they do not disturb."""

from __future__ import annotations

from random import Random

from marketplace.foundation import ids

SEED = 20


def seeded(purpose: str) -> Random:
    """A stream of chance for one purpose."""
    return Random(f"{SEED}:{purpose}")  # noqa: S311 - it draws an invented catalogue, not a secret


def public_id(random: Random) -> str:
    """A public id as `ids.public_id` draws them, the same at every load: links to the demo keep working."""
    return "".join(random.choices(ids.ALPHABET, k=ids.LENGTH))
