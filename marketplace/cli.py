"""Chores: `flask --app marketplace <command>`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
from flask import current_app
from flask.cli import AppGroup
from flask_migrate import Migrate

from config import ROOT
from marketplace import backups, state_diagrams
from marketplace.accounts import people, permissions, staff
from marketplace.accounts.models import Role
from marketplace.catalog import imports, search, skills
from marketplace.catalog.import_rules import MAPPINGS
from marketplace.demo import loading, population
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import speaking
from marketplace.privacy import copies, erasures

if TYPE_CHECKING:
    from collections.abc import Callable

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


accounts_commands = AppGroup("accounts", help="People: the first administrator, and who may open which door.")


@accounts_commands.command("appoint")
@click.argument("email")
@click.argument("role", type=click.Choice([role.value for role in Role]))
def appoint(email: str, role: str) -> None:
    """Give a staff role to the person with this address; the first administrator is made so."""
    person = people.find_by_email(email)
    if person is None:
        message = f"no account has the address {email}"
        raise click.ClickException(message)
    staff.appoint(person, role, actor=None, now=clock.now())
    click.echo(f"{person.name} is {role}")


@accounts_commands.command("permissions")
def show_permissions() -> None:
    """Print the table of permissions: each endpoint with what it demands."""
    for endpoint, demanded in sorted(permissions.PERMISSIONS.items()):
        click.echo(f"{endpoint:40}{demanded}")


demo_commands = AppGroup("demo", help="The demo: a catalogue, 400 people and two years of what they did.")


@demo_commands.command("load")
def load_demo() -> None:
    """Load the demo into an empty database, once."""
    try:
        is_loaded = loading.load(now=clock.now())
    except Refused as refusal:
        raise click.ClickException(str(refusal)) from refusal
    click.echo("The demo is loaded." if is_loaded else "The demo is there already.")


@demo_commands.command("accounts")
def demo_accounts() -> None:
    """Print the accounts one can look around with."""
    click.echo(f"Accounts to look around with, all with the password {population.PASSWORD}:")
    for account in population.ACCOUNTS:
        click.echo(f"  {account.email:34}{account.name_en}")


catalog_commands = AppGroup("catalog", help="Courses: catalogues of others, skills and the search index.")


@catalog_commands.command("import")
@click.argument("mapping", type=click.Choice(list(MAPPINGS)))
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Say what would happen and change nothing.")
def import_catalogue(mapping: str, file: BinaryIO, *, dry_run: bool) -> None:
    """Take in somebody's catalogue, row by row, and tell what became of each row that deserves a word."""
    name = Path(file.name).name
    made = imports.begin(mapping, file.read(), file_name=name, is_dry_run=dry_run, person_id=None, now=clock.now())
    import_id = made.id
    imports.take_in.func(import_id=import_id)
    for row in imports.list_rows(import_id, told_only=True):
        click.echo(f"{row.number}\t{row.outcome}\t{row.key}\t{' '.join(imports.notes_of(row))}")
    click.echo(", ".join(f"{number} {outcome}" for outcome, number in imports.count_outcomes(import_id).items()))


@catalog_commands.command("import-skills")
@click.argument("files", type=click.File("rb"), nargs=-1, required=True)
def import_skills(files: tuple[BinaryIO, ...]) -> None:
    """Take in collections of ESCO skills (CSV)."""
    for file in files:
        click.echo(f"{skills.import_esco(file.read())}\t{file.name}")


@catalog_commands.command("reindex")
@click.option("--everything", is_flag=True, help="Also what this version of the tokeniser has indexed.")
def reindex(*, everything: bool) -> None:
    """Write the search index of courses again."""
    with transaction():
        click.echo(f"{search.reindex(now=clock.now(), everything=everything)} indexed")


privacy_commands = AppGroup("privacy", help="People who want a copy of their data, or to be forgotten.")


@privacy_commands.command("forget")
@click.argument("email")
@click.confirmation_option(prompt="This cannot be undone. Forget this person everywhere?")
def forget_person(email: str) -> None:
    """Forget the person with this address at once."""
    person = people.find_by_email(email)
    if person is None:
        raise click.ClickException(f"no account has the address {email}")
    obstacle = erasures.find_obstacle(person.id)
    if obstacle is not None:
        raise click.ClickException(str(obstacle))
    erasures.forget(person.id, now=clock.now())
    click.echo("forgotten")


@privacy_commands.command("copy")
@click.argument("email")
@click.argument("file", type=click.File("wb"))
def copy_data(email: str, file: BinaryIO) -> None:
    """Write everything known of a person as a ZIP, for someone who asked by letter."""
    person = people.find_by_email(email)
    if person is None:
        raise click.ClickException(f"no account has the address {email}")
    with speaking(person.locale):
        file.write(copies.write(person, made_at=clock.now()))


backup_commands = AppGroup("backup", help="Backups: database, media and a manifest that proves a restore.")
folder_argument = click.argument("folder", type=click.Path(path_type=Path))


@backup_commands.command("make")
@folder_argument
def make_backup(folder: Path) -> None:
    """Write a backup into a new folder, while everything runs."""
    _tell(lambda: backups.make(folder, current_app.config["SETTINGS"], now=clock.now()))


@backup_commands.command("check")
@folder_argument
def check_backup(folder: Path) -> None:
    """Say whether a backup's files are as they were written."""
    _tell(lambda: backups.check(folder))


@backup_commands.command("restore")
@folder_argument
@click.option("--replace", is_flag=True, help="Also over a database that holds people.")
def restore_backup(folder: Path, *, replace: bool) -> None:
    """Bring a backup back and compare it with its manifest; stop web and worker first."""
    _tell(lambda: backups.restore(folder, current_app.config["SETTINGS"], may_replace=replace))


def _tell(act: Callable[[], backups.Manifest]) -> None:
    try:
        manifest = act()
    except backups.BackupError as error:
        raise click.ClickException(str(error)) from error
    rows = sum(manifest.rows.values())
    click.echo(f"made at {manifest.made_at}, revision {manifest.revision}, {rows} rows in {len(manifest.rows)} tables")


docs_commands = AppGroup("docs", help="Pages of docs/ that are made from the code.")


@docs_commands.command("states")
def states() -> None:
    """Print docs/states.md: what may follow what."""
    click.echo(state_diagrams.draw_all(), nl=False)


def init_app(app: Flask) -> None:
    """Register the commands, and what `flask db` needs."""
    Migrate(app, db, directory=str(ROOT / "migrations"))
    app.cli.add_command(docs_commands)
    app.cli.add_command(backup_commands)
    app.cli.add_command(privacy_commands)
    app.cli.add_command(accounts_commands)
    app.cli.add_command(demo_commands)
    app.cli.add_command(worker)
    app.cli.add_command(catalog_commands)
    app.cli.add_command(jobs_commands)
