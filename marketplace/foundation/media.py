"""Files of pictures under the media folder, named by their content: written once, never changed, served for ever."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from flask import current_app

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}\.(avif|webp)")


def folder() -> Path:
    """Where pictures lie."""
    return Path(current_app.config["SETTINGS"].media_dir) / "pictures"


def write(content: bytes, suffix: str) -> str:
    """Write a file, whole or not at all; the same content has the same name. Returns the name."""
    digest = sha256(content).hexdigest()[:32]
    name = f"{digest[:2]}/{digest[2:]}.{suffix}"
    path = folder() / name
    if path.exists():
        # Younger than the sweep of unused files asks for, in case it is about to run.
        os.utime(path)
        return name
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        part.write(content)
    Path(part.name).chmod(0o644)
    Path(part.name).replace(path)
    return name


def read(name: str) -> bytes:
    """The content of a file."""
    return (folder() / name).read_bytes()


def list_older(than: float) -> Iterator[tuple[str, Path]]:
    """Name and path of each file last written before a moment (seconds of the epoch), half-written ones included."""
    for path in folder().glob("*/*"):
        if path.is_file() and path.stat().st_mtime < than:
            yield f"{path.parent.name}/{path.name}", path
