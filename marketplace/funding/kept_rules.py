"""A rule as the database keeps it, and back: a version of last year is read by the code of today."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from marketplace.funding.subsidy_rules import Consequence, Named, Rule


def as_json(rule: Rule) -> dict[str, Any]:
    """A rule as the database keeps it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(rule).items()}


def from_json(kept: dict[str, Any]) -> Rule:
    """A rule as it was kept; what a later version of the code added has its default."""
    values: dict[str, Any] = {}
    for field in fields(Rule):
        if field.name not in kept:
            continue
        value = kept[field.name]
        if isinstance(value, list):
            value = tuple(Named(**one) if isinstance(one, dict) else one for one in value)
        values[field.name] = Consequence(value) if field.name in {"if_lapsed", "if_rejected"} else value
    return Rule(**values)
