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
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from flask import Flask

# What this machine keeps between starts: the cluster, ports, a secret, uploads.
VAR = Path(os.environ.get("MARKETPLACE_VAR") or ROOT / "var").resolve()
RUNNING = VAR / "running.json"
WORKERS, THREADS = 2, 4
STOP_SECONDS = 30
LARGEST_PORT = 65535
# A process that dies at once, again and again, is broken: waiting longer each time keeps its message readable.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
# One that lived longer than this was no such process.
HEALTHY_SECONDS = 60


class Refusal(Exception):
    """A reason not to start, for the operator to read."""


def main(arguments: Sequence[str]) -> int:
    """Start everything; 0 after an orderly stop, 1 with the reason on standard error if it cannot start."""
    if set(arguments) - {"--production"}:
        print("usage: bin/serve [--production]", file=sys.stderr)
        return 2
    is_production = bool(arguments) or os.environ.get("MARKETPLACE_ENV") == "production"
    VAR.mkdir(parents=True, exist_ok=True)
    # While things are prepared a signal interrupts them; once the processes run, it stops them in order.
    _on_stop(signal.default_int_handler)
    try:
        with _only_one_here():
            return _serve(is_production=is_production)
    except (Refusal, SettingsError, embedded_postgres.PostgresError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _serve(*, is_production: bool) -> int:
    """Prepare, run and stop everything; whatever happens in between, the database of our own is stopped at the end."""
    try:
        environment = _production_environment() if is_production else _development_environment()
        app = create_app(settings_from(environment))
        _demand_connections(environment, app.config["SETTINGS"].database_pool)
        processes = commands(environment, is_production=is_production)
        _demand_ports(environment, processes)
        _prepare(app, is_production=is_production)
        _share_measures(environment)
        return _Processes(processes, environment, app).run()
    finally:
        _on_stop(signal.SIG_IGN)
        if not is_production and not os.environ.get("DATABASE_URL"):
            embedded_postgres.stop(VAR / "postgres")


def _demand_connections(environment: Mapping[str, str], pool: int) -> None:
    """Every thread of a web server may hold a connection of its pool and wait for who has none."""
    threads = int(environment.get("WEB_THREADS", THREADS))
    if threads > pool:
        raise Refusal(f"DATABASE_POOL ({pool}) must be at least WEB_THREADS ({threads}).")


def _on_stop(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    """What Ctrl-C, a service manager and a terminal that is closed do; `nohup` keeps the last of them out."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


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
    if sys.executable not in _command_of(pid):
        return
    print(f"ending {name}, left behind by an earlier start", file=sys.stderr)
    deadline = time.monotonic() + STOP_SECONDS
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline and sys.executable in _command_of(pid):
            time.sleep(0.05)
        os.killpg(pid, signal.SIGKILL)


def _command_of(pid: int) -> str:
    """The command line of a process; empty for none, and for one that ended and that nobody has reaped."""
    if not Path("/proc/self").exists():
        asked = ["ps", "-o", "command=", "-p", str(pid)]
        return subprocess.run(asked, check=False, capture_output=True, text=True).stdout
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _demand_ports(environment: dict[str, str], processes: dict[str, list[str]]) -> None:
    """Raise Refusal for a port that is none, or somebody else's: what answers there is not us."""
    wanted = [("PORT", environment.get("HOST", "127.0.0.1"))]
    wanted += [("SANDBOX_PORT", "127.0.0.1")] if "sandbox" in processes else []
    for name, host in wanted:
        port = environment[name]
        if not port.isdecimal() or int(port) > LARGEST_PORT:
            raise Refusal(f"{name} must be the number of a port, not {port!r}.")
        try:
            family, kind, *_, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            raise Refusal(f"Nothing can listen on port {port} of {host}: {error}. Choose another {name}.") from None


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
            "marketplace:served()",
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
        self.began: dict[str, float] = {}
        self.pauses = dict.fromkeys(commands, FIRST_PAUSE_SECONDS)
        self.is_stopping = False

    def run(self) -> int:
        _on_stop(self._stop)
        try:
            for name in self.commands:
                self._start(name)
            self._greet()
            while not self.is_stopping:
                self._pause(0.2)
                for name, process in list(self.running.items()):
                    if process.poll() is not None and not self.is_stopping:
                        self._restart(name, process.returncode)
        finally:
            self._end()
        return 0

    def _pause(self, seconds: float) -> None:
        """Sleep, but not through a signal to stop: Python's own sleep goes on after it."""
        deadline = time.monotonic() + seconds
        while not self.is_stopping and time.monotonic() < deadline:
            time.sleep(0.05)

    def _start(self, name: str) -> None:
        # A session of its own: Ctrl-C reaches this supervisor alone, which then stops each in order.
        command = self.commands[name]
        self.running[name] = subprocess.Popen(command, env=self.environment, cwd=ROOT, start_new_session=True)
        self.began[name] = time.monotonic()
        half = RUNNING.with_suffix(".half")
        half.write_text(json.dumps({name: process.pid for name, process in self.running.items()}))
        half.replace(RUNNING)

    def _restart(self, name: str, status: int) -> None:
        print(f"{name} ended with status {status}; starting it again", file=sys.stderr)
        self._kill(self.running[name])
        if time.monotonic() - self.began[name] > HEALTHY_SECONDS:
            self.pauses[name] = FIRST_PAUSE_SECONDS
        self._pause(self.pauses[name])
        self.pauses[name] = min(self.pauses[name] * 2, LONGEST_PAUSE_SECONDS)
        if not self.is_stopping:
            self._start(name)

    def _stop(self, _signal: int, _frame: object) -> None:
        self.is_stopping = True

    def _end(self) -> None:
        for process in self.running.values():
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            self._kill(process)
        RUNNING.unlink(missing_ok=True)

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        """End what is left of a process and of its own children, who are in a group of theirs."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

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
    for port in (embedded_postgres.kept_port(kept) or wanted, wanted, 0):
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
