"""Structured logs: one JSON object a line, with the request or job id and without personal data."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

# Values of these keys never reach a log, whoever passes them.
PRIVATE = re.compile(r"mail|password|secret|token|name$|address|phone|cookie|authorization", re.IGNORECASE)
MAIL_ADDRESS = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.[^\s@<>\"']+")
SECRET_KEY = re.compile(r"\b(?:sk|rk|whsec)_\w+")
# What PostgreSQL says of the row it refused, which is the whole row: names, addresses, what people wrote.
ROW = re.compile(
    r"(DETAIL: +).*?(?=\n\[SQL|\nCONTEXT:|\nHINT:|\n\nThe above exception|\n\nDuring handling|\Z)", re.DOTALL
)
HIDDEN = "[hidden]"
OURS = frozenset({"logger", "event", "level", "timestamp", "constraint_name", "task_name"})


def hide_private(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank private keys, and mail addresses, keys and refused rows inside any text (tracebacks hold them)."""
    for key, value in event.items():
        if key not in OURS and PRIVATE.search(key):
            event[key] = HIDDEN
        elif isinstance(value, str):
            event[key] = SECRET_KEY.sub(HIDDEN, MAIL_ADDRESS.sub(HIDDEN, ROW.sub(rf"\1{HIDDEN}", value)))
    return event


def configure(*, level: int = logging.INFO) -> None:
    """Send structlog and the standard library's logging to standard error as JSON lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_private,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Its info lines repeat the arguments of jobs.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    logging.getLogger("stripe").setLevel(logging.WARNING)
