"""`likewise migrate`: bring a database up to date, and over a cluster where it has one."""

import sys
from typing import Any

import click

from likewise.cli.common import database_option, database_url, json_option, run, tell
from likewise.stores import migrate as migrate_database
from likewise.stores.migrating import Migration


@click.command()
@database_option
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option
def migrate(database: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Bring the database up to date.

    One that is not there is begun. In PostgreSQL with Citus, the tables are distributed over the cluster. Interrupted,
    it goes on when you run it again.
    """
    migration = run(migrate_database(database_url(database), dry_run=dry_run, on_step=_show_step))
    facts: dict[str, Any] = {
        "from": migration.before,
        "to": migration.after,
        "distributed": migration.distributed,
        "dry_run": dry_run,
    }
    tell(facts, as_json=as_json, sentence=_sentence(migration, dry_run=dry_run))


def _show_step(sentence: str) -> None:
    """Say what takes so long, to whoever watches."""
    if sys.stderr.isatty():
        click.echo(f"{sentence} …", err=True)


def _sentence(migration: Migration, *, dry_run: bool) -> str:
    before, after, distributed = migration
    if before == after:
        text = f"the schema is at version {after} already"
    elif dry_run:
        text = f"the schema would go from version {before} to {after}"
    else:
        text = f"the schema went from version {before} to {after}"
    if distributed:
        verb = "would be distributed" if dry_run else "distributed"
        text += f"; {verb} over the cluster: {', '.join(distributed)}"
    return text
