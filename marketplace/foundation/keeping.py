"""Answers kept for a while in each process: for what rarely changes, where a stated staleness does no harm.

Never seats, prices, money or permissions.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

P = ParamSpec("P")
R = TypeVar("R")
LARGEST = 512

_shelves: list[dict[Hashable, tuple[float, Any]]] = []


_moment: ContextVar[dict[Hashable, Any] | None] = ContextVar("moment", default=None)


@contextmanager
def one_moment() -> Iterator[None]:
    """Inside, `once` asks each question once: for several decisions that are made together, of one moment."""
    token = _moment.set({})
    try:
        yield
    finally:
        _moment.reset(token)


def once(key: Hashable, ask: Callable[[], R]) -> R:
    """What `ask` says, or what it said under this key before in the same moment."""
    answers = _moment.get()
    if answers is None:
        return ask()
    if key not in answers:
        answers[key] = ask()
    answer: R = answers[key]
    return answer


class Shelf:
    """Values by key, each for so many seconds; emptied when it grows over `largest`. Threads may share it."""

    def __init__(self, seconds: float, *, largest: int = LARGEST) -> None:
        """Keep at most `largest` values for `seconds`."""
        self.seconds, self.largest = seconds, largest
        self.values: dict[Hashable, tuple[float, Any]] = {}
        _shelves.append(self.values)

    def find(self, key: Hashable) -> Any:
        """The value kept under the key, or None."""
        until, value = self.values.get(key, (0.0, None))
        return value if time.monotonic() < until else None

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value, which nobody may change afterwards."""
        if len(self.values) >= self.largest:
            self.values.clear()
        self.values[key] = (time.monotonic() + self.seconds, value)


def kept(seconds: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep what a function of hashable arguments returned; it must not return None, nor rows of a session."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        shelf = Shelf(seconds)

        @wraps(function)
        def ask(*args: P.args, **kwargs: P.kwargs) -> R:
            key = (args, tuple(kwargs.items()))
            value: R | None = shelf.find(key)
            if value is None:
                value = function(*args, **kwargs)
                shelf.put(key, value)
            return value

        return ask

    return decorate


def forget_all() -> None:
    """Empty every shelf, as between two tests."""
    for values in _shelves:
        values.clear()
