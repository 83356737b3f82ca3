"""Pages per second: course list, search and course page, signed out, against the floor of one query and one template.

python -m bench.pages [--courses 2000] [--seconds 8]
"""

from __future__ import annotations

import argparse
import itertools
import time

from sqlalchemy import text

from bench import stage
from marketplace.catalog import search
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.models import Course, CourseProvider, CourseRun, CourseSkill
from marketplace.demo import loading
from marketplace.foundation import clock
from marketplace.foundation.database import Base, db, transaction

WORDS = ("设计", "游戏", "museum", "数字 档案", "interaction", "动画", "data", "声音")
# More courses are copies of the demo's sixty, with their providers, skills and runs, each under an id of its own:
# words, facets and dates stay as rare as in the demo, and courses of all fields were published side by side.
# `source_key` leads from a copy to what it was copied from.
OWN = {"id", "public_id", "course_id", "source", "source_key"}
COPIES = "(SELECT id AS copy_id, split_part(source_key, '-', 1)::bigint AS first_id FROM course WHERE source = 'bench')"


def copying(model: type[Base], changed: dict[str, str]) -> str:
    """The statement that copies the rows of all first courses to their copies; `changed` columns are computed."""
    table = model.__tablename__
    same = [
        column.name
        for column in model.__table__.columns
        if column.name not in OWN | set(changed) and not column.computed
    ]
    names, values = ", ".join([*changed, *same]), ", ".join([*changed.values(), *same])
    if model is Course:
        return f"INSERT INTO course ({names}) SELECT {values} FROM course, generate_series(1, :copies) AS copy"
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} JOIN {COPIES} AS copies ON first_id = course_id"


STATEMENTS = (
    copying(
        Course,
        {
            "public_id": "substr(md5(course.id || '-' || copy), 1, 12)",
            "title_zh": "title_zh || copy",
            "title_en": "title_en || ' ' || copy",
            "source": "'bench'",
            "source_key": "course.id || '-' || copy",
            "published_at": "published_at - make_interval(hours => copy * 7)",
        },
    ),
    copying(
        CourseEntry,
        {"course_id": "copy_id", "published_at": "(SELECT published_at FROM course WHERE course.id = copy_id)"},
    ),
    copying(CourseProvider, {"course_id": "copy_id", "organisation_id": "organisation_id"}),
    copying(CourseSkill, {"course_id": "copy_id"}),
    copying(CourseRun, {"course_id": "copy_id", "public_id": "substr(md5(course_run.id || '-' || copy_id), 1, 12)"}),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--courses", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=8)
    given = parser.parse_args()
    with stage.database("bench_pages") as address:
        course_id = fill(address, given.courses)
        pages = {
            "course list": ["/courses"],
            "search": [f"/courses?q={quoted}" for quoted in map(_quoted, WORDS)],
            "course page": [f"/courses/{course_id}"],
        }
        floors = {}
        with stage.served("bench.floor:app", address, 5801) as floor:
            for clients in (1, 16):
                floors[clients] = measure(floor, [f"/page/{course_id}"], clients, given.seconds)
        print(f"{given.courses} courses; floor: {floors[1][0]:.0f} pages/s by 1 client, {floors[16][0]:.0f} by 16")
        with stage.served("marketplace:served()", address, 5802) as site:
            for name, paths in pages.items():
                for clients in (1, 16):
                    rate, cost = measure(site, paths, clients, given.seconds)
                    by_time, by_processor = rate / floors[clients][0], floors[clients][1] / cost
                    print(
                        f"{name:12} {clients:2} clients {rate:7.1f} pages/s  ratio {by_time:.2f},"
                        f" by processor time {by_processor:.2f}"
                    )


def fill(address: str, courses: int) -> str:
    """The demo and copies of it; the public id of one course. Prints the median time of a search in the database."""
    app = stage.marketplace_on(address)
    with app.app_context():
        loading.load(now=clock.now())
        with transaction():
            # Without triggers and checks of keys: copies of good rows are good.
            db.session.execute(text("SET LOCAL statement_timeout = 0; SET LOCAL session_replication_role = replica"))
            db.session.execute(text(STATEMENTS[0]), {"copies": max(0, courses // 60 - 1)})
            for statement in STATEMENTS[1:]:
                db.session.execute(text(statement))
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        times = sorted(_timed_search(word) for word in WORDS * 5)
        print(f"search with counts, in the process: p50 {times[len(times) // 2]:.1f} ms, worst {times[-1]:.1f} ms")
        chosen = db.session.scalar(
            text("SELECT course.public_id FROM course JOIN course_run ON course_id = course.id LIMIT 1")
        )
        db.session.remove()
        db.engine.dispose()
        return str(chosen)


def _timed_search(word: str) -> float:
    started = time.perf_counter()
    search.find_courses(search.Wish(words=word, order="relevance"), now=clock.now())
    db.session.expunge_all()
    return (time.perf_counter() - started) * 1000


def measure(address: str, paths: list[str], clients: int, seconds: float) -> tuple[float, float]:
    """Pages per second over these addresses in turn, after a second of warming up, and processor seconds a page.

    The second figure counts clients, servers and database, and holds while other work takes the machine's time.
    """
    turn = itertools.cycle(paths)

    def get() -> stage.Request:
        return "GET", next(turn), None, {"Accept-Language": "zh"}

    stage.crowd(address, get, clients=clients, seconds=1)
    before, started = stage.processor_seconds(), time.monotonic()
    rate = stage.crowd(address, get, clients=clients, seconds=seconds)
    pages = rate * (time.monotonic() - started)
    return rate, (stage.processor_seconds() - before) / pages


def _quoted(words: str) -> str:
    return "".join(f"%{byte:02X}" for byte in words.encode())


if __name__ == "__main__":
    main()
