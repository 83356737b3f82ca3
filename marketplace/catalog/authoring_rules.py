"""Pure decisions about writing courses: what state a translation is in, what is missing, which step comes next."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from marketplace.foundation.i18n import LazyString

PAIRED = ("title", "summary", "description", "outcomes", "syllabus")
Text = str | list[str]


class Translation(StrEnum):
    """Where the text in the other language stands; there is none for a field that exists in one language alone."""

    TRANSLATED = "translated"
    MACHINE = "machine"
    STALE = "stale"


class Step(StrEnum):
    """What can be done with a course as a whole."""

    SUBMIT = "submit"
    RECALL = "recall"
    RETURN = "return"
    APPROVE = "approve"
    WITHDRAW = "withdraw"


STEPS = {
    (Step.SUBMIT, "draft"): "in_review",
    (Step.SUBMIT, "withdrawn"): "in_review",
    (Step.RECALL, "in_review"): "draft",
    (Step.RETURN, "in_review"): "draft",
    (Step.APPROVE, "in_review"): "published",
    (Step.WITHDRAW, "published"): "withdrawn",
}


def after(step: Step, state: str) -> str:
    """The state a step leads to; raises Refused where the course is no longer where the page showed it."""
    found = STEPS.get((step, state))
    if found is None:
        raise Refused("course_elsewhere", lazy("The course has moved on meanwhile; please look at it again."))
    return found


def other(language: str) -> str:
    """The other one of the two languages."""
    return "en" if language == "zh" else "zh"


def translation_states(
    before: Mapping[str, Text],
    now: Mapping[str, Text],
    *,
    states: Mapping[str, str],
    chosen: Mapping[str, str],
    original: str,
) -> dict[str, str]:
    """The state of each paired field after a save.

    `before` and `now` map columns ("title_zh") to texts, `states` and `chosen` map fields to the state that was kept
    and the one the author left in the form. A text whose original changed under it is stale until somebody confirms it
    or writes it again; a text that was written again is translated.
    """
    found = {}
    for field in PAIRED:
        source, target = f"{field}_{original}", f"{field}_{other(original)}"
        if not now[source] or not now[target]:
            continue
        kept = states.get(field, Translation.TRANSLATED)
        wanted = Translation(chosen.get(field) or kept)
        if now[target] != before[target] and wanted == kept:
            wanted = Translation.TRANSLATED if kept == Translation.STALE else wanted
        elif now[source] != before[source] and wanted == kept and before[target]:
            wanted = Translation.STALE
        found[field] = wanted.value
    return found


def missing(texts: Mapping[str, Text], *, original: str, has_category: bool) -> list[LazyString]:
    """What a course still lacks before it can be reviewed, in the order of the form; translations may come later."""
    wanted = {
        f"title_{original}": lazy("a title"),
        f"summary_{original}": lazy("a summary"),
        f"description_{original}": lazy("a description"),
        f"outcomes_{original}": lazy("at least one thing people will be able to do"),
    }
    lacking = [name for column, name in wanted.items() if not texts[column]]
    return lacking if has_category else [*lacking, lazy("a field")]


def changes(before: Mapping[str, object], now: Mapping[str, object]) -> dict[str, list[object]]:
    """Each column that differs with its value before and after."""
    return {name: [before[name], value] for name, value in now.items() if before[name] != value}


def lines(text: str) -> list[str]:
    """The items of a list that is written one per line; bullets that were pasted along are left out."""
    items = (" ".join(line.split()).lstrip("-–—•·* ").strip() for line in text.splitlines())
    return [item for item in items if item]


def is_within(items: Sequence[str], *, most: int, longest: int) -> bool:
    """Whether a list is of a size that a page can show."""
    return len(items) <= most and all(len(item) <= longest for item in items)
