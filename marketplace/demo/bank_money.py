"""A transfer of the demo that fits no order by ten fen, and waits for staff to say what it is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from marketplace.accounts.models import Person
from marketplace.demo.population import DOMAIN
from marketplace.foundation import bank_days
from marketplace.foundation.database import db
from marketplace.foundation.money import Money
from marketplace.payments import unmatched
from marketplace.payments.unmatched import Received

if TYPE_CHECKING:
    from datetime import datetime

REASON = "（演示）比应付金额多一角 / (Demo) Ten fen more than any order is due"


def write_bank_money(*, now: datetime) -> None:
    """Record the transfer, two days ago. Call inside a transaction."""
    moment = now - timedelta(days=2)
    officer_id = db.session.scalars(select(Person.id).where(Person.email == f"finance@{DOMAIN}")).one()
    received = Received(Money(128010, "CNY"), "DEMO-20771", bank_days.day_of(moment), "滇池旅行社有限公司")
    unmatched.record(received, reason=REASON, actor_id=officer_id, now=moment)
