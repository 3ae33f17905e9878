"""`likewise listener`: the people whose likes are kept."""

import sys

import click

from likewise.admin import newcomer_of
from likewise.cli.commands import Group
from likewise.cli.common import database_option, json_option, on_store, show, tell
from likewise.errors import BadSetting


@click.group(cls=Group)
def listener() -> None:
    """Add, list and remove listeners."""


@listener.command()
@click.argument("name")
@click.option("--storefront", default="us", show_default=True, help="The listener's country or region.")
@database_option
@json_option
def add(name: str, storefront: str, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Add a listener: a name and a storefront, nothing else. Begins the database where there is none."""
    newcomer = newcomer_of(name, storefront)
    added = on_store(database, lambda admin: admin.add_listener(newcomer), create=True)
    tell(
        {"name": added.name, "storefront": added.storefront},
        as_json=as_json,
        sentence=f"added the listener {name} in the storefront {storefront}",
    )


@listener.command(name="list")
@database_option
@json_option
def list_(database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """List all listeners by name."""
    listeners = on_store(database, lambda admin: admin.listeners(), to_read=True)
    rows = [{"name": each.name, "storefront": each.storefront} for each in listeners]
    show(rows, as_json=as_json, empty="there is no listener")


@listener.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_option
@json_option
def remove(name: str, yes: bool, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Forget a listener with all ratings, library and tokens. This cannot be undone."""
    on_store(database, lambda admin: admin.listener(name))
    if not yes and not sys.stdin.isatty():
        raise BadSetting("removing a listener asks first, and nobody is there to answer", "give --yes")
    if not yes:
        click.confirm(f"Forget {name} with everything they have rated?", abort=True, err=True)
    on_store(database, lambda admin: admin.remove_listener(name))
    tell({"name": name}, as_json=as_json, sentence=f"removed the listener {name}")
