"""Chinese and English are equal: every sentence of the code exists in both, and is where its room keeps it."""

from __future__ import annotations

import re
from pathlib import Path

import polib
import pytest
from babel.messages.extract import extract_from_dir

ROOT = Path(__file__).resolve().parents[2]
METHODS = [("templates/documents/**", "ignore"), ("marketplace/**.py", "python"), ("templates/**", "jinja2")]
KEYWORDS = {"_": None, "lazy": None, "gettext": None, "ngettext": (1, 2)}
FILES = sorted((ROOT / "marketplace" / "translations" / "zh").glob("*.po"))
PLACE = re.compile(r"%\((\w+)\)|%%")


def sentences() -> set[str]:
    found = set()
    for _file, _line, message, _comments, _context in extract_from_dir(str(ROOT), METHODS, keywords=KEYWORDS):
        found.add(message[0] if isinstance(message, tuple) else message)
    return found - {""}


def chinese(entry: polib.POEntry) -> str:
    return entry.msgstr_plural.get(0, "") if entry.msgid_plural else entry.msgstr


def entries() -> list[polib.POEntry]:
    return [entry for file in FILES for entry in polib.pofile(str(file)) if not entry.obsolete]


def test_every_sentence_has_its_chinese():
    written = {entry.msgid for entry in entries() if chinese(entry) and not entry.fuzzy}

    assert sorted(sentences() - written) == []


def test_no_translation_is_fuzzy_or_left_over():
    assert [entry.msgid for entry in entries() if entry.fuzzy] == []
    assert sorted({entry.msgid for entry in entries()} - sentences()) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_places_of_a_sentence_survive_translation(file):
    for entry in polib.pofile(str(file)):
        wanted = set(PLACE.findall(entry.msgid)) | set(PLACE.findall(entry.msgid_plural))
        assert set(PLACE.findall(chinese(entry))) <= wanted, entry.msgid
        assert wanted - {"num", ""} <= set(PLACE.findall(chinese(entry))), entry.msgid


def test_no_two_rooms_translate_one_sentence_differently():
    seen: dict[str, str] = {}
    for entry in entries():
        assert seen.setdefault(entry.msgid, chinese(entry)) == chinese(entry), entry.msgid
