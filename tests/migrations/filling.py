"""Rows for any table, found out by asking the database: its columns, keys and checks.

Values are drawn at random among those the checks name and a few plain ones until the table takes a row, so a table that
a new migration brings needs nothing here. One whose rules are too narrow to be met by chance gets a row in BY_HAND.
"""

from __future__ import annotations

import random
import re
from collections.abc import Container
from datetime import UTC, datetime, timedelta

from psycopg import Connection, Error, sql
from psycopg.types.json import Jsonb

TRIES = 1000
# Rows that chance does not find, by table: only the columns that matter.
BY_HAND: dict[str, dict[str, object]] = {}
# Rows that must sum to zero with others: each is written with its opposite.
PAIRED = {"ledger_entry": "amount_minor"}
COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable = 'YES', is_identity = 'YES' OR is_generated = 'ALWAYS'
       OR column_default LIKE 'nextval%'
  FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position
"""
KEYS = """
SELECT attribute.attname, target.relname FROM pg_constraint
  JOIN pg_class target ON target.oid = confrelid
  JOIN pg_attribute attribute ON attribute.attrelid = conrelid AND attribute.attnum = conkey[1]
 WHERE contype = 'f' AND conrelid = %s::regclass
"""
CHECKS = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass"
TABLES = """
SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE nspname = 'public' AND relkind = 'r' AND relname !~ '^(procrastinate_|alembic_version$)'
"""


def fill(connection: Connection, seed: int, shapes: dict[str, object]) -> dict[str, int]:
    """Add a row to every table of ours that is new or has other columns than `shapes` says, and note its columns there.

    Returns the rows each table holds now. LookupError names what stayed empty.
    """
    chance = random.Random(seed)
    present = _shapes(connection)
    waiting = {table for table in present if shapes.get(table) != present[table]}
    while waiting:
        done = {table for table in sorted(waiting) if _try_row(connection, table, present[table], chance)}
        if not done:
            break
        waiting -= done
    shapes.update(present)
    counted = count_rows(connection)
    if empty := [table for table, count in counted.items() if not count]:
        raise LookupError(f"no row could be made for {empty}: say in BY_HAND what its rules want")
    return counted


def count_rows(connection: Connection) -> dict[str, int]:
    """How many rows each table of ours holds, by one question for all."""
    tables = sorted(row[0] for row in connection.execute(TABLES))
    one = sql.SQL("SELECT {}, count(*) FROM {}")
    each = [one.format(sql.Literal(table), sql.Identifier(table)) for table in tables]
    return dict(connection.execute(sql.SQL(" UNION ALL ").join(each)).fetchall()) if each else {}


def _shapes(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """The columns of each table of ours: name, kind, whether it may be empty, whether the database gives it."""
    found: dict[str, list[tuple[object, ...]]] = {row[0]: [] for row in connection.execute(TABLES)}
    for table, *column in connection.execute(COLUMNS):
        if table in found:
            found[table].append(tuple(column))
    return found


def _try_row(connection: Connection, table: str, shape: list[tuple[object, ...]], chance: random.Random) -> bool:
    """Whether a row was added; False also when a row it points to does not exist yet."""
    columns = [row for row in shape if not row[3]]
    keys = dict(connection.execute(KEYS, [f'"{table}"']).fetchall())
    checks = dict(connection.execute(CHECKS, [f'"{table}"']).fetchall())
    pointed = {column: _ids(connection, target) for column, target in keys.items()}
    if any(not pointed[name] and not is_nullable for name, _, is_nullable, _ in columns if name in pointed):
        return False

    def draw(names: Container[str]) -> dict[str, object]:
        drawn = {}
        for name, kind, is_nullable, _ in columns:
            if name not in pointed and name.endswith("_id") and kind == "bigint" and is_nullable:
                # A number of a room above, which a later migration may make a key: no row has it yet.
                drawn[name] = None
                continue
            choices = pointed[name] if name in pointed else _choices(name, kind, list(checks.values()), chance)
            drawn[name] = chance.choice([*choices, *choices, None] if is_nullable else choices)
        return {name: value for name, value in drawn.items() if name in names} | BY_HAND.get(table, {})

    every = {row[0] for row in columns}
    values = draw(every)
    for attempt in range(TRIES):
        refusal = _insert(connection, table, values)
        if refusal is None:
            return True
        # What a check speaks of is drawn again, the rest may be right; now and then everything is.
        broken = checks.get(refusal, "")
        named = {name for name in every if re.search(rf"\b{name}\b", broken)}
        values |= draw(named if named and attempt % 25 else every)
    return False


def _ids(connection: Connection, table: str) -> list[object]:
    """What keys to the table may hold: the first column of its rows."""
    query = sql.SQL("SELECT * FROM {} LIMIT 20").format(sql.Identifier(table))
    return [row[0] for row in connection.execute(query)]


def _choices(name: str, kind: str, checks: list[str], chance: random.Random) -> list[object]:
    named = [
        word for check in checks if re.search(rf"\b{name}\b", check) for word in re.findall(r"'([^']*)'::text", check)
    ]
    drawn = f"{chance.getrandbits(60):012x}"
    if kind in {"text", "character varying"}:
        return [*named, *named, drawn, f"{drawn}@example.com", "", "CNY", "zh"]
    if kind in {"bigint", "integer", "smallint"}:
        return [0, 1, 1, 2, chance.randrange(3, 100), 2026]
    if kind == "boolean":
        return [True, False]
    if kind.startswith("timestamp"):
        return [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=chance.randrange(5)) for _ in range(2)]
    if kind == "date":
        return [datetime(2026, 3, 1 + chance.randrange(5), tzinfo=UTC).date()]
    return _rarer_choices(kind, drawn)


def _rarer_choices(kind: str, drawn: str) -> list[object]:
    rarer: dict[str, list[object]] = {
        "jsonb": [Jsonb({}), Jsonb([])],
        "json": [Jsonb({})],
        "bytea": [drawn.encode()],
        "ARRAY": [[]],
        "numeric": [1],
        "double precision": [0.5],
        "real": [0.5],
        "interval": [timedelta(hours=1)],
        "tsvector": ["word"],
    }
    return rarer.get(kind, [None])


def _insert(connection: Connection, table: str, values: dict[str, object]) -> str | None:
    """None when the row was taken, else the name of the constraint that refused it (or an empty text)."""
    names = sql.SQL(", ").join(map(sql.Identifier, values))
    places = sql.SQL(", ").join([sql.Placeholder()] * len(values))
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), names, places)
    try:
        # Its end is a commit, so that what is checked last speaks here too.
        with connection.transaction():
            connection.execute(statement, list(values.values()))
            if table in PAIRED:
                opposite = {PAIRED[table]: -values[PAIRED[table]]}
                connection.execute(statement, list((values | opposite).values()))
    except Error as error:
        return error.diag.constraint_name or ""
    return None
