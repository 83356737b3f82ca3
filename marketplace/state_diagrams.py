"""Diagrams of what may follow what, drawn from the tables that the code obeys; `draw_all` makes `docs/states.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketplace.enrolment.models import ORDER_TRANSITIONS
from marketplace.enrolment.seat_models import WAITING_TRANSITIONS
from marketplace.funding import subsidy_states
from marketplace.payments import dispute_rules
from marketplace.payments.invoice_rules import FAPIAO_TRANSITIONS
from marketplace.payments.models import ATTEMPT_TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Step = tuple[str, str, str]
HEAD = """# States

Drawn from the tables that the code obeys, by `flask --app marketplace docs states`; a test compares this page with
them. An arrow from the dot begins, one to the ringed dot ends. Deferrals, transfers and changes of runs are drawn in
refunds.md.
"""


def draw_all() -> str:
    """The whole page."""
    pages = (
        ("Order", "enrolment/models.py:ORDER_TRANSITIONS", _plain(ORDER_TRANSITIONS), "awaiting_payment"),
        ("Payment attempt", "payments/models.py:ATTEMPT_TRANSITIONS", _plain(ATTEMPT_TRANSITIONS), "created"),
        ("Waiting-list entry", "enrolment/seat_models.py:WAITING_TRANSITIONS", _plain(WAITING_TRANSITIONS), "waiting"),
        ("Subsidy", "funding/subsidy_states.py:TRANSITIONS", _told(subsidy_states.TRANSITIONS), "applied"),
        ("Dispute", "payments/dispute_rules.py:TRANSITIONS", _plain(dispute_rules.TRANSITIONS), "inquiry"),
        ("Fapiao", "payments/invoice_rules.py:FAPIAO_TRANSITIONS", _acts(FAPIAO_TRANSITIONS), "requested"),
    )
    return HEAD + "".join(_page(*page) for page in pages)


def _page(title: str, table: str, steps: list[Step], first: str) -> str:
    sources = {source for source, _act, _to in steps}
    ends = sorted({to for _source, _act, to in steps} - sources)
    lines = [f"    [*] --> {first}"]
    lines += [f"    {source} --> {to}" + (f" : {act}" if act else "") for source, act, to in steps]
    lines += [f"    {end} --> [*]" for end in ends]
    drawn = "\n".join(lines)
    return f"\n## {title}\n\n`marketplace/{table}`\n\n```mermaid\nstateDiagram-v2\n{drawn}\n```\n"


def _plain(table: Mapping[Any, Iterable[Any]]) -> list[Step]:
    return [(str(source), "", str(to)) for source, following in table.items() for to in sorted(following)]


def _told(steps: Iterable[tuple[str, str, str]]) -> list[Step]:
    return [(str(source), act, str(to)) for source, act, to in steps]


def _acts(table: Mapping[Any, Mapping[str, Any]]) -> list[Step]:
    return [(str(source), act, str(to)) for source, acts in table.items() for act, to in acts.items()]
