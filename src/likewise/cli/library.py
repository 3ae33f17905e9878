"""`likewise library`: which library item is which catalog item."""

import click

from likewise.admin import library_item_of, link_of
from likewise.cli.commands import Group
from likewise.cli.common import database_option, json_option, on_store, show, tell, when
from likewise.domain import LIBRARY_KINDS

_TYPES = click.Choice(list(LIBRARY_KINDS))
_PAGE = 1_000


@click.group(cls=Group)
def library() -> None:
    """Link library items to catalog items, unlink and list them."""


@library.command()
@click.argument("name")
@click.argument("type", type=_TYPES)
@click.argument("library_id")
@click.argument("catalog_id")
@database_option
@json_option
def link(name: str, type: str, library_id: str, catalog_id: str, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Make LIBRARY_ID another address of the catalog item: the newer of their ratings wins."""
    wanted = link_of(type, library_id, catalog_id)
    on_store(database, lambda admin: admin.link(name, wanted))
    tell(
        {"listener": name, "type": type, "library_id": library_id, "catalog_id": catalog_id},
        as_json=as_json,
        sentence=f"linked {library_id} to {type} {catalog_id} for {name}",
    )


@library.command()
@click.argument("name")
@click.argument("type", type=_TYPES)
@click.argument("library_id")
@database_option
@json_option
def unlink(name: str, type: str, library_id: str, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Remove an item from the library. Its library id is dead from then on; a catalog rating stays."""
    item = library_item_of(LIBRARY_KINDS[type], library_id)
    on_store(database, lambda admin: admin.unlink(name, item))
    tell(
        {"listener": name, "type": type, "library_id": library_id},
        as_json=as_json,
        sentence=f"removed {library_id} from the library of {name}",
    )


@library.command(name="list")
@click.argument("name")
@click.option("--type", type=_TYPES, help="Only these.")
@database_option
@json_option
def list_(name: str, type: str | None, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """List what is in a listener's library, newest first."""
    kinds = [LIBRARY_KINDS[type]] if type else list(LIBRARY_KINDS.values())
    found = on_store(database, lambda admin: admin.newest_in_library(name, kinds, page_items=_PAGE), to_read=True)
    rows = [
        {
            "type": each.item.kind.type,
            "library_id": each.item.id,
            "catalog_id": each.twin.id if each.twin else None,
            "added": when(each.added),
        }
        for each in found
    ]
    show(rows, as_json=as_json, empty=f"the library of {name} is empty")
