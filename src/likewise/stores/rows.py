"""What the adapters share: how rows become the words of the house, and where their migrations are."""

import re
from importlib import resources

from likewise.domain import KINDS_BY_NUMBER, TWINS, Item, LibraryItem, Listener, Time, UserToken, Value

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
