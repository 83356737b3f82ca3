"""What `bin/serve` runs: prepares the database and keeps the processes of the marketplace alive until told to stop.

In development it starts the embedded PostgreSQL (unless DATABASE_URL is set), loads the demo once and runs the payments
sandbox. With `--production` it prepares nothing by itself and refuses to start on unsafe settings or demo accounts.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from flask_migrate import upgrade
from sqlalchemy import text

from config import ROOT, SANDBOX_STRIPE_KEY, SettingsError, settings_from
from marketplace import create_app, embedded_postgres
from marketplace.foundation import health
from marketplace.foundation.database import db

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Flask

# What this machine keeps between starts: the cluster, ports, a secret, uploads.
VAR = Path(os.environ.get("MARKETPLACE_VAR") or ROOT / "var")
RUNNING = VAR / "running.json"
WORKERS, THREADS = 2, 4
STOP_SECONDS = 30
# A process that dies at once, again and again, is broken: waiting longer each time keeps its message readable.
LONGEST_PAUSE_SECONDS = 30.0


class Refusal(Exception):
    """A reason not to start, for the operator to read."""


def main(arguments: Sequence[str]) -> int:
    """Start everything; 0 after an orderly stop, 1 with the reason on standard error if it cannot start."""
    is_production = "--production" in arguments
    VAR.mkdir(parents=True, exist_ok=True)
    try:
        lock = _only_one_here()
        environment = _production_environment() if is_production else _development_environment()
        app = create_app(settings_from(environment))
        _prepare(app, is_production=is_production)
    except (Refusal, SettingsError, embedded_postgres.PostgresError) as error:
        print(error, file=sys.stderr)
        return 1
    _share_measures(environment)
    with lock:
        return _Processes(commands(environment, is_production=is_production), environment, app).run()


def _only_one_here() -> IO[str]:
    """The lock of this checkout, held until it is closed; ends what a supervisor killed with -9 left running."""
    lock = (VAR / "serve.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise Refusal("bin/serve runs in this checkout already.") from None
    if RUNNING.exists():
        for name, pid in json.loads(RUNNING.read_text()).items():
            _end_orphan(name, pid)
        RUNNING.unlink()
    return lock


def _end_orphan(name: str, pid: int) -> None:
    # By now the number may be another program's: only what runs our own Python is ended.
    found = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], check=False, capture_output=True, text=True)
    if sys.executable not in found.stdout:
        return
    print(f"ending {name}, left behind by an earlier start", file=sys.stderr)
    deadline = time.monotonic() + STOP_SECONDS
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            time.sleep(0.05)
            os.kill(pid, 0)
        os.killpg(pid, signal.SIGKILL)


def _share_measures(environment: dict[str, str]) -> None:
    """An empty folder in which the processes add up what they count; an operator's own is left alone."""
    if "PROMETHEUS_MULTIPROC_DIR" in environment:
        return
    folder = VAR / "measures"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    environment["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _production_environment() -> dict[str, str]:
    return os.environ | {"MARKETPLACE_ENV": "production", "PORT": os.environ.get("PORT", "8000")}


def _development_environment() -> dict[str, str]:
    """The environment of this machine: a database, ports and a secret of its own, kept over restarts."""
    port = os.environ.get("PORT") or str(_port("web", 5000))
    environment = {
        "PORT": port,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SECRET_KEY": _kept("secret-key"),
    } | dict(os.environ)
    if not environment.get("DATABASE_URL"):
        environment["DATABASE_URL"] = embedded_postgres.start(VAR / "postgres")
    if environment.get("STRIPE_SECRET_KEY", SANDBOX_STRIPE_KEY) == SANDBOX_STRIPE_KEY and _has_sandbox():
        sandbox = environment.setdefault("SANDBOX_PORT", str(_port("sandbox", 5010)))
        environment.setdefault("STRIPE_API_BASE", f"http://127.0.0.1:{sandbox}")
    return environment


def _prepare(app: Flask, *, is_production: bool) -> None:
    with app.app_context():
        if not is_production:
            upgrade()
        if not health.search_is_possible():
            raise Refusal("This database cannot search Chinese text (LC_CTYPE is C): create it with a UTF-8 locale.")
        if is_production and _has_demo_accounts():
            raise Refusal(
                "This database holds demo accounts, whose passwords are public: it is not fit for production."
            )
        if not is_production:
            _load_demo(app)
        db.session.remove()
        db.engine.dispose()


def _has_demo_accounts() -> bool:
    # `flask db upgrade` is the operator's act in production, so the table may be missing still.
    if db.session.execute(text("SELECT to_regclass('person')")).scalar() is None:
        raise Refusal("The database is empty: run `flask --app marketplace db upgrade` first.")
    return bool(db.session.execute(text("SELECT EXISTS (SELECT 1 FROM person WHERE is_demo)")).scalar())


def _load_demo(app: Flask) -> None:
    """Load the demo unless the database holds it, or real people, already."""
    if "demo" not in app.cli.commands or os.environ.get("MARKETPLACE_DEMO") == "none":
        return
    if db.session.execute(text("SELECT EXISTS (SELECT 1 FROM person)")).scalar():
        return
    result = app.test_cli_runner().invoke(args=["demo", "load"], catch_exceptions=False)
    if result.exit_code:
        raise Refusal(f"The demo could not be loaded:\n{result.output}")


def _has_sandbox() -> bool:
    return (ROOT / "marketplace" / "payments" / "sandbox" / "__main__.py").exists()


def commands(environment: dict[str, str], *, is_production: bool) -> dict[str, list[str]]:
    """The processes to keep alive, by name."""
    python = sys.executable
    commands = {
        "web": [
            python,
            "-m",
            "gunicorn",
            "--worker-class=gthread",
            f"--workers={environment.get('WEB_WORKERS', WORKERS)}",
            f"--threads={environment.get('WEB_THREADS', THREADS)}",
            "--preload",
            f"--bind={environment.get('HOST', '127.0.0.1')}:{environment['PORT']}",
            "--graceful-timeout=20",
            "--max-requests=20000",
            "--max-requests-jitter=2000",
            "--log-level=warning",
            "marketplace:create_app()",
        ],
        "worker": [python, "-m", "flask", "--app", "marketplace", "worker"],
    }
    if not is_production and "SANDBOX_PORT" in environment:
        state = environment.setdefault("SANDBOX_STATE", str(VAR / "sandbox.sqlite"))
        webhook = f"http://127.0.0.1:{environment['PORT']}/webhooks/stripe"
        options = [f"--port={environment['SANDBOX_PORT']}", f"--state={state}", f"--webhook-url={webhook}"]
        commands["sandbox"] = [python, "-m", "marketplace.payments.sandbox", *options]
    return commands


class _Processes:
    """Starts each process, starts it again when it dies, and stops all of them on INT or TERM."""

    def __init__(self, commands: dict[str, list[str]], environment: dict[str, str], app: Flask) -> None:
        self.commands = commands
        self.environment = environment
        self.app = app
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.pauses = dict.fromkeys(commands, 0.5)
        self.is_stopping = False

    def run(self) -> int:
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_number, self._stop)
        for name in self.commands:
            self._start(name)
        self._greet()
        while not self.is_stopping:
            time.sleep(0.2)
            for name, process in list(self.running.items()):
                if process.poll() is not None and not self.is_stopping:
                    self._restart(name, process.returncode)
        return self._end()

    def _start(self, name: str) -> None:
        # A session of its own: Ctrl-C reaches this supervisor alone, which then stops each in order.
        command = self.commands[name]
        self.running[name] = subprocess.Popen(command, env=self.environment, cwd=ROOT, start_new_session=True)
        half = RUNNING.with_suffix(".half")
        half.write_text(json.dumps({name: process.pid for name, process in self.running.items()}))
        half.replace(RUNNING)

    def _restart(self, name: str, status: int) -> None:
        print(f"{name} ended with status {status}; starting it again", file=sys.stderr)
        time.sleep(self.pauses[name])
        self.pauses[name] = min(self.pauses[name] * 2, LONGEST_PAUSE_SECONDS)
        self._start(name)

    def _stop(self, _signal: int, _frame: object) -> None:
        self.is_stopping = True

    def _end(self) -> int:
        for process in self.running.values():
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.running.values():
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        RUNNING.unlink(missing_ok=True)
        if self.environment.get("DATABASE_URL") and not os.environ.get("DATABASE_URL"):
            embedded_postgres.stop(VAR / "postgres")
        return 0

    def _greet(self) -> None:
        """Say where it is once it answers, and with which accounts to look around."""
        port = int(self.environment["PORT"])
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and not self.is_stopping and not answers(port):
            time.sleep(0.05)
        print(f"\nThe marketplace is at {self.environment.get('PUBLIC_URL', f'http://127.0.0.1:{port}')}")
        if "demo" in self.app.cli.commands:
            print(self.app.test_cli_runner().invoke(args=["demo", "accounts"]).output)
        sys.stdout.flush()


def answers(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _port(name: str, wanted: int) -> int:
    """The port used last time, else `wanted`, else a free one; remembered, so that links keep working."""
    kept = VAR / f"{name}-port"
    candidates = [int(kept.read_text())] if kept.exists() else []
    for port in (*candidates, wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen = int(probe.getsockname()[1])
            VAR.mkdir(parents=True, exist_ok=True)
            kept.write_text(str(chosen))
            return chosen
    raise Refusal("No port is free on 127.0.0.1.")


def _kept(name: str) -> str:
    """A random secret of this checkout, made once and readable by its owner alone."""
    path = Path(VAR / name)
    VAR.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
