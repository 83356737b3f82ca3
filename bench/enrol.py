"""Orders per second, by the verb and through HTTP, on one hot run and on a thousand, against two floors.

    python -m bench.enrol [--seconds 6]

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
from datetime import timedelta
from multiprocessing import get_context
from urllib.parse import urlencode

from sqlalchemy import text

from bench import stage
from marketplace import embedded_postgres
from marketplace.accounts.models import Organisation, Person
from marketplace.catalog.models import Course, CourseProvider, CourseRun
from marketplace.demo.rows import insert_rows
from marketplace.enrolment import orders
from marketplace.foundation import clock, ids
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.money import Money

RUNS, PEOPLE, CAPACITY = 1000, 40_000, 1_000_000
PRICE = Money(128000, "CNY")
PROCESSES, THREADS = 2, 8
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
        half = len(people) // 2
        for name, runs, buyers in (("one hot run", 1, people[:half]), ("1,000 runs", RUNS, people[half:])):
            floor = pgbench(address, runs, seconds)
            rate = by_verb(address, run_ids[:runs], buyers, seconds)
            ratio = rate / floor
            print(f"{name:12} verb {rate:7.1f} orders/s  floor {floor:7.1f} transactions/s  ratio {ratio:.2f}")
        with stage.served("bench.floor:app", address, 5803) as floor_address:
            turn = itertools.count()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}

            def post() -> stage.Request:
                return "POST", "/order", f"run={next(turn) % RUNS + 1}".encode(), headers

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


def by_verb(address: str, run_ids: list[int], people: list[int], seconds: float) -> float:
    """Orders per second of `orders.place_order` by 2 processes of 8 threads."""
    context = get_context("spawn")
    with context.Pool(PROCESSES) as pool:
        shares = [(address, run_ids, people[number::PROCESSES], seconds) for number in range(PROCESSES)]
        placed = pool.starmap(_place, shares)
    return sum(placed) / seconds


def _place(address: str, run_ids: list[int], people: list[int], seconds: float) -> int:
    app = stage.marketplace_on(address)
    counts = [0] * THREADS

    def run(index: int) -> None:
        with app.app_context():
            for step, person_id in enumerate(people[index::THREADS]):
                if time.monotonic() > end:
                    break
                run_id = run_ids[(step * THREADS + index) % len(run_ids)]
                now, key = clock.now(), ids.public_id()
                orders.place_order(run_id, person_id, shown_price=PRICE, request_key=key, locale="zh", now=now)
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
            query = 'SELECT id FROM person WHERE id NOT IN (SELECT person_id FROM "order") ORDER BY id DESC LIMIT 3000'
            unused = list(db.session.scalars(text(query)))
        people = [db.session.get_one(Person, person_id) for person_id in unused]
    requests = iter([_post(number, *session_of(app, person)) for number, person in enumerate(people)])
    lock = threading.Lock()

    def following() -> stage.Request | None:
        with lock:
            return next(requests, None)

    with stage.served("marketplace:create_app()", address, 5804) as site:
        return stage.crowd(site, following, clients=16, seconds=seconds, wanted=303)


def _post(number: int, cookie: str, token: str) -> stage.Request:
    form = {"csrf_token": token, "request_key": ids.public_id(), "shown_minor": "128000", "shown_currency": "CNY"}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"session={cookie}"}
    return "POST", f"/runs/benchrun{number % RUNS:04}/enrol", urlencode(form).encode(), headers


if __name__ == "__main__":
    main()
