"""Orders per second, by the verb and through HTTP, on one hot run and on a thousand, against two floors.

    python -m bench.enrol [--seconds 6]

The verb is measured on plain orders and on orders that a funding programme and a voucher pay parts of; at the end ten
thousand seats of one run are sold through 64 connections, and counted. Orders of both kinds have been placed before,
and PostgreSQL has counted them (ANALYZE): plans that were made for empty tables are nobody's daily business.

Floor of the verb: pgbench with 16 clients, a transaction that locks a row, counts a seat and writes a row. Floor of
HTTP: a Flask endpoint that does just that, on the same gunicorn.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from urllib.parse import urlencode

import psycopg
from sqlalchemy import select, text

from bench import stage
from marketplace import embedded_postgres
from marketplace.accounts.models import Organisation, Person
from marketplace.catalog.models import Course, CourseProvider, CourseRun
from marketplace.demo.rows import insert_rows
from marketplace.enrolment import orders
from marketplace.enrolment.quotes import NOTHING, Asked
from marketplace.enrolment.subsidising import Agreed
from marketplace.foundation import clock, ids
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.money import Money
from marketplace.funding import programmes, voucher_batches
from marketplace.funding.subsidy_rules import Rule
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_rules import Terms, ValueKind

RUNS, PEOPLE, CAPACITY = 1000, 80_000, 1_000_000
# Of all people: who bought before, for orders with three payers, for the run that sells out, for orders through HTTP.
EARLIER, SOME, CROWD, HTTP_PEOPLE = 5000, 10_000, 11_000, 6000
HOT_SEATS, HOT_CONNECTIONS = 10_000, 64
PRICE = Money(128000, "CNY")
PROCESSES, THREADS = 2, 8
# Before anything is counted: connections plan their statements, and Python its own.
WARM_UP = 2.0
FLOOR_TABLES = """
    CREATE TABLE floor_run (id int PRIMARY KEY, taken int NOT NULL DEFAULT 0);
    CREATE TABLE floor_order (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run_id int NOT NULL);
    INSERT INTO floor_run (id) SELECT generate_series(1, 1000);
"""
FLOOR_SCRIPT = """\\set run random(1, {runs})
BEGIN;
SELECT taken FROM floor_run WHERE id = :run FOR UPDATE;
UPDATE floor_run SET taken = taken + 1 WHERE id = :run;
INSERT INTO floor_order (run_id) VALUES (:run);
COMMIT;
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=6)
    seconds = parser.parse_args().seconds
    with stage.database("bench_enrol") as address:
        run_ids, people = fill(address)
        payers = open_payers(address, people[0])
        kinds = iter(people)
        earlier, paid, many = (list(itertools.islice(kinds, count)) for count in (EARLIER, SOME, CROWD))
        plain = list(kinds)[:-HTTP_PEOPLE]
        half = len(plain) // 2
        buy_before(address, run_ids, earlier, payers)
        for name, runs, buyers in (("one hot run", 1, plain[:half]), ("1,000 runs", RUNS, plain[half:])):
            floor = pgbench(address, runs, seconds)
            rate = by_verb(address, run_ids[:runs], buyers, seconds)
            ratio = rate / floor
            print(f"{name:12} verb {rate:7.1f} orders/s  floor {floor:7.1f} transactions/s  ratio {ratio:.2f}")
        # Everybody uses the same code and the same budget, so the floor is that of one row that everybody wants.
        floor = pgbench(address, 1, seconds)
        rate = by_verb(address, run_ids, paid, seconds, payers=payers)
        print(f"three payers verb {rate:7.1f} orders/s  floor {floor:7.1f} transactions/s  ratio {rate / floor:.2f}")
        sell_out(address, many)
        with stage.served("bench.floor:app", address, 5803) as floor_address:
            turn = itertools.count()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}

            def post() -> stage.Request:
                return "POST", "/order", f"run={next(turn) % RUNS + 1}".encode(), headers

            stage.crowd(floor_address, post, clients=16, seconds=WARM_UP)
            http_floor = stage.crowd(floor_address, post, clients=16, seconds=seconds)
        rate = through_http(address, seconds)
        ratio = rate / http_floor
        print(f"1,000 runs   HTTP {rate:7.1f} orders/s  floor {http_floor:7.1f} requests/s      ratio {ratio:.2f}")


