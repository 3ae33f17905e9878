"""The names of what is shown: an item's own or, of a library item without one, its catalog item's."""

from collections.abc import Collection

from likewise.domain import Item, ItemName, Listener
from likewise.store import Store


async def names_of(store: Store, listener: Listener, items: Collection[Item]) -> dict[Item, ItemName]:
    found = await _names(store, listener, items)
    nameless = [item for item in items if item.kind.is_library and item not in found]
    if nameless:
        library_items = await store.library_items(listener, nameless)
        twins = {each.item: each.twin for each in library_items if each.twin}
        names = await _names(store, listener, set(twins.values()))
        found |= {item: names[twin] for item, twin in twins.items() if twin in names}
    return found


async def _names(store: Store, listener: Listener, items: Collection[Item]) -> dict[Item, ItemName]:
    names = await store.names(listener, items) if items else []
    return {name.item: name for name in names if name.title or name.artist}
