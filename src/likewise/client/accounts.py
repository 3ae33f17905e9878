"""A whole account, through an API that has no list of ratings: walk the library, and ask about what is in it.

https://developer.apple.com/documentation/applemusicapi/library
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

from likewise.client.answers import LibraryItem
from likewise.client.blocking import Client
from likewise.client.calls import IDS_PER_REQUEST
from likewise.client.carrier import Turn
from likewise.domain import TWINS, Item, Kind, Value

KINDS = (Kind.LIBRARY_SONG, Kind.LIBRARY_ALBUM, Kind.LIBRARY_MUSIC_VIDEO, Kind.LIBRARY_PLAYLIST)
"""In the order in which they are walked."""


class Place(NamedTuple):
    """Where a walk goes on: a kind, and the path of its page, None for the first."""

    kind: Kind
    href: str | None = None


class Found(NamedTuple):
    """One page of a library, with what is rated of it under the id that the catalog has for it, if any.

    `next` is where the walk goes on, None at its end; `total` counts the library items of this kind, where the server
    says so.
    """

    items: list[LibraryItem]
    ratings: dict[Item, Value]
    next: Place | None
    total: int | None


def walk(client: Client, place: Place) -> Iterator[Found]:
    """Walk through an account's library from a place on, page by page; ask for its ratings 100 ids at a time."""
    turn = Turn()
    current: Place | None = place
    while current is not None:
        page = client.get_library_page(current.kind, current.href)
        href = turn.next(page.next)
        following = Place(current.kind, href) if href is not None else _first_after(current.kind)
        yield Found(page.entries, _ratings_of(client, page.entries), following, page.total)
        current = following


def _first_after(kind: Kind) -> Place | None:
    number = KINDS.index(kind) + 1
    return Place(KINDS[number]) if number < len(KINDS) else None


def _ratings_of(client: Client, items: Iterable[LibraryItem]) -> dict[Item, Value]:
    twins = {each.item: each.twin or each.item for each in items}
    found = ratings_of(client, [*twins, *twins.values()])
    # A server may lag between the two addresses; what the catalog's says is what everything else is kept in step with.
    return {twin: found.get(twin) or found[item] for item, twin in twins.items() if item in found or twin in found}


def ratings_of(client: Client, items: Iterable[Item]) -> dict[Item, Value]:
    """Ask for the ratings of items of any kinds, 100 ids at a time."""
    found: dict[Item, Value] = {}
    for kind, group in _by_kind(items):
        found |= {rating.item: rating.value for rating in client.get_ratings(kind, [item.id for item in group])}
    return found


class Difference(NamedTuple):
    """What an account says of an item, and what it shall say."""

    item: Item
    before: Value | None
    after: Value


class Compared(NamedTuple):
    """Some of what an account shall say: how many it `same` says already, where it differs, and what is not its own.

    `absent` are library items that the account's library does not have; to rate those would make new ones.
    """

    same: int
    different: list[Difference]
    absent: list[Item]


def compare(client: Client, wanted: Mapping[Item, Value]) -> Iterator[Compared]:
    """Compare what an account says with what it shall say, 100 items at a time."""
    for kind, items in _by_kind(wanted):
        for start in range(0, len(items), IDS_PER_REQUEST):
            yield _compared(client, kind, items[start : start + IDS_PER_REQUEST], wanted)


def _compared(client: Client, kind: Kind, items: list[Item], wanted: Mapping[Item, Value]) -> Compared:
    absent: list[Item] = []
    if kind in TWINS and kind.is_library:
        known = {each.item for each in client.get_library_items(kind, [item.id for item in items])}
        absent = [item for item in items if item not in known]
        items = [item for item in items if item in known]
    said = ratings_of(client, items)
    different = [Difference(item, said.get(item), wanted[item]) for item in items if said.get(item) is not wanted[item]]
    return Compared(len(items) - len(different), different, absent)


def _by_kind(items: Iterable[Item]) -> Iterator[tuple[Kind, list[Item]]]:
    ordered = sorted(dict.fromkeys(items), key=lambda item: item.kind.number)
    return ((kind, list(group)) for kind, group in groupby(ordered, key=lambda item: item.kind))