def fill(address: str) -> tuple[list[int], list[int]]:
    """A course with a thousand runs, and people; and the tables of the floors."""
    app = stage.marketplace_on(address)
    now = clock.now()
    with app.app_context():
        with transaction():
            provider = add(Organisation(kind="university", name_zh="大学", name_en="University"))
            course = add(Course(title_zh="课", title_en="Course", state="published", published_at=now))
            add(CourseProvider(course_id=course.id, organisation_id=provider.id))
            runs = insert_rows(CourseRun, [_run(course.id, number) for number in range(RUNS)])
            people = insert_rows(Person, [_person(number) for number in range(PEOPLE)])
            for statement in FLOOR_TABLES.strip().split(";\n"):
                db.session.execute(text(statement))
        db.session.remove()
        db.engine.dispose()
    return runs, people


def _run(course_id: int, number: int) -> dict[str, object]:
    now = clock.now()
    return {
        "course_id": course_id,
        "public_id": f"benchrun{number:04}",
        "state": "scheduled",
        "starts_at": now + timedelta(days=30),
        "ends_at": now + timedelta(days=31),
        "enrol_opens_at": now - timedelta(days=1),
        "enrol_closes_at": now + timedelta(days=29),
        "capacity": CAPACITY,
        "price_minor": PRICE.minor,
    }


def _person(number: int) -> dict[str, object]:
    return {
        "public_id": f"p{number:011}",
        "email": f"p{number}@bench.example",
        "name": "Bench",
        "fs_uniquifier": f"u{number}",
        "confirmed_at": clock.now(),
    }


def pgbench(address: str, runs: int, seconds: float) -> float:
    """Transactions per second of the floor's script by 16 clients."""
    script = stage.HOME / "floor.sql"
    script.write_text(FLOOR_SCRIPT.format(runs=runs))
    program = str(embedded_postgres.binaries() / "pgbench")
    options = [
        "--no-vacuum",
        "--client=16",
        "--jobs=2",
        f"--time={max(2, round(seconds))}",
        f"--file={script}",
        address,
    ]
    done = subprocess.run([program, *options], check=True, capture_output=True, text=True)
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if found is None:
        raise RuntimeError(done.stdout)
    return float(found[1])


@dataclass(frozen=True)
class Payers:
    """Who pays parts of an order: the code of a voucher, a programme's public id, and what is left for the buyer."""

    code: str
    programme: str
    due: Money


