"""What `likewise.store` promises of pages, of the order of calls, and of `ping`, on every adapter."""

import asyncio

import pytest

from likewise.domain import Change, Item, Kind, LibraryItem, Rating, Value
from likewise.errors import LinkRefused, StoreUnavailable
from tests.house import MONDAY, TUESDAY, WEDNESDAY

LIKE, DISLIKE = Value.LIKE, Value.DISLIKE
SONG = Item(Kind.SONG, "907242702")
LIBRARY_SONG = Item(Kind.LIBRARY_SONG, "i.7PJNrVKQsVe7dlE")

# In the order of kinds' numbers and ids, which are compared byte for byte.
IN_ORDER = [
    Item(Kind.SONG, "1"),
    Item(Kind.SONG, "10"),
    Item(Kind.SONG, "9"),
    Item(Kind.ALBUM, "0"),
    Item(Kind.PLAYLIST, "pl.A"),
    Item(Kind.PLAYLIST, "pl.Z.a"),
    Item(Kind.PLAYLIST, "pl._"),
    Item(Kind.PLAYLIST, "pl.a"),
    Item(Kind.STATION, "ra.1"),
    Item(Kind.LIBRARY_SONG, "i.A"),
    Item(Kind.LIBRARY_SONG, "i.a"),
    Item(Kind.LIBRARY_PLAYLIST, "p.a"),
]


async def pages_of(read, *, limit):
    """Read page after page until one is empty."""
    pages = []
    after = None
    while page := await read(after=after, limit=limit):
        pages.append(page)
        after = page[-1].item
    return pages


# Ratings


async def test_ratings_come_in_the_order_of_kinds_and_ids_with_value_and_time(store, ada):
    await store.write(ada, [Change(item, LIKE) for item in reversed(IN_ORDER)], now=MONDAY)
    await store.put(ada, IN_ORDER[0], DISLIKE, now=TUESDAY)

    ratings = await store.ratings(ada, after=None, limit=100)

    assert ratings == [
        Rating(IN_ORDER[0], DISLIKE, TUESDAY),
        *(Rating(item, LIKE, MONDAY) for item in IN_ORDER[1:]),
    ]


@pytest.mark.parametrize("limit", [1, 2, 5, 11, 12, 13])
async def test_pages_of_ratings_follow_one_another_without_a_gap(store, ada, limit):
    await store.write(ada, [Change(item, LIKE) for item in IN_ORDER], now=MONDAY)

    async def read(after, limit):
        return await store.ratings(ada, after=after, limit=limit)

    pages = await pages_of(read, limit=limit)

    assert [rating.item for page in pages for rating in page] == IN_ORDER
    assert all(len(page) == limit for page in pages[:-1])


async def test_a_page_may_begin_after_an_item_that_is_not_rated(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)

    for after in (Item(Kind.SONG, "8"), Item(Kind.SONG, "907242701")):
        assert await store.ratings(ada, after=after, limit=9) == [Rating(SONG, LIKE, MONDAY)]
    for after in (SONG, Item(Kind.SONG, "907242703"), Item(Kind.LIBRARY_SONG, "i.a")):
        assert await store.ratings(ada, after=after, limit=9) == []


@pytest.mark.parametrize("limit", [1, 2, 5, 12])
@pytest.mark.parametrize("cleared", [slice(0, 3), slice(2, 9), slice(0, 12, 2), slice(4, 12), slice(0, 12)])
async def test_what_was_cleared_is_no_rating_and_shortens_no_page(store, ada, limit, cleared):
    await store.write(ada, [Change(item, LIKE) for item in IN_ORDER], now=MONDAY)
    await store.write(ada, [Change(item, None) for item in IN_ORDER[cleared]], now=TUESDAY)

    async def read(after, limit):
        return await store.ratings(ada, after=after, limit=limit)

    pages = await pages_of(read, limit=limit)

    assert [rating.item for page in pages for rating in page] == [
        item for item in IN_ORDER if item not in IN_ORDER[cleared]
    ]
    assert all(len(page) == limit for page in pages[:-1])


async def test_a_rating_with_two_addresses_is_there_once_under_the_catalogs(store, ada):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=TUESDAY)

    assert await store.ratings(ada, after=None, limit=9) == [Rating(SONG, LIKE, MONDAY)]


