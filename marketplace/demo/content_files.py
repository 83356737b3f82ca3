"""Reads what is written by hand in `content/`: organisations, courses, names and rooms."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTENT = Path(__file__).parent / "content"


@dataclass(frozen=True, slots=True)
class Teaching:
    """How a course is usually taught: sessions of so many minutes, seats, what one costs in yuan, an examination."""

    mode: str
    sessions: int
    minutes: int
    capacity: int
    price: int
    needs_pass: bool


@dataclass(frozen=True, slots=True)
class CourseText:
    """One course as written: `fields` are the columns of its own row in both languages."""

    key: str
    category: str
    level: str
    providers: tuple[str, ...]
    skills: tuple[str, ...]
    teaching: Teaching
    fields: dict[str, Any]


def read(name: str) -> dict[str, Any]:
    """One file of `content/`."""
    return tomllib.loads((CONTENT / f"{name}.toml").read_text(encoding="utf-8"))


def courses() -> list[CourseText]:
    """The sixty courses, in the order of the categories and of their files."""
    found = [_course(written, file["category"]) for file in _course_files() for written in file["course"]]
    order = [category["code"] for category in read("categories")["category"]]
    return sorted(found, key=lambda course: order.index(course.category))


def _course_files() -> list[dict[str, Any]]:
    return [read(f"courses/{path.stem}") for path in sorted((CONTENT / "courses").glob("*.toml"))]


def _course(written: dict[str, Any], category: str) -> CourseText:
    taught = written["teaching"]
    paired = {
        f"{name}_{locale}": written[name][locale]
        for name in ("title", "summary", "description")
        for locale in ("zh", "en")
    }
    lists = {name: written[name] for name in ("outcomes_zh", "outcomes_en", "syllabus_zh", "syllabus_en")}
    return CourseText(
        key=written["key"],
        category=category,
        level=written["level"],
        providers=tuple(written["providers"]),
        skills=tuple(written["skills"]),
        teaching=Teaching(
            taught["mode"], taught["sessions"], taught["minutes"], taught["capacity"], taught["price"], taught["pass"]
        ),
        fields=paired | lists,
    )
