"""Tables on a narrow screen: each row stands as a block, so that every cell says which column it is of."""

from __future__ import annotations

import re

from markupsafe import Markup

# As many columns as a telephone is wide; a table of more stands as blocks there.
FIT = 3
_TAG = re.compile(r"<(/?)(thead|tbody|tfoot|tr|th|td)\b([^>]*)>")
_SPAN = re.compile(r'\bcolspan="(\d+)"')
_ANY_TAG = re.compile(r"<[^>]*>")


def columns_of(table: str) -> list[str]:
    """The names of a table's columns: the texts of its head, one for each column it spans."""
    head, is_ended, _rest = table.partition("</thead>")
    names: list[str] = []
    if not is_ended:
        return names
    for cell in re.finditer(r"<t[hd]\b([^>]*)>(.*?)</t[hd]>", head, re.DOTALL):
        name = " ".join(_ANY_TAG.sub("", cell[2]).split())
        names += [name] * _span(cell[1])
    return names


def is_wide(table: str) -> bool:
    """Whether a table has more columns than a telephone shows side by side."""
    return len(columns_of(table)) > FIT


def with_names(table: str) -> Markup:
    """The inside of a table whose cells each carry their column's name, for CSS to show; an empty cell is marked.

    `table` is markup of a template of ours: one head, no table inside another.
    """
    names = columns_of(table)
    made, at, column, is_body = [], 0, 0, False
    for tag in _TAG.finditer(table):
        is_end, kind, attributes = bool(tag[1]), tag[2], tag[3]
        if kind in {"thead", "tbody", "tfoot"}:
            is_body = kind != "thead" and not is_end
        elif kind == "tr":
            column = 0
        elif is_body and not is_end:
            if kind == "td" and column < len(names):
                is_empty = table[tag.end() : table.find("</td>", tag.end())].strip() == ""
                mark = "data-empty" if is_empty else f'data-column="{names[column].replace(chr(34), "&#34;")}"'
                made += [table[at : tag.end() - 1], " ", mark, ">"]
                at = tag.end()
            column += _span(attributes)
    # Marked safe as it was: only attributes of texts that were escaped already are added.
    return Markup("".join([*made, table[at:]]))  # noqa: S704


def _span(attributes: str) -> int:
    found = _SPAN.search(attributes)
    return int(found[1]) if found else 1
