"""A cover: the file, words for those who do not see it, and what must stay in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import RadioField, StringField, SubmitField
from wtforms.validators import Length

from marketplace.foundation.filling import choice, text
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from marketplace.foundation.models import Picture

LONGEST_ALT = 200
# Per cent from the left and from the top; nine places are as exact as a card's crop needs.
PLACES = {
    "0-0": lazy("top left"),
    "50-0": lazy("top"),
    "100-0": lazy("top right"),
    "0-50": lazy("left"),
    "50-50": lazy("centre"),
    "100-50": lazy("right"),
    "0-100": lazy("bottom left"),
    "50-100": lazy("bottom"),
    "100-100": lazy("bottom right"),
}


class CoverForm(FlaskForm):
    """An upload, or new words for the present cover."""

    file = FileField(
        lazy("Picture"),
        description=lazy("JPEG, PNG or WebP, up to 10 MB, at least 640 × 360 pixels. Where it was taken is left out."),
        render_kw={"accept": "image/jpeg,image/png,image/webp"},
    )
    alt_zh = StringField(
        lazy("What can be seen, in Chinese"), [Length(max=LONGEST_ALT)], render_kw={"lang": "zh-Hans-CN"}
    )
    alt_en = StringField(lazy("What can be seen, in English"), [Length(max=LONGEST_ALT)], render_kw={"lang": "en"})
    focus = RadioField(
        lazy("What must stay in sight when it is cropped"),
        choices=[choice(place, name) for place, name in PLACES.items()],
        default="50-50",
    )
    submit = SubmitField(lazy("Save the cover"))

    def content(self) -> bytes | None:
        """The file, or None when no new one was chosen."""
        return self.file.data.read() if self.file.data else None

    def words(self) -> dict[str, Any]:
        """The words and the focus, by column."""
        x, _separator, y = text(self.focus).partition("-")
        alt = {name: text(self[name]).strip() for name in ("alt_zh", "alt_en")}
        return {**alt, "focus_x": int(x), "focus_y": int(y)}


def values_of(picture: Picture | None) -> dict[str, Any]:
    """The present cover as its form shows it."""
    if picture is None:
        return {}
    return {"alt_zh": picture.alt_zh, "alt_en": picture.alt_en, "focus": f"{picture.focus_x}-{picture.focus_y}"}
