"""A real PostgreSQL for every test: one migrated template, one outer transaction a test, real copies for races."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from flask_migrate import upgrade
from psycopg import sql
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from config import Settings
from marketplace import create_app, embedded_postgres
from marketplace.foundation import clock, keeping
from marketplace.foundation.database import db
from tests.inbox import Inbox, open_inbox
from tests.live import Marketplace

# How long a machine takes says nothing about what it found.
hypothesis.settings.register_profile("ours", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("ours")
ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = Path(os.environ.get("MARKETPLACE_SHARED_DATA", ROOT.parent / "shared" / "data"))


def cluster_home() -> Path:
    """In memory where there is such a place: tests need no durability, and the other users of /dev/shm no root."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own in it, made 0711 below
    base = memory if memory.is_dir() else ROOT / "var"
    return base / f"marketplace-test-{os.getpid()}"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a PostgreSQL where databases can be made, without a database name."""
    given = os.environ.get("TEST_DATABASE_SERVER")
    if given:
        yield given.rstrip("/")
        return
    home = cluster_home()
    home.mkdir(mode=0o711, parents=True)
    try:
        yield embedded_postgres.start(home, is_durable=False).rpartition("/")[0]
    finally:
        embedded_postgres.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def run_sql(server: str, statement: str, *names: str) -> None:
    """Run one statement about databases, outside a transaction."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))


def settings_for(address: str, folder: Path, **changes: object) -> Settings:
    """Settings of a test's application."""
    values: dict[str, object] = {
        "database_url": address.replace("postgresql://", "postgresql+psycopg://"),
        "environment": "test",
        "public_url": "http://localhost",
        "media_dir": folder / "media",
        "mail_preview_dir": folder / "mail",
    }
    return Settings(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def template(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a migrated, empty database that others are copied from."""
    name = f"template_{secrets.token_hex(4)}"
    run_sql(server, "CREATE DATABASE {}", name)
    app = create_app(settings_for(f"{server}/{name}", tmp_path_factory.mktemp("template")))
    with app.app_context():
        upgrade()
        db.engine.dispose()
    yield name
    run_sql(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture(scope="session")
def make_database(server: str, template: str) -> Iterator[object]:
    """A function that copies the template and gives the copy's address."""
    made: list[str] = []

    def make() -> str:
        name = f"copy_{secrets.token_hex(4)}"
        run_sql(server, "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
        made.append(name)
        return f"{server}/{name}"

    yield make
    for name in made:
        run_sql(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture(scope="session")
def shared_app(make_database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:  # type: ignore[no-untyped-def]
    """One application for all tests that live in an outer transaction."""
    app = create_app(
        settings_for(make_database(), tmp_path_factory.mktemp("app"), stripe_api_base="http://127.0.0.1:9")
    )
    app.config["WTF_CSRF_ENABLED"] = False
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(shared_app: Flask) -> Iterator[Flask]:
    """The application inside one transaction that is rolled back; what the test commits are savepoints of it."""
    with shared_app.app_context(), in_one_transaction():
        yield shared_app


@contextmanager
def in_one_transaction() -> Iterator[None]:
    """Everything inside, also what it commits, is undone at the end; inside an application context."""
    keeping.forget_all()
    connection = db.engine.connect()
    outer = connection.begin()
    registry = db.session
    db.session = db._make_scoped_session(
        {"class_": _BoundSession, "bind": connection, "join_transaction_mode": "create_savepoint"}
        | {"expire_on_commit": False, "scopefunc": lambda: 0}
    )
    try:
        yield
    finally:
        db.session.remove()
        db.session = registry
        outer.rollback()
        connection.close()
        clock.reset()


class _BoundSession(Session):
    """A session on the test's one connection; requests inside the test share it."""

    def __init__(self, db: object = None, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]


class _Browser(FlaskClient):
    """Each request starts with an empty `g`: the test's application context would hand on who was signed in."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        for name in list(g):
            g.pop(name)
        return super().open(*args, **options)


@pytest.fixture
def queries(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements sent while a test runs, past the ORM or through it, savepoints aside."""
    sent: list[str] = []
    execute = psycopg.Cursor.execute

    def note(cursor: Any, statement: Any, *rest: Any, **options: Any) -> Any:
        if not str(statement).startswith(("SAVEPOINT", "RELEASE")):
            sent.append(str(statement))
        return execute(cursor, statement, *rest, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", note)
    return sent


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without a window."""
    app.test_client_class = _Browser
    return app.test_client()


@pytest.fixture
def race_app(make_database, tmp_path: Path) -> Iterator[Flask]:  # type: ignore[no-untyped-def]
    """An application on a database of its own, where every connection and thread really commits; no context is open."""
    settings = settings_for(make_database(), tmp_path, stripe_api_base="http://127.0.0.1:9", database_pool=32)
    app = create_app(settings)
    app.config["WTF_CSRF_ENABLED"] = False
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    clock.reset()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """An SMTP server for one test."""
    with open_inbox() as opened:
        yield opened


@pytest.fixture
def marketplace(make_database, tmp_path: Path, inbox: Inbox) -> Iterator[Marketplace]:  # type: ignore[no-untyped-def]
    """All processes on an empty, migrated database, not started yet: for tests that kill them."""
    processes = Marketplace(make_database(), tmp_path, smtp_port=inbox.port)
    yield processes
    processes.stop()


@pytest.fixture(scope="session")
def live(make_database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marketplace]:  # type: ignore[no-untyped-def]
    """The marketplace with its demo, started once and shared by all journeys; `live.inbox` holds its mails."""
    folder = tmp_path_factory.mktemp("live")
    address = make_database()
    with open_inbox() as opened:
        processes = Marketplace(address, folder, smtp_port=opened.port)
        processes.inbox = opened
        # The same database and keys from inside the tests: rows they make are seen at once by the processes.
        secret = processes.environment["SECRET_KEY"]
        app = processes.app = create_app(settings_for(address, folder, secret_key=secret))
        if "demo" in app.cli.commands:
            result = app.test_cli_runner().invoke(args=["demo", "load"], catch_exceptions=False)
            assert result.exit_code == 0, result.output
        try:
            processes.start()
            yield processes
        finally:
            processes.stop()
            with app.app_context():
                db.engine.dispose()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, object]) -> dict[str, object]:
    """Debian's Chromium where it is installed (as root in CI), else Playwright's own; quiet in either case."""
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    options = browser_type_launch_args | {"args": [*quiet, "--disable-sync", "--disable-gpu"]}
    if os.geteuid() == 0:
        options["args"] = [*options["args"], "--no-sandbox"]  # type: ignore[misc]
    debian = shutil.which("chromium")
    return options | {"executable_path": debian} if debian else options


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data; tests that need it say so by asking for it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data is not at {SHARED_DATA} (set MARKETPLACE_SHARED_DATA)")
    return SHARED_DATA


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, browsers last: a broken rule shows within seconds."""
    order = {"races": 1, "crashes": 2, "journeys": 3}
    items.sort(key=lambda item: order.get(item.path.relative_to(ROOT / "tests").parts[0], 0))
