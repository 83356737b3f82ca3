"""The stage of the benchmarks: a durable PostgreSQL of their own, servers under gunicorn, and a crowd of clients.

Everything runs on one machine, clients included, so only ratios between figures of one run mean anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
from flask import Flask
from flask_migrate import upgrade

from config import Settings
from marketplace import create_app, embedded_postgres
from marketplace.foundation.database import db

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "var" / "bench"
SECRET = "a-secret-of-the-benchmarks-0123456789"  # noqa: S105 - it opens nothing
Request = tuple[str, str, bytes | None, dict[str, str]]


@contextmanager
def database(name: str) -> Iterator[str]:
    """The address of a new, migrated database, on a server that keeps every promise of durability."""
    server = embedded_postgres.start(HOME / "postgres").rpartition("/")[0]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield f"{server}/{name}"
    finally:
        embedded_postgres.stop(HOME / "postgres")


def marketplace_on(address: str, **changes: int) -> Flask:
    """The marketplace over a database that it migrates; `changes` to its settings."""
    settings = Settings(
        database_url=address.replace("postgresql://", "postgresql+psycopg://"),
        secret_key=SECRET,
        stripe_api_base="http://127.0.0.1:9",
        media_dir=HOME,
        mail_preview_dir=HOME,
        **changes,
    )
    app = create_app(settings)
    with app.app_context():
        upgrade()
        db.engine.dispose()
    return app


@contextmanager
def served(target: str, address: str, port: int) -> Iterator[str]:
    """A WSGI target under the same gunicorn as `bin/serve` uses: 2 workers of 4 threads."""
    environment = os.environ | {"DATABASE_URL": address, "SECRET_KEY": SECRET, "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    command = [sys.executable, "-m", "gunicorn", "--worker-class=gthread", "--workers=2", "--threads=4", "--preload"]
    with (HOME / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--bind=127.0.0.1:{port}", "--keep-alive=30", "--log-level=warning", target],
            env=environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError((HOME / "server.log").read_text()[-2000:])


def processor_seconds() -> float:
    """What this process, its servers and the database's processes have used so far: other work on the machine aside."""
    me = psutil.Process()
    ours = {me.pid: me} | {process.pid: process for process in me.children(recursive=True)}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or [""]
        if words[0].startswith("postgres") and "bench_" in words[0]:
            ours[process.pid] = process
    used = 0.0
    for process in ours.values():
        with suppress(psutil.Error):
            times = process.cpu_times()
            used += times.user + times.system
    return used


def crowd(
    address: str, next_request: Callable[[], Request | None], *, clients: int, seconds: float, wanted: int = 200
) -> float:
    """Requests per second that so many clients got answered with the wanted status; any other status is an error."""
    counts = [0] * clients
    faults: list[str] = []
    end = time.monotonic() + seconds

    def run(index: int) -> None:
        connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
        while time.monotonic() < end and not faults:
            request = next_request()
            if request is None:
                return
            method, path, body, headers = request
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                text = answer.read()
            except (ConnectionError, HTTPException):
                # The server closed an idle connection in this very moment; browsers try again as well.
                connection.close()
                continue
            if answer.status != wanted:
                faults.append(f"{method} {path}: {answer.status} {text[:300]!r}")
            counts[index] += 1

    started = time.monotonic()
    threads = [threading.Thread(target=run, args=(index,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise RuntimeError(faults[0])
    return sum(counts) / (time.monotonic() - started)