def open_payers(address: str, officer_id: int) -> Payers:
    """A programme that pays half of any seat and a code of many uses that pays CNY 100, with money for all."""
    app, now = stage.marketplace_on(address), clock.now()
    frame = {
        "name_zh": "资助",
        "name_en": "Grant",
        "funder_zh": "区",
        "funder_en": "District",
        "applications_from": now.date() - timedelta(days=1),
        "applications_until": now.date() + timedelta(days=30),
    }
    terms = Terms(ValueKind.AMOUNT, "CNY", amount=10_000, use_cap=EARLIER + SOME, money_cap=10_000 * (EARLIER + SOME))
    with app.app_context():
        with transaction():
            made = programmes.create(frame, currency="CNY", actor_id=officer_id, now=now)
            budget = Money(PRICE.minor * (EARLIER + SOME), "CNY")
            programmes.deposit(made.id, budget, reference="bench", actor_id=officer_id, now=now)
            programmes.write_draft(made.id, Rule(percent=50), actor_id=officer_id, now=now)
            programmes.publish_draft(made.id, actor_id=officer_id, now=now)
            batch = voucher_batches.issue(NewBatch("Bench", terms), actor_id=officer_id, now=now)
            [voucher] = voucher_batches.list_vouchers(batch.id)
        payers = Payers(voucher_batches.code_of(voucher), made.public_id, Money(PRICE.minor // 2 - 10_000, "CNY"))
        db.session.remove()
        db.engine.dispose()
    return payers


def buy_before(address: str, run_ids: list[int], people: list[int], payers: Payers) -> None:
    """An order for each of these people, half of them with three payers; then let PostgreSQL count the rows."""
    half = len(people) // 2
    for buyers, who_pays in ((people[:half], payers), (people[half:], None)):
        by_verb(address, run_ids, buyers, 600, payers=who_pays)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def sell_out(address: str, people: list[int]) -> None:
    """Sell ten thousand seats of one run through 64 connections to more people than that, and print what came of it.

    Whatever else than a refusal happens, a deadlock say, is raised.
    """
    app = stage.marketplace_on(address, database_pool=HOT_CONNECTIONS)
    with app.app_context():
        with transaction():
            course_id = db.session.scalars(select(Course.id)).first()
            values = _run(int(course_id or 0), RUNS) | {"public_id": "benchhotrun0", "capacity": HOT_SEATS}
            [run_id] = insert_rows(CourseRun, [values])
        db.session.remove()
    turn, outcomes = iter(people), Counter[str]()

    def buy() -> None:
        with app.app_context():
            # `next` of an iterator over a list is one step of the interpreter: threads share it.
            for person_id in turn:
                try:
                    key = ids.public_id()
                    orders.place(run_id, person_id, shown_price=PRICE, request_key=key, locale="zh", now=clock.now())
                except Refused as refusal:
                    outcomes[refusal.code] += 1
                else:
                    outcomes["sold"] += 1
                db.session.remove()

    started = time.monotonic()
    with ThreadPoolExecutor(HOT_CONNECTIONS) as pool:
        for done in [pool.submit(buy) for _ in range(HOT_CONNECTIONS)]:
            done.result()
    took = time.monotonic() - started
    with app.app_context():
        taken = db.session.scalar(select(CourseRun.seats_taken).where(CourseRun.id == run_id))
        db.session.remove()
        db.engine.dispose()
    print(f"{HOT_SEATS} seats  {HOT_CONNECTIONS} connections: {dict(outcomes)}, {taken} counted, {took:.1f} s")


def by_verb(
    address: str, run_ids: list[int], people: list[int], seconds: float, *, payers: Payers | None = None
) -> float:
    """Orders per second of `orders.place` by 2 processes of 8 threads; with `payers` they pay their parts."""
    context = get_context("spawn")
    with context.Pool(PROCESSES) as pool:
        shares = [(address, run_ids, people[number::PROCESSES], seconds, payers) for number in range(PROCESSES)]
        placed = pool.starmap(_place, shares)
    return sum(placed) / seconds


def _place(address: str, run_ids: list[int], people: list[int], seconds: float, payers: Payers | None) -> int:
    app = stage.marketplace_on(address)
    asked = NOTHING
    if payers is not None:
        agreed = Agreed(1, is_given=True)
        asked = Asked(payers.code, payers.programme, agreed=agreed, shown_due=payers.due)
    counts = [0] * THREADS

    def run(index: int) -> None:
        with app.app_context():
            for step, person_id in enumerate(people[index::THREADS]):
                if time.monotonic() > end:
                    break
                run_id = run_ids[(step * THREADS + index) % len(run_ids)]
                now, key = clock.now(), ids.public_id()
                orders.place(run_id, person_id, shown_price=PRICE, request_key=key, locale="zh", now=now, asked=asked)
                db.session.remove()
                counts[index] += 1

    end = time.monotonic() + seconds
    threads = [threading.Thread(target=run, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def through_http(address: str, seconds: float) -> float:
    """Orders per second posted to the enrol page by 16 connections, each person once, over a thousand runs."""
    from tests.factories import session_of  # noqa: PLC0415 - signing people in without a page is the tests' business

    app = stage.marketplace_on(address)
    with app.app_context():
        with transaction():
            unused_ids = 'SELECT id FROM person WHERE id NOT IN (SELECT person_id FROM "order")'
            query = f"{unused_ids} ORDER BY id DESC LIMIT {HTTP_PEOPLE}"
            unused = list(db.session.scalars(text(query)))
        people = [db.session.get_one(Person, person_id) for person_id in unused]
    requests = iter([_post(number, *session_of(app, person)) for number, person in enumerate(people)])
    lock = threading.Lock()

    def following() -> stage.Request | None:
        with lock:
            return next(requests, None)

    with stage.served("marketplace:served()", address, 5804) as site:
        stage.crowd(site, following, clients=16, seconds=WARM_UP, wanted=303)
        return stage.crowd(site, following, clients=16, seconds=seconds, wanted=303)


def _post(number: int, cookie: str, token: str) -> stage.Request:
    form = {"csrf_token": token, "request_key": ids.public_id(), "shown_minor": "128000", "shown_currency": "CNY"}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"session={cookie}"}
    return "POST", f"/runs/benchrun{number % RUNS:04}/enrol", urlencode(form).encode(), headers


if __name__ == "__main__":
    main()
