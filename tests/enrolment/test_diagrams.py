"""The diagrams of docs/refunds.md are the tables in code."""

import re
from pathlib import Path

from marketplace.enrolment import change_rules, run_change_rules

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "refunds.md").read_text(encoding="utf-8")


def drawn(transitions):
    """A table of transitions as the essay draws it: states in the table's order, what follows by name."""
    lines = [f"    {state} --> {after}" for state, following in transitions.items() for after in sorted(following)]
    return "\n".join(["stateDiagram-v2", *lines])


def test_the_essay_draws_the_changes_of_a_place_and_of_a_run():
    diagrams = re.findall(r"```mermaid\n(.*?)\n```", TEXT, re.DOTALL)

    assert diagrams[:2] == [drawn(change_rules.TRANSITIONS), drawn(run_change_rules.TRANSITIONS)]
