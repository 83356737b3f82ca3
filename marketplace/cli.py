"""Chores: `flask --app marketplace <command>`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from marketplace.foundation import jobs

if TYPE_CHECKING:
    from flask import Flask


@click.command("worker")
@click.option("--concurrency", default=2, show_default=True, help="Jobs run at once.")
def worker(concurrency: int) -> None:
    """Run jobs and periodic tasks until told to stop."""
    jobs.run_worker(current_app.config["SETTINGS"].database_url, concurrency=concurrency)


jobs_commands = AppGroup("jobs", help="Jobs: dead letters and driving them again.")


@jobs_commands.command("dead")
def dead() -> None:
    """List the jobs that failed for the last time."""
    for job_id, name, arguments in jobs.dead_letters():
        click.echo(f"{job_id}\t{name}\t{arguments}")


@jobs_commands.command("retry")
@click.argument("job_id", type=int, required=False)
def retry(job_id: int | None) -> None:
    """Put one dead job, or all of them, back in the queue."""
    click.echo(f"{jobs.retry_dead_letters(job_id)} put back")


@jobs_commands.command("run")
def run() -> None:
    """Run the jobs due now, then stop."""
    click.echo(f"{jobs.run_pending()} run")


def init_app(app: Flask) -> None:
    """Register the commands."""
    app.cli.add_command(worker)
    app.cli.add_command(jobs_commands)
