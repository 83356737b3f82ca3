"""What staff enter about money that belongs to nothing: that it came at the bank, and what it turned out to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtforms import RadioField, SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from marketplace.foundation.filling import DayField, choice, choices_of, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy
from marketplace.payments import offline_rules
from marketplace.payments.acts import LONGEST_REASON
from marketplace.payments.desk_forms import CurrencyTransferForm, ReasonForm, choices_of_sponsors
from marketplace.payments.models import Purpose
from marketplace.payments.unmatched_models import AnswerKind, Received, Said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.accounts.models import Organisation

LONGEST_NAME = 200


class BankMoneyForm(CurrencyTransferForm):
    """A transfer that fits no order, as the bank shows it."""

    payer_name = StringField(
        lazy("Payer"),
        [InputRequired(lazy("Enter the name of the payer as the bank shows it.")), Length(max=LONGEST_NAME)],
    )
    reason = TextAreaField(
        lazy("Why it fits no order"),
        [InputRequired(lazy("Say why: it is kept with what you do.")), Length(max=LONGEST_REASON)],
        description=lazy("Kept with your name; the learner does not see it."),
    )
    submit = SubmitField(lazy("Record the money"))

    @property
    def received(self) -> Received:
        """What was entered, once it is valid."""
        return Received(self.money, text(self.bank_reference), self.day, text(self.payer_name))


class AnswerForm(ReasonForm):
    """What the money is."""

    kind = RadioField(lazy("What it is"), validators=[InputRequired(lazy("Say what this money is."))])
    order_number = StringField(lazy("Number of the order"), [Optional(), Length(max=40)])
    purpose = SelectField(
        lazy("Paid for"),
        choices=choices_of(
            {Purpose.ORDER: lazy("the order"), Purpose.DEBT: lazy("what is owed beside it for a subsidy")}
        ),
        default=Purpose.ORDER,
    )
    bank_reference = StringField(
        lazy("Reference of what was sent back"), [Optional(), Length(max=offline_rules.LONGEST_REFERENCE)]
    )
    sent_on = DayField(lazy("Day of the transfer"), [Optional()])
    sponsor = SelectField(lazy("Sponsor"), validators=[Optional()])

    def offer(self, kinds: Sequence[AnswerKind], organisations: Sequence[Organisation]) -> None:
        """Fill in what this money can be, and the sponsors there are, in the reader's language."""
        names = kind_names()
        self.ids = {one.public_id: one.id for one in organisations}
        possible = [kind for kind in kinds if kind != AnswerKind.SPONSOR or self.ids]
        self.kind.choices = [choice(kind, names[kind]) for kind in possible]
        self.sponsor.choices = [choice("", "–"), *choices_of_sponsors(organisations)]

    @property
    def said(self) -> Said:
        """What was chosen, once the form is valid."""
        return Said(
            AnswerKind(self.kind.data or ""),
            order_number=text(self.order_number),
            purpose=Purpose(self.purpose.data or Purpose.ORDER),
            bank_reference=text(self.bank_reference),
            sent_on=self.sent_on.data,
            sponsor_id=self.ids.get(text(self.sponsor)),
        )


def kind_names() -> dict[AnswerKind, str]:
    """What money without a fact can turn out to be, in words."""
    return {
        AnswerKind.ORDER: _("It belongs to an order that is due this amount, or is paid already"),
        AnswerKind.RETURNED: _("It was sent back"),
        AnswerKind.SPONSOR: _("A sponsor of vouchers paid it"),
        AnswerKind.OURS: _("It is an income or an expense of the marketplace"),
        AnswerKind.MISTAKE: _("It was entered by mistake and never came"),
    }
