"""`likewise library`: which library item is which catalog item."""

import click

from likewise.cli.common import database_option, json_option, now, on_store, show, when
from likewise.domain import LIBRARY_KINDS, TWINS, Item, Kind, LibraryItem
from likewise.errors import BadName, NoSuchThing
from likewise.store import Store

_TYPES = click.Choice(list(LIBRARY_KINDS))
_PAGE = 1_000


@click.group()
def library() -> None:
    """Link library items to catalog items, unlink and list them."""


@library.command()
@click.argument("name")
@click.argument("type", type=_TYPES)
@click.argument("library_id")
@click.argument("catalog_id")
@database_option
def link(name: str, type: str, library_id: str, catalog_id: str, database: str | None) -> None:
    """Make LIBRARY_ID another address of the catalog item: the newer of their ratings wins."""
    library_item = _item(LIBRARY_KINDS[type], library_id)
    catalog_item = _item(TWINS[library_item.kind], catalog_id)

    async def work(store: Store) -> None:
        await store.link(await store.listener(name), library_item, catalog_item, now=now())

    on_store(database, work)
    click.echo(f"linked {library_id} to {type} {catalog_id} for {name}", err=True)


@library.command()
@click.argument("name")
@click.argument("type", type=_TYPES)
@click.argument("library_id")
@database_option
def unlink(name: str, type: str, library_id: str, database: str | None) -> None:
    """Remove an item from the library. Its library id is dead from then on; a catalog rating stays."""
    item = _item(LIBRARY_KINDS[type], library_id)

    async def work(store: Store) -> bool:
        return await store.unlink(await store.listener(name), item, now=now())

    if not on_store(database, work):
        raise NoSuchThing(f"{library_id} is not in the library of {name}", f"see `likewise library list {name}`")
    click.echo(f"removed {library_id} from the library of {name}", err=True)


@library.command(name="list")
@click.argument("name")
@click.option("--type", type=_TYPES, help="Only these.")
@database_option
@json_option
def list_(name: str, type: str | None, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """List what is in a listener's library, newest first."""

    async def work(store: Store) -> list[LibraryItem]:
        owner = await store.listener(name)
        items: list[LibraryItem] = []
        for kind in [LIBRARY_KINDS[type]] if type else LIBRARY_KINDS.values():
            offset = 0
            while True:
                page = await store.library_page(owner, kind, limit=_PAGE, offset=offset)
                items += page.items
                offset += _PAGE
                if offset >= page.total:
                    break
        return items

    rows = [
        {
            "type": each.item.kind.type,
            "library_id": each.item.id,
            "catalog_id": each.twin.id if each.twin else None,
            "added": when(each.added),
        }
        for each in on_store(database, work)
    ]
    show(rows, as_json=as_json, empty=f"the library of {name} is empty")


def _item(kind: Kind, id: str) -> Item:
    if not kind.has_id(id):
        example = f"{kind.prefix}abc123" if kind.is_library else "907242702, or pl.… for a playlist"
        raise BadName(f"{id!r} is no id of {kind.type}", f"such an id looks like {example}")
    return Item(kind, id)
