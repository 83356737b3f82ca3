"""What sponsors of vouchers paid of what they owe."""

from __future__ import annotations

from datetime import date

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Organisation
from marketplace.foundation import ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import constraint
from marketplace.foundation.i18n import lazy
from marketplace.payments.desk_models import Proposal


class SponsorPayment(Proposal, Model):
    """A bank transfer of a sponsor, as an officer read it from the bank; above the limit a second one settles it."""

    __tablename__ = "sponsor_payment"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index(
            "uq_sponsor_payment_bank_reference",
            "bank_reference",
            unique=True,
            postgresql_where=text("state <> 'declined'"),
        ),
        Index("ix_sponsor_payment_organisation_id", "organisation_id", "proposed_at"),
        Index("ix_sponsor_payment_waiting", "id", postgresql_where=text("state = 'proposed'")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    bank_reference: Mapped[str] = mapped_column(Text)
    # The day the bank shows.
    received_on: Mapped[date]

    organisation: Mapped[Organisation] = relationship()


constraint("uq_sponsor_payment_bank_reference", lazy("This bank transfer of a sponsor has been entered already."))
