"""Reads the catalogues of others into rows; one function per source, and a fault ends its row, not the file.

icourse163   the CSV of China University MOOC: provider, title, length, load, category, link
mit-sloan    two JSON lists: courses (Course_Id, Title, Description, Topics, URL), runs (Course_Id, Start_Date, Price)
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from marketplace.catalog.import_rules import (
    CourseRow,
    RowFault,
    RunRow,
    day_of,
    key_of,
    mode_of,
    one_line,
    price_of,
    title_of,
)

ICOURSE_COLUMNS = ("开课单位", "课程名称", "课程时长", "课程负载", "课程分类", "课程链接")
SLOAN = "MIT Sloan Executive Education"
SLOAN_ZONE = "America/New_York"


class FileFault(Exception):
    """The file as a whole cannot be read; the message is its reason."""


@dataclass(frozen=True)
class Faulty:
    """A row that was refused while it was read."""

    line: int
    kind: str
    key: str
    reason: str


Row = CourseRow | RunRow | Faulty


def read_icourse163(content: bytes) -> Iterator[Row]:
    """Courses of the CSV; raises FileFault when it is no such CSV."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFault("not UTF-8") from error
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in ICOURSE_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise FileFault(f"missing columns: {', '.join(missing)}")
    for line, row in enumerate(reader, start=2):
        link = one_line(row["课程链接"])
        try:
            yield CourseRow(
                line=line,
                key=key_of(link.rpartition("/")[2]),
                provider=title_of(row["开课单位"]),
                language="zh",
                title=title_of(row["课程名称"]),
                summary=" · ".join(part for part in (one_line(row["课程时长"]), one_line(row["课程负载"])) if part),
                description="",
                category=one_line(row["课程分类"]),
                url=link,
                notes=() if one_line(row["课程分类"]) else ("category_blank",),
            )
        except RowFault as fault:
            yield Faulty(line, "course", link, str(fault))


def read_sloan_courses(content: bytes) -> Iterator[Row]:
    """Courses of the JSON list; raises FileFault when it is none."""
    for line, row in enumerate(_json_list(content), start=1):
        topic = one_line(row.get("Topics")).partition(";")[0].rpartition(":")[2].strip()
        try:
            yield CourseRow(
                line=line,
                key=key_of(row.get("Course_Id")),
                provider=SLOAN,
                language="en",
                title=title_of(row.get("Title")),
                summary="",
                description=(row.get("Description") or "").strip(),
                category=topic,
                url=one_line(row.get("URL")),
                notes=() if topic else ("category_blank",),
            )
        except RowFault as fault:
            yield Faulty(line, "course", one_line(row.get("Course_Id")), str(fault))


def read_sloan_runs(content: bytes) -> Iterator[Row]:
    """Runs of the JSON list, in dollars; a second price in another currency is noted and not taken."""
    for line, row in enumerate(_json_list(content), start=1):
        key = f"{one_line(row.get('Course_Id'))}:{one_line(row.get('CO_Title'))}"
        try:
            yield _sloan_run(line, key, row)
        except RowFault as fault:
            yield Faulty(line, "run", key, str(fault))


def _sloan_run(line: int, key: str, row: dict[str, Any]) -> RunRow:
    first, last = day_of(row.get("Start_Date")), day_of(row.get("End_Date"))
    if first and last and last < first:
        raise RowFault("dates_reversed")
    mode, notes = mode_of(row.get("Delivery"))
    if first is None or last is None:
        notes += ("undated",)
    if row.get("Tuition_Cost(non-USD)"):
        notes += ("second_currency",)
    return RunRow(
        line=line,
        key=key_of(key),
        course_key=key_of(row.get("Course_Id")),
        first_day=first,
        last_day=last,
        zone=SLOAN_ZONE,
        mode=mode,
        place=one_line(row.get("Location")),
        language="en",
        price=price_of(row.get("Price"), "USD"),
        notes=notes,
    )


def _json_list(content: bytes) -> list[dict[str, Any]]:
    try:
        read = json.loads(content)
    except ValueError as error:
        raise FileFault("not JSON") from error
    if not isinstance(read, list) or not all(isinstance(row, dict) for row in read):
        raise FileFault("not a JSON list of objects")
    return read


READERS = {
    "icourse163": (read_icourse163,),
    "mit-sloan": (read_sloan_courses, read_sloan_runs),
}
