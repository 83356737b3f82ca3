"""The one place that asks the time. Moments are aware and in UTC; zones belong to pages and course runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class _Clock:
    offset = timedelta(0)
    stopped_at: datetime | None = None


_clock = _Clock()


def now() -> datetime:
    """The present moment, aware, in UTC."""
    if _clock.stopped_at is not None:
        return _clock.stopped_at
    return datetime.now(UTC) + _clock.offset


def shift(seconds: int) -> None:
    """Run this process's clock ahead (or behind): journeys see deadlines pass. Refused by config.py in production."""
    _clock.offset = timedelta(seconds=seconds)


def set_to(moment: datetime) -> None:
    """Stop the clock at an aware moment, for tests."""
    if moment.tzinfo is None:
        message = "the clock takes aware moments only"
        raise ValueError(message)
    _clock.stopped_at = moment.astimezone(UTC)


def reset() -> None:
    """Let the clock run again, without an offset."""
    _clock.stopped_at = None
    _clock.offset = timedelta(0)
