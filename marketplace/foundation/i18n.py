"""Two equal languages: which one to show, translated sentences, and fields that exist in both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import current_app, g, has_request_context, request
from flask_babel import Babel, force_locale, format_date
from flask_babel import LazyString as LazyString
from wtforms.i18n import messages_path

if TYPE_CHECKING:
    from datetime import date

    from flask import Flask

LANGUAGES = ("zh", "en")
DEFAULT_LANGUAGE = "zh"
DEFAULT_ZONE = "Asia/Shanghai"
# Babel's names; with hyphens Flask-Babel fails. Every Chinese a browser may ask for gets the simplified catalogue.
BABEL_LOCALES = {"zh": "zh_Hans_CN", "en": "en"}
COOKIE = "language"
TRANSLATIONS = Path(__file__).resolve().parent.parent / "translations"
# The language of the request, kept until its end: a page asks for it hundreds of times.
_heard: ContextVar[str | None] = ContextVar("heard", default=None)
# The language inside `speaking`, which wins over the request's.
_spoken: ContextVar[str | None] = ContextVar("spoken", default=None)


class Catalogue:
    """The Chinese sentences of every room, read once per process from `translations/zh/<room>.po`."""

    def __init__(self, singular: dict[str, str], plural: dict[str, str]) -> None:
        """Chinese has one plural form, so a plural message maps its English singular to one sentence."""
        self.singular = singular
        self.plural = plural

    def gettext(self, message: str) -> str:
        """The Chinese sentence, or the English one where none is written yet (a test forbids that)."""
        return self.singular.get(message) or message

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """The Chinese sentence for any number."""
        return self.plural.get(singular) or (singular if number == 1 else plural)


@lru_cache(maxsize=1)
def chinese() -> Catalogue:
    """All rooms' Chinese in one catalogue."""
    singular: dict[str, str] = {}
    plural: dict[str, str] = {}
    for msgid, translation, _source in chinese_messages():
        target, text = (plural, translation[0]) if isinstance(translation, tuple) else (singular, translation)
        if not text:
            continue
        # A test keeps the rooms from translating one sentence differently.
        target.setdefault(msgid, text)
    return Catalogue(singular, plural)


def chinese_messages() -> Iterator[tuple[str, str | tuple[str, ...], str]]:
    """Each message of each room: English, Chinese (a tuple if it has a plural), file name. Fuzzy ones are left out."""
    for path in sorted((TRANSLATIONS / "zh").glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale="zh_Hans_CN"):
                if not message.id or message.fuzzy:
                    continue
                msgid = message.id[0] if isinstance(message.id, tuple | list) else message.id
                string = message.string or ""
                yield msgid, tuple(string) if isinstance(string, tuple | list) else string, path.name


def language() -> str:
    """The language being spoken here: "zh" or "en"."""
    known = _spoken.get() or _heard.get()
    if known is not None:
        return known
    if not has_request_context():
        return DEFAULT_LANGUAGE
    heard = _requested_language()
    _heard.set(heard)
    return heard


def gettext(message: str, **variables: Any) -> str:
    """The sentence in the language spoken here; `%(name)s` places take `variables`."""
    text = chinese().gettext(message) if language() == "zh" else message
    return text % variables if variables else text


def ngettext(singular: str, plural: str, number: int, **variables: Any) -> str:
    """The sentence for a number of things, which it may name as `%(num)s`."""
    return _plural(singular, plural, number) % {"num": number, **variables}


def _plural(singular: str, plural: str, number: int) -> str:
    if language() == "zh":
        return chinese().ngettext(singular, plural, number)
    return singular if number == 1 else plural


def lazy(message: str, **variables: Any) -> LazyString:
    """A sentence translated when it is shown, for constants and errors."""
    return LazyString(gettext, message, **variables)


def lazy_day(day: date) -> LazyString:
    """A day written out when it is shown, for the places of a lazy sentence."""
    return LazyString(format_date, day, "long")


_ = gettext


@dataclass(frozen=True, slots=True)
class Text:
    """A text shown in `lang`, which may not be the reader's language; `is_fallback` says so on the page."""

    text: str
    lang: str
    is_fallback: bool = False

    def __str__(self) -> str:
        """The bare text."""
        return self.text

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.text)


def pick(row: object, field: str, lang: str | None = None) -> Text:
    """`row.<field>_zh` or `row.<field>_en` in the language spoken here, else in the other one, marked as such."""
    return pick_of(getattr(row, f"{field}_zh"), getattr(row, f"{field}_en"), lang)


def pick_of(chinese_text: Any, english_text: Any, lang: str | None = None) -> Text:
    """The same of two texts at hand."""
    wanted = lang or language()
    text, fallback = (chinese_text, english_text) if wanted == "zh" else (english_text, chinese_text)
    if text:
        return Text(text, wanted)
    return Text(fallback, "en" if wanted == "zh" else "zh", is_fallback=True) if fallback else Text("", wanted)


@contextmanager
def speaking(lang: str) -> Iterator[None]:
    """Speak `lang` ("zh" or "en") inside, as mails do to their reader."""
    token = _spoken.set(lang)
    try:
        with force_locale(BABEL_LOCALES[lang]):
            yield
    finally:
        _spoken.reset(token)


def html_lang() -> str:
    """The value of `<html lang>`."""
    return "zh-Hans-CN" if language() == "zh" else "en"


def init_app(app: Flask) -> None:
    """Set up Babel and the `_` of templates."""
    app.config["BABEL_DEFAULT_LOCALE"] = BABEL_LOCALES[DEFAULT_LANGUAGE]
    app.config["BABEL_DEFAULT_TIMEZONE"] = DEFAULT_ZONE
    app.teardown_request(_forget_language)
    Babel(app, locale_selector=_select_locale, timezone_selector=_select_zone)
    app.jinja_env.add_extension("jinja2.ext.i18n")
    # Newstyle: Jinja fills in the places itself, escaped.
    app.jinja_env.install_gettext_callables(gettext, _plural, newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.globals.update(pick=pick, html_lang=html_lang, language=language)


def hand_out_form_messages() -> None:
    """Give Flask-WTF the sentences of WTForms for this request, which it would read from the disk for each form."""
    # Where flask_wtf.i18n keeps them.
    request.wtforms_translations = _form_messages(language())  # type: ignore[attr-defined]


@lru_cache
def _form_messages(lang: str) -> NullTranslations:
    return Translations.load(messages_path(), [BABEL_LOCALES[lang]], domain="wtforms")


def _forget_language(_error: BaseException | None) -> None:
    _heard.set(None)


def _select_locale() -> str:
    return BABEL_LOCALES[language()]


def _requested_language() -> str:
    chosen = request.args.get("lang") or request.cookies.get(COOKIE) or getattr(g, "person_language", None)
    if chosen in LANGUAGES:
        return str(chosen)
    for accepted in request.accept_languages.values():
        base = accepted.partition("-")[0].lower()
        if base in LANGUAGES:
            return base
    return DEFAULT_LANGUAGE


def _select_zone() -> str:
    return str(getattr(g, "person_zone", None) or current_app.config["BABEL_DEFAULT_TIMEZONE"])
