"""CSV files that people send, whatever their spreadsheet wrote them as: UTF-8 or GB 18030, with any ends of lines."""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

# As Excel writes Chinese today, and as it did before.
ENCODINGS = ("utf-8-sig", "gb18030")


def decoded(content: bytes) -> str:
    """The text of a file; raises Invalid for what is none (a workbook, a picture)."""
    for encoding in ENCODINGS:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        # No text has a NUL, and no column of the database takes one.
        if "\0" not in text:
            return text
    raise _illegible()


def rows(content: bytes) -> list[list[str]]:
    """The cells of each row; raises Invalid for what cannot be read."""
    with _reading():
        return list(csv.reader(io.StringIO(decoded(content), newline="")))


def table_of(content: bytes) -> tuple[list[str], list[dict[str, str]]]:
    """The names in the first row, and the rows below by these names; raises Invalid for what cannot be read.

    The cells a row is too short for are empty; the surplus of one that is too long is left out.
    """
    with _reading():
        reader = csv.DictReader(io.StringIO(decoded(content), newline=""))
        names = list(reader.fieldnames or ())
        return names, [{name: row[name] or "" for name in names} for row in reader]


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except csv.Error as error:
        raise _illegible() from error


def _illegible() -> Invalid:
    return Invalid("not_text", lazy("The file is not a CSV text. Save it as CSV (UTF-8) and send it again."))
