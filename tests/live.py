"""The whole marketplace as `bin/serve` runs it, on a database of the test's own; each process can be killed."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from flask import Flask

from marketplace import serve
from tests.inbox import Inbox, free_port

START_SECONDS = 60


class Marketplace:
    """Web server, worker and payments sandbox as separate processes, writing logs into `folder`."""

    def __init__(self, database_url: str, folder: Path, *, smtp_port: int | None = None, **environment: str) -> None:
        self.folder = folder
        self.inbox: Inbox | None = None
        self.app: Flask | None = None
        self.port, self.sandbox_port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.sandbox = f"http://127.0.0.1:{self.sandbox_port}"
        # Nothing of the developer's own environment decides how the marketplace under test behaves.
        own = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = own | {
            "DATABASE_URL": database_url,
            "MARKETPLACE_ENV": "development",
            "PORT": str(self.port),
            "PUBLIC_URL": self.address,
            "SECRET_KEY": "a-secret-of-the-tests-alone-0123456789",
            "SANDBOX_PORT": str(self.sandbox_port),
            "SANDBOX_STATE": str(folder / "sandbox.sqlite"),
            "STRIPE_API_BASE": self.sandbox,
            "MEDIA_DIR": str(folder / "media"),
            "MAIL_PREVIEW_DIR": str(folder / "mail"),
            **({"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(smtp_port)} if smtp_port else {}),
            **environment,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Start the named processes, all of them without names; returns when the web server answers."""
        commands = serve.commands(self.environment, is_production=False)
        for name in names or commands:
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    commands[name], env=self.environment, cwd=serve.ROOT, stdout=log, stderr=log, start_new_session=True
                )
        if "web" in (names or commands):
            self._wait_for(f"{self.address}/healthz")
        if "sandbox" in (names or commands) and "sandbox" in commands:
            self._wait_for(f"{self.sandbox}/")

    def kill(self, *names: str) -> None:
        """End processes and their children with -9, as a power cut does; all of them without names."""
        for name in names or list(self.processes):
            process = self.processes.pop(name)
            os.killpg(process.pid, 9)
            process.wait()

    def stop(self) -> None:
        """End everything in order."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
        self.processes.clear()

    def log(self, name: str) -> str:
        """What a process wrote."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _wait_for(self, address: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(address, timeout=5).close()
            except urllib.error.HTTPError:
                return
            except OSError:
                self._check_alive()
                time.sleep(0.05)
            else:
                return
        raise TimeoutError(f"{address} did not answer within {START_SECONDS} s")

    def _check_alive(self) -> None:
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{self.log(name)[-3000:]}")
