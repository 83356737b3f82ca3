"""The forms of a seat pool and of a waiting list's rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_wtf import FlaskForm
from wtforms import Field, RadioField, SelectField, StringField, SubmitField
from wtforms.validators import InputRequired, NumberRange, Regexp, ValidationError
from wtforms.validators import Optional as MayBeEmpty

from marketplace.catalog import run_rules
from marketplace.enrolment.pools import PoolWish
from marketplace.enrolment.seat_models import Audience, First, PoolKind
from marketplace.foundation.errors import Invalid
from marketplace.foundation.filling import DayField, NumberField, choice, choices_of, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, pick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.accounts.models import Organisation
    from marketplace.catalog.models import CourseRun
    from marketplace.enrolment.seat_models import SeatPool

KINDS = {
    PoolKind.SPONSOR: lazy("A sponsor pays for them"),
    PoolKind.CO_PROVIDER: lazy("A co-provider's own students"),
    PoolKind.CAMPAIGN: lazy("A campaign promised them"),
}
AUDIENCES = {
    Audience.ORGANISATION: lazy("People of an organisation"),
    Audience.EMAIL_DOMAIN: lazy("People with an e-mail address of a domain"),
    Audience.CODE: lazy("Whoever has a code"),
    Audience.VOUCHER: lazy("Holders of a voucher code"),
}
# Those of vouchers come with their batch.
CHOSEN_HERE = {audience: label for audience, label in AUDIENCES.items() if audience is not Audience.VOUCHER}
FIRSTS = {
    First.TIME: lazy("Whoever joined first"),
    First.POOL_AUDIENCE: lazy("People of the run's seat pools, then whoever joined first"),
}
NEEDED = lazy("Fill this in.")
DOMAIN = lazy("Enter a domain, like students.example.edu.cn.")


class PoolForm(FlaskForm):
    """How many seats are kept, why, for whom, and until when."""

    kind = RadioField(lazy("Why seats are kept"), choices=choices_of(KINDS), default=PoolKind.SPONSOR)
    size = NumberField(lazy("Seats"), [InputRequired(NEEDED), NumberRange(min=1, message=lazy("At least one."))])
    audience = RadioField(lazy("Kept for"), choices=choices_of(CHOSEN_HERE), default=Audience.ORGANISATION)
    organisation = SelectField(lazy("Organisation"), validate_choice=False)
    email_domain = StringField(lazy("Domain"), [MayBeEmpty(), Regexp(r"\s*[\w-]+(\.[\w-]+)+\s*$", message=DOMAIN)])
    code = StringField(lazy("Code"), [MayBeEmpty(), Regexp(r".{6,64}$", message=lazy("At least six characters."))])
    last_day = DayField(
        lazy("Kept until the end of"),
        [InputRequired(NEEDED)],
        description=lazy("The day in the time zone of the run. Then the unused seats are everyone's."),
    )
    submit = SubmitField(lazy("Save"))

    def offer(self, run: CourseRun, organisations: Sequence[Organisation], pool: SeatPool | None = None) -> None:
        """Fill the selects in the reader's language, and remember the run; a voucher's pool stays its holders'."""
        self.run = run
        if pool is not None and pool.audience == Audience.VOUCHER:
            self.audience.choices = choices_of({Audience.VOUCHER: AUDIENCES[Audience.VOUCHER]})
        named = sorted((str(pick(one, "name")), one.public_id) for one in organisations)
        self.organisation.choices = [choice("", lazy("Choose one")), *(choice(key, name) for name, key in named)]
        self.ids = {one.public_id: one.id for one in organisations}

    def validate_audience(self, field: Field) -> None:
        """What names the audience has to be there."""
        if field.data == Audience.ORGANISATION and text(self.organisation) not in self.ids:
            raise ValidationError(_("Choose the organisation below."))
        if field.data == Audience.EMAIL_DOMAIN and not text(self.email_domain).strip():
            raise ValidationError(_("Enter the domain below."))

    def wish(self) -> PoolWish:
        """The pool as it was filled in; an empty code leaves the one there is."""
        last_day = self.last_day.data
        if last_day is None:
            raise Invalid("day_missing", NEEDED, {"last_day": NEEDED})
        return PoolWish(
            kind=text(self.kind),
            audience=text(self.audience),
            size=self.size.data or 0,
            release_at=run_rules.end_of(last_day, self.run.zone),
            organisation_id=self.ids.get(text(self.organisation)),
            email_domain=text(self.email_domain),
            code=text(self.code).strip() or None,
        )


class WaitingRuleForm(FlaskForm):
    """Who is offered a seat first, and for how long."""

    first = RadioField(lazy("Who is offered a seat first"), choices=choices_of(FIRSTS))
    offer_hours = NumberField(
        lazy("Hours an offer stands"),
        [InputRequired(NEEDED), NumberRange(min=1, max=168, message=lazy("Between 1 and 168."))],
    )
    submit = SubmitField(lazy("Save"))


def values_of(pool: SeatPool) -> dict[str, Any]:
    """A pool as its form shows it."""
    names = ("kind", "size", "audience", "email_domain")
    return {name: getattr(pool, name) for name in names} | {
        "last_day": run_rules.last_day_before(pool.release_at, pool.run.zone),
        "organisation": pool.organisation.public_id if pool.organisation else "",
    }
