"""The demo's employer sends people to courses and sees those who let it; and what the demo's accounts agreed to."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from marketplace.accounts import consents
from marketplace.accounts.agreements import SHARING
from marketplace.accounts.models import MemberRole, Membership, Organisation, OrganisationKind, Person
from marketplace.demo.chance import public_id, seeded
from marketplace.demo.population import ACCOUNTS, EMPLOYER, REGISTERED_BEFORE
from marketplace.enrolment.models import Enrolment
from marketplace.foundation.database import add, db

if TYPE_CHECKING:
    from datetime import datetime

SENT = 8
JOINED_BEFORE = timedelta(days=200)


def write_employer(learner_id: int, *, now: datetime) -> None:
    """Insert an employer with its owner, the learner and some of the 400; every other one shares. In a transaction."""
    chance = seeded("employer")
    employer = add(
        Organisation(
            public_id=public_id(chance),
            kind=OrganisationKind.EMPLOYER,
            name_zh="浦江动画工作室",
            name_en="Pujiang Animation Studio",
            summary_zh="一家虚构的动画公司，送员工参加数字技能培训。",
            summary_en="An invented animation company that sends its people to courses in digital skills.",
            city_zh="上海",
            city_en="Shanghai",
            is_demo=True,
            created_at=now - REGISTERED_BEFORE,
        )
    )
    _agree(now)
    owner = db.session.scalars(select(Person.id).filter_by(email=EMPLOYER.email)).one()
    trained = select(Enrolment.person_id).where(Enrolment.ended_at.is_(None)).distinct().order_by(Enrolment.person_id)
    others = [one for one in db.session.scalars(trained).all() if one not in {learner_id, owner}]
    add(Membership(person_id=owner, organisation_id=employer.id, role=MemberRole.OWNER, created_at=now - JOINED_BEFORE))
    for number, person_id in enumerate([learner_id, *chance.sample(others, SENT)]):
        joined = now - JOINED_BEFORE + timedelta(days=number)
        add(Membership(person_id=person_id, organisation_id=employer.id, role=MemberRole.LEARNER, created_at=joined))
        if number % 2 == 0:
            of = employer.id
            consents.give(person_id, SHARING, act="account_page", language="zh", now=joined, organisation_id=of)


def _agree(now: datetime) -> None:
    """What each account to look around with agreed to when it was made."""
    query = select(Person.id).where(Person.email.in_([account.email for account in ACCOUNTS])).order_by(Person.id)
    for person_id in db.session.scalars(query).all():
        consents.register(person_id, language="zh", now=now - REGISTERED_BEFORE)
