"""The forms of an organisation, its invitations and its members' roles."""

from __future__ import annotations

from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import HiddenField, SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import URL, InputRequired, Length, Optional, ValidationError

from marketplace.accounts.forms import choices_of, email_field, text
from marketplace.accounts.models import MemberRole
from marketplace.accounts.names import MEMBER_DUTIES, MEMBER_ROLES, ORGANISATION_KINDS, STAFF_ROLES
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy
from marketplace.foundation.places import countries

LONGEST_TITLE = 160
LONGEST_SUMMARY = 2000


def _role_field() -> SelectField:
    return SelectField(lazy("Role"), [InputRequired()], choices=choices_of(MEMBER_ROLES), default=MemberRole.INSTRUCTOR)


class OrganisationForm(FlaskForm):
    """What an organisation says of itself, in one language or both."""

    kind = SelectField(lazy("Kind"), [InputRequired()], choices=choices_of(ORGANISATION_KINDS))
    name_zh = StringField(
        lazy("Name in Chinese"), [Length(max=LONGEST_TITLE)], description=lazy("One of the two names is enough.")
    )
    name_en = StringField(lazy("Name in English"), [Length(max=LONGEST_TITLE)])
    summary_zh = TextAreaField(lazy("About it, in Chinese"), [Length(max=LONGEST_SUMMARY)])
    summary_en = TextAreaField(lazy("About it, in English"), [Length(max=LONGEST_SUMMARY)])
    country = SelectField(lazy("Country"), [InputRequired()], choices=countries, default="CN")
    city_zh = StringField(lazy("City in Chinese"), [Length(max=LONGEST_TITLE)])
    city_en = StringField(lazy("City in English"), [Length(max=LONGEST_TITLE)])
    website = StringField(
        lazy("Website"), [Optional(), URL(message=lazy("Enter a whole address, like https://example.com."))]
    )
    submit = SubmitField(lazy("Save"))

    def validate_name_en(self, field: StringField) -> None:
        """One name is enough, and needed."""
        if not text(field).strip() and not text(self.name_zh).strip():
            raise ValidationError(_("Enter the name in Chinese or in English, or both."))

    def values(self) -> dict[str, str | None]:
        """What to write, by column."""
        texts = ("name_zh", "name_en", "summary_zh", "summary_en", "country", "city_zh", "city_en", "website")
        return {name: text(self[name]) for name in ("kind", *texts) if name in self}


class LogoForm(FlaskForm):
    """A logo and what it shows."""

    file = FileField(
        lazy("Logo"),
        [FileRequired(lazy("Choose a file."))],
        description=lazy("JPEG, PNG or WebP, up to 10 MB, at least 96 × 96 pixels. Transparent ground is kept."),
        render_kw={"accept": "image/jpeg,image/png,image/webp"},
    )
    submit = SubmitField(lazy("Save the logo"))


class NewOrganisationForm(OrganisationForm):
    """A new organisation and its first owner."""

    owner_email = email_field(
        lazy("E-mail address of the first owner"), lazy("We send an invitation there."), completes="off"
    )


class InviteForm(FlaskForm):
    """Whom to invite, and as what."""

    email = email_field(lazy("E-mail address"), lazy("We send an invitation there."), completes="off")
    role = _role_field()
    submit = SubmitField(lazy("Invite"))


class InviteManyForm(FlaskForm):
    """A spreadsheet of addresses, and what all of them are invited as."""

    file = FileField(
        lazy("File (CSV)"),
        [InputRequired(lazy("Choose a file."))],
        description=lazy("One address a line, or a column named “email”; 500 rows at most."),
        render_kw={"accept": ".csv,text/csv"},
    )
    role = SelectField(lazy("Role"), [InputRequired()], choices=choices_of(MEMBER_ROLES), default=MemberRole.LEARNER)
    submit = SubmitField(lazy("Invite everyone"))


class MemberRoleForm(FlaskForm):
    """One more role for a member."""

    role = _role_field()
    submit = SubmitField(lazy("Give role"))


class StaffRoleForm(FlaskForm):
    """One more staff role for a person."""

    role = SelectField(lazy("Staff role"), [InputRequired()], choices=choices_of(STAFF_ROLES))
    submit = SubmitField(lazy("Appoint"))


class RoleTakenForm(FlaskForm):
    """The role to take away; sent by the button beside it."""

    role = HiddenField(validators=[InputRequired()])


DUTIES = [(MEMBER_ROLES[role], MEMBER_DUTIES[role]) for role in MemberRole]
