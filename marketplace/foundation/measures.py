"""Figures for Prometheus: what processes count, added up over them, and what the database can be asked.

A room says what of its own can be asked with `ask_database`; every scrape asks it anew, so that no process need be
right about the others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy import text

from marketplace.foundation import clock
from marketplace.foundation.database import db

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_requests = Histogram(
    "marketplace_request_seconds", "Requests answered.", ["rule", "method", "status"], buckets=BUCKETS
)
_jobs = Counter("marketplace_jobs", "Jobs run by the worker.", ["task", "outcome"])


@dataclass(frozen=True, slots=True)
class Question:
    """A gauge read from the database: the query gives (value, label values…), and may use `:now`."""

    name: str
    help: str
    labels: tuple[str, ...]
    query: str


_questions: list[Question] = []


def ask_database(name: str, help_text: str, query: str, *labels: str) -> None:
    """Have every scrape ask this; `marketplace_` is put before the name."""
    _questions.append(Question(f"marketplace_{name}", help_text, labels, query))


def observe_request(rule: str, method: str, status: int, seconds: float) -> None:
    """Count an answer by the rule of its address, never by the address."""
    _requests.labels(rule, method, str(status)).observe(seconds)


def count_job(task: str, outcome: str) -> None:
    """Count a job that ended: succeeded or failed (it may be tried again)."""
    _jobs.labels(task, outcome).inc()


def exposition() -> bytes:
    """Everything in Prometheus' text format."""
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        counted: bytes = generate_latest(registry)
    else:
        counted = generate_latest(REGISTRY)
    asked = CollectorRegistry()
    asked.register(_Database())
    return counted + generate_latest(asked)


class _Database:
    def collect(self) -> Iterator[GaugeMetricFamily]:
        for question in _questions:
            family = GaugeMetricFamily(question.name, question.help, labels=question.labels)
            for value, *labels in db.session.execute(text(question.query), {"now": clock.now()}):
                family.add_metric([str(label) for label in labels], float(value or 0))
            yield family
        db.session.rollback()


ask_database(
    "jobs_waiting",
    "Jobs due now that no worker has taken.",
    "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= :now)",
)
ask_database(
    "jobs_dead",
    "Jobs that failed for the last time.",
    "SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'",
)
ask_database(
    "worker_heartbeat_age_seconds",
    "Since a worker was last heard of.",
    "SELECT extract(epoch FROM now() - max(last_heartbeat)) FROM procrastinate_workers",
)
ask_database("mails_unsent", "Mails written and not sent.", "SELECT count(*) FROM outgoing_mail WHERE sent_at IS NULL")
