"""The demo's 400 practitioners, and the accounts one can look around with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from marketplace.accounts import passwords
from marketplace.accounts.models import Membership, Organisation, Person, StaffAppointment
from marketplace.accounts.regions import DISTRICTS, REGIONS, SHANGHAI
from marketplace.demo import content_files
from marketplace.demo.chance import public_id, seeded
from marketplace.demo.rows import insert_rows
from marketplace.foundation.database import add

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

PEOPLE = 400
# Before the first run of the demo opened.
REGISTERED_BEFORE = timedelta(days=820)
# Public, as these accounts are for looking around: production refuses a database that holds them.
PASSWORD = "lantern-ferry-courtyard"  # noqa: S105 - public on purpose
DOMAIN = "demo.example"


@dataclass(frozen=True)
class Account:
    """One account to look around with, and what it may do."""

    name: str
    role: str
    name_zh: str
    name_en: str

    @property
    def email(self) -> str:
        """Its address."""
        return f"{self.name}@{DOMAIN}"


EMPLOYER = Account("employer", "employer:owner", "何雅琳", "sends people to courses, sees who takes part")
ACCOUNTS = (
    Account("learner", "", "沈知夏", "takes seats, pays, learns"),
    Account("editor", "member:editor", "陆文博", "edits the courses of Chengjiang University"),
    Account("registrar", "member:registrar", "顾静怡", "keeps rosters and registers of Chengjiang University"),
    Account("instructor", "member:instructor", "钱伯言", "teaches at Chengjiang University"),
    Account("funding", "staff:funding_officer", "傅念慈", "keeps funding programmes, claims what was earned"),
    EMPLOYER,
    Account("finance", "staff:finance_officer", "唐丽华", "sees payments, gives money back"),
    Account("analyst", "staff:analyst", "许书恒", "reads the figures"),
    Account("administrator", "staff:administrator", "袁云舟", "may do everything"),
)
EMPLOYER_OF_ACCOUNTS = "chengjiang"


def load_accounts(organisations: dict[str, Organisation], *, now: datetime) -> Person:
    """Insert the accounts of ACCOUNTS; the learner is given back. Call inside a transaction."""
    hashed = passwords.hashed(PASSWORD, name="", email="")
    made = {}
    for account in ACCOUNTS:
        person = add(
            Person(
                email=account.email,
                name=account.name_zh,
                password=hashed,
                confirmed_at=now - REGISTERED_BEFORE,
                is_demo=True,
                created_at=now - REGISTERED_BEFORE,
                region=SHANGHAI,
                # A grant for practitioners pays for them: the one to look around with can see what it is like.
                industry_code="8850" if account.name == "learner" else None,
            )
        )
        kind, _separator, role = account.role.partition(":")
        if kind == "member":
            add(Membership(person_id=person.id, organisation_id=organisations[EMPLOYER_OF_ACCOUNTS].id, role=role))
        elif kind == "staff":
            add(StaffAppointment(person_id=person.id, role=role))
        made[account.name] = person
    return made["learner"]


def load_people(*, now: datetime) -> list[int]:
    """Insert the practitioners, who cannot sign in; their ids. Call inside a transaction."""
    chance, content = seeded("people"), content_files.read("people")
    return insert_rows(Person, [_person(index, content, chance, now) for index in range(PEOPLE)])


def _person(index: int, content: dict[str, Any], chance: Random, now: datetime) -> dict[str, Any]:
    is_foreign = chance.random() < 0.06  # noqa: PLR2004 - about one in sixteen
    if is_foreign:
        name = chance.choice(content["foreign_names"])
        latin = name.lower().replace(" ", ".")
    else:
        surname, surname_latin = chance.choice(content["surnames"]).split()
        given, given_latin = chance.choice(content["given_names"]).split()
        name, latin = surname + given, f"{given_latin}.{surname_latin}".lower()
    trades = content["occupation"]
    trade = chance.choices(trades, [row["weight"] for row in trades])[0]
    bands = content["experience"]
    registered = now - REGISTERED_BEFORE
    # Not everyone says everything: optional fields are optional.
    says = [chance.random() < share for share in (0.9, 0.8, 0.85, 0.7, 0.75)]
    is_local = chance.random() < 0.84  # noqa: PLR2004 - most live in the city
    region = SHANGHAI if is_local else chance.choice(sorted(REGIONS))
    return {
        "public_id": public_id(chance),
        "email": f"{latin}.{index}@people.{DOMAIN}",
        "name": name,
        "locale": "en" if is_foreign else "zh",
        "time_zone": "Asia/Shanghai",
        "confirmed_at": registered,
        "password": None,
        "active": True,
        "fs_uniquifier": public_id(chance),
        "region": region if says[0] else None,
        "district": chance.choice(sorted(DISTRICTS)) if says[0] and says[1] and region == SHANGHAI else None,
        "industry_code": trade["industry"] if says[2] else None,
        "occupation": chance.choice(trade["titles"]) if says[3] else None,
        "employer": chance.choice(trade["employers"]) if says[4] else None,
        "experience_band": chance.choices(list(bands), list(bands.values()))[0] if says[3] else None,
        "is_demo": True,
        "created_at": registered,
    }