async def test_pages_of_ratings_are_one_listeners_alone(store, ada, ben):
    await store.put(ben, SONG, LIKE, now=MONDAY)

    assert await store.ratings(ada, after=None, limit=9) == []


async def test_a_removed_listener_has_neither_ratings_nor_a_library(store, ada):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.remove_listener("ada")

    assert await store.ratings(ada, after=None, limit=9) == []
    assert await store.library(ada, after=None, limit=9) == []


# The library


async def test_the_library_comes_in_the_order_of_kinds_and_ids_uploads_too(store, ada, ben):
    upload, album = Item(Kind.LIBRARY_SONG, "i.A"), Item(Kind.LIBRARY_ALBUM, "l.A")
    await store.link(ada, album, Item(Kind.ALBUM, "1"), now=MONDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=TUESDAY)
    await store.put(ada, upload, LIKE, now=WEDNESDAY)
    await store.put(ben, Item(Kind.LIBRARY_SONG, "i.ben"), LIKE, now=MONDAY)
    everything = [
        LibraryItem(LIBRARY_SONG, SONG, TUESDAY),
        LibraryItem(upload, None, WEDNESDAY),
        LibraryItem(album, Item(Kind.ALBUM, "1"), MONDAY),
    ]

    async def read(after, limit):
        return await store.library(ada, after=after, limit=limit)

    for limit in (1, 2, 3, 4):
        pages = await pages_of(read, limit=limit)
        assert [item for page in pages for item in page] == everything


@pytest.mark.parametrize("limit", [1, 2, 9])
async def test_what_was_removed_from_the_library_is_on_no_page(store, ada, limit):
    items = [Item(Kind.LIBRARY_SONG, f"i.{number}") for number in range(6)]
    for number, item in enumerate(items):
        await store.link(ada, item, Item(Kind.SONG, str(number)), now=MONDAY)
    for item in items[:4]:
        await store.unlink(ada, item, now=TUESDAY)

    async def read(after, limit):
        return await store.library(ada, after=after, limit=limit)

    assert [each.item for page in await pages_of(read, limit=limit) for each in page] == items[4:]


# Listeners


async def test_listeners_come_in_pages_by_name(store):
    names = ["0", "a-b", "a.b", "a_b", "ada", "zoe"]
    for name in reversed(names):
        await store.add_listener(name, "us")

    async def names_of(**page):
        return [listener.name for listener in await store.listeners(**page)]

    assert await names_of(limit=2) == ["0", "a-b"]
    assert await names_of(after="a-b", limit=3) == ["a.b", "a_b", "ada"]
    assert await names_of(after="ada", limit=9) == ["zoe"]
    assert await names_of(after="aaa") == ["ada", "zoe"]
    assert await names_of(after="zoe", limit=1) == []


# The order of calls


async def test_links_begun_one_after_another_take_effect_in_their_order(store, ada):
    links = [(LIBRARY_SONG, Item(Kind.SONG, str(number))) for number in range(30)]
    links.append((Item(Kind.LIBRARY_SONG, "i.other"), Item(Kind.SONG, "28")))
    links.append((Item(Kind.LIBRARY_SONG, "i.another"), Item(Kind.SONG, "29")))

    outcomes = await asyncio.gather(
        *(store.link(ada, library_item, catalog_item, now=MONDAY) for library_item, catalog_item in links),
        return_exceptions=True,
    )

    # Item 28 was free again by the time it was asked for; 29 was not.
    assert outcomes[:-1] == [None] * 31
    assert isinstance(outcomes[-1], LinkRefused)
    [found] = await store.library_items(ada, [LIBRARY_SONG])
    assert found.twin == Item(Kind.SONG, "29")


async def test_puts_begun_one_after_another_take_effect_in_their_order(store, ada):
    values = [LIKE, DISLIKE] * 15

    await asyncio.gather(*(store.put(ada, SONG, value, now=MONDAY + place) for place, value in enumerate(values)))

    assert await store.get(ada, [SONG]) == [Rating(SONG, DISLIKE, MONDAY + 29)]


# Ping


async def test_a_database_that_answers_can_be_pinged_empty_or_not(store):
    await store.ping()
    await store.add_listener("ada", "us")
    await store.ping()


async def test_a_closed_database_does_not_answer(database):
    store = await database.open()
    await store.close()

    with pytest.raises(StoreUnavailable):
        await store.ping()
