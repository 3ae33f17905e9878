"""What the adapters share: how rows become the words of the house, what they refuse, and where their migrations are."""

import re
from collections.abc import Iterable
from importlib import resources
from typing import Any

from likewise.domain import (
    KINDS_BY_NUMBER,
    TWINS,
    Changed,
    Item,
    ItemName,
    LibraryItem,
    ListedRating,
    Listener,
    Time,
    UserToken,
    Value,
)
from likewise.errors import LinkRefused
from likewise.matching import key_of

VALUES = {int(value): value for value in Value}


def migrations_of(engine: str) -> list[str]:
    """Return the SQL of all migrations in their order; migration n brings a database from version n - 1 to n."""
    folder = resources.files("likewise.stores").joinpath(f"migrations/{engine}")
    files = sorted((file for file in folder.iterdir() if re.match(r"\d{4}_", file.name)), key=lambda file: file.name)
    return [file.read_text("utf-8") for file in files]


def place_of(item: Item | None) -> tuple[int, str]:
    """Say where an item stands in the order of kinds and ids; None stands before all."""
    return (0, "") if item is None else (item.kind.number, item.id)


def library_item_of(kind_number: int, id: str, twin_id: str | None, added: Time) -> LibraryItem:
    kind = KINDS_BY_NUMBER[kind_number]
    twin = None if twin_id is None else Item(TWINS[kind], twin_id)
    return LibraryItem(Item(kind, id), twin, added)


def user_token_of(
    id: str,
    listener: int,
    name: str,
    storefront: str,
    team_id: str,
    created: Time,
    expires: Time,
    revoked: Time | None,
) -> UserToken:
    return UserToken(id, Listener(listener, name, storefront), team_id, created, expires, revoked)


# Lists and the change feed


def changed_of(kind_number: int, id: str, value: int, time: Time, change: int) -> Changed:
    return Changed(Item(KINDS_BY_NUMBER[kind_number], id), VALUES.get(value), time, change)


def listed_rating_of(kind_number: int, id: str, value: int, time: Time, library_id: str | None) -> ListedRating:
    item = Item(KINDS_BY_NUMBER[kind_number], id)
    if item.kind.is_library:
        return ListedRating(item, VALUES[value], time, item)
    twin = None if library_id is None else Item(TWINS[item.kind], library_id)
    return ListedRating(item, VALUES[value], time, twin)


# Names

CATALOG = 0
"""Whose names those of catalog items are: everybody's. No listener has this id."""


def learned(names: Iterable[ItemName]) -> list[ItemName]:
    """Make one of all that is said about an item, in the order of items, so that no two writers wait in a circle."""
    merged: dict[Item, ItemName] = {}
    for name in names:
        known = merged.get(name.item, name)
        facts = {fact: said for fact, said in name._asdict().items() if said is not None}
        merged[name.item] = known._replace(**facts)
    return sorted(merged.values(), key=lambda name: place_of(name.item))


def name_row(name: ItemName) -> tuple[Any, ...]:
    """Return what is kept of a name: kind and id, its facts, and the keys of title and artist."""
    item, *facts = name
    return (*place_of(item), *facts, key_of(name.title), key_of(name.artist))


def item_name_of(kind_number: int, id: str, *facts: str | None) -> ItemName:
    return ItemName(Item(KINDS_BY_NUMBER[kind_number], id), *facts)


def dead(library_item: Item) -> LinkRefused:
    return LinkRefused(
        f"the library id {library_item.id} was removed and stays dead", "add the catalog item again instead"
    )


def taken(catalog_item: Item, library_id: str) -> LinkRefused:
    return LinkRefused(
        f"{catalog_item.kind.type} {catalog_item.id} has the library id {library_id} already", "unlink that one first"
    )
