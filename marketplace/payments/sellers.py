"""Where a seller is set up: who invoices say has sold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import exists, select

from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy
from marketplace.payments.fapiao import checked_tax_number
from marketplace.payments.invoice_models import Invoice, Seller

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = ("name_zh", "name_en", "address_zh", "address_en", "prefix")


def save(organisation_id: int | None, values: Mapping[str, str]) -> Seller:
    """Set up or change the seller of an organisation, or of the programme itself (None).

    Issued documents keep what they were issued with. Raises Invalid for a wrong credit code, or for another prefix
    after a number was given.
    """
    tax_number = checked_tax_number(values["tax_number"])
    with transaction():
        seller = find(organisation_id)
        if seller is None:
            given = {name: values[name] for name in FIELDS}
            return add(Seller(organisation_id=organisation_id, tax_number=tax_number, **given))
        if values["prefix"] != seller.prefix and db.session.scalar(
            select(exists().where(Invoice.seller_id == seller.id))
        ):
            sentence = lazy("Cannot be changed once a number was given.")
            raise Invalid("prefix_used", sentence, {"prefix": sentence})
        for name in FIELDS:
            setattr(seller, name, values[name])
        seller.tax_number = tax_number
        return seller


def find(organisation_id: int | None) -> Seller | None:
    """The seller of an organisation, or the programme (None), where it is set up."""
    return db.session.scalars(select(Seller).filter_by(organisation_id=organisation_id)).one_or_none()
