"""Every promise of `likewise.store`, on every adapter."""

import asyncio
import random
import signal
import subprocess
import sys
from typing import cast

import pytest

from likewise.domain import (
    Change,
    DeveloperKey,
    Item,
    Kind,
    LibraryItem,
    LibraryPage,
    Listener,
    Rating,
    UserToken,
    Value,
)
from likewise.errors import AlreadyExists, LikewiseError, LinkRefused, ListenerRemoved, NoSuchThing, ResourceNotFound
from likewise.store import BATCH_SIZES, Store
from tests.house import DAY, MONDAY, TEAM_ID, TUESDAY, WEDNESDAY

LIKE, DISLIKE = Value.LIKE, Value.DISLIKE

SONG = Item(Kind.SONG, "907242702")
OTHER_SONG = Item(Kind.SONG, "907242703")
ALBUM = Item(Kind.ALBUM, "907242702")
STATION = Item(Kind.STATION, "ra.985484166")
LIBRARY_SONG = Item(Kind.LIBRARY_SONG, "i.7PJNrVKQsVe7dlE")
OTHER_LIBRARY_SONG = Item(Kind.LIBRARY_SONG, "i.B0VYlPVEsJrmo2p")
LIBRARY_VIDEO = Item(Kind.LIBRARY_MUSIC_VIDEO, LIBRARY_SONG.id)

TWINS = [
    (LIBRARY_SONG, SONG),
    (Item(Kind.LIBRARY_ALBUM, "l.dS7C0kp"), ALBUM),
    (Item(Kind.LIBRARY_MUSIC_VIDEO, "i.rpN2eB4d"), Item(Kind.MUSIC_VIDEO, "1453053442")),
    (Item(Kind.LIBRARY_PLAYLIST, "p.vMO5kRQiX1xGMr"), Item(Kind.PLAYLIST, "pl.u-LdbqEMDIYq5Yl")),
]

PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


def song(number: int) -> Item:
    return Item(Kind.SONG, str(number))


def library_song(number: int) -> Item:
    return Item(Kind.LIBRARY_SONG, f"i.{number}")


def developer_key(id: str = "ABC123DEFG", *, created: int = MONDAY) -> DeveloperKey:
    return DeveloperKey(id, TEAM_ID, PUBLIC_KEY, created)


# One rating


async def test_what_was_put_is_got_with_its_value_and_time(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)

    assert await store.get(ada, [SONG]) == [Rating(SONG, LIKE, MONDAY)]


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.type)
async def test_an_item_of_any_kind_can_be_rated_and_cleared(store, ada, kind):
    item = Item(kind, f"{kind.prefix}1")

    await store.put(ada, item, DISLIKE, now=MONDAY)
    rated = await store.get(ada, [item])
    was_rated = await store.delete(ada, item, now=TUESDAY)
    cleared = await store.get(ada, [item])

    assert rated == [Rating(item, DISLIKE, MONDAY)]
    assert was_rated
    assert cleared == []


async def test_what_was_never_rated_is_left_out(store, ada):
    assert await store.get(ada, [SONG]) == []
    assert await store.get(ada, [LIBRARY_SONG]) == []


async def test_a_put_replaces_the_value(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.put(ada, SONG, DISLIKE, now=TUESDAY)

    assert await store.get(ada, [SONG]) == [Rating(SONG, DISLIKE, TUESDAY)]


async def test_a_put_of_the_same_value_moves_the_time(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.put(ada, SONG, LIKE, now=TUESDAY)

    assert await store.get(ada, [SONG]) == [Rating(SONG, LIKE, TUESDAY)]


async def test_the_last_put_wins_though_its_time_be_older(store, ada):
    await store.put(ada, SONG, LIKE, now=TUESDAY)
    await store.put(ada, SONG, DISLIKE, now=MONDAY)

    assert await store.get(ada, [SONG]) == [Rating(SONG, DISLIKE, MONDAY)]


async def test_a_delete_says_whether_there_was_a_rating(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)

    assert await store.delete(ada, SONG, now=TUESDAY)
    assert not await store.delete(ada, SONG, now=TUESDAY)
    assert not await store.delete(ada, OTHER_SONG, now=TUESDAY)


async def test_what_was_cleared_can_be_rated_again(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.delete(ada, SONG, now=TUESDAY)
    await store.put(ada, SONG, DISLIKE, now=WEDNESDAY)

    assert await store.get(ada, [SONG]) == [Rating(SONG, DISLIKE, WEDNESDAY)]


@pytest.mark.parametrize("time", [0, 1, 999, MONDAY, MONDAY + 1, 253_402_300_799_999, 2**53 + 1])
async def test_times_are_kept_to_the_millisecond(store, ada, time):
    await store.put(ada, SONG, LIKE, now=time)

    assert await store.get(ada, [SONG]) == [Rating(SONG, LIKE, time)]


@pytest.mark.parametrize(
    ("id", "other_id"),
    [
        (Item(Kind.PLAYLIST, "pl.u-AbC"), Item(Kind.PLAYLIST, "pl.u-aBc")),
        (Item(Kind.LIBRARY_SONG, "i.abc"), Item(Kind.LIBRARY_SONG, "i.ABC")),
        (Item(Kind.SONG, "1"), Item(Kind.SONG, "01")),
        (Item(Kind.SONG, "1"), Item(Kind.SONG, "10")),
        (Item(Kind.SONG, "9007199254740993"), Item(Kind.SONG, "9007199254740992")),
        (Item(Kind.SONG, "18446744073709551615"), Item(Kind.SONG, "18446744073709551616")),
        (Item(Kind.STATION, "ra.a_c"), Item(Kind.STATION, "ra.abc")),
        (Item(Kind.STATION, "ra." + "a" * 61), Item(Kind.STATION, "ra." + "a" * 60)),
        (SONG, ALBUM),
        (LIBRARY_SONG, LIBRARY_VIDEO),
    ],
)
async def test_items_that_differ_by_a_byte_or_by_kind_are_rated_apart(store, ada, id, other_id):
    await store.put(ada, id, LIKE, now=MONDAY)
    alone = await store.get(ada, [id, other_id])
    await store.put(ada, other_id, DISLIKE, now=TUESDAY)

    assert alone == [Rating(id, LIKE, MONDAY)]
    assert await store.get(ada, [id, other_id]) == [Rating(id, LIKE, MONDAY), Rating(other_id, DISLIKE, TUESDAY)]


# Many ratings


async def test_ratings_come_in_the_order_in_which_they_were_asked_for(store, ada):
    items = [song(2), STATION, library_song(1), song(10), ALBUM, song(1), LIBRARY_VIDEO]
    for item in sorted(items, key=lambda item: item.id):
        await store.put(ada, item, LIKE, now=MONDAY)

    assert [rating.item for rating in await store.get(ada, items)] == items
    assert [rating.item for rating in await store.get(ada, items[::-1])] == items[::-1]


async def test_unrated_cleared_and_dead_items_are_left_out_among_others(store, ada):
    await store.put(ada, song(1), LIKE, now=MONDAY)
    await store.put(ada, song(2), LIKE, now=MONDAY)
    await store.delete(ada, song(2), now=MONDAY)
    await store.put(ada, library_song(1), DISLIKE, now=MONDAY)
    await store.put(ada, library_song(2), LIKE, now=MONDAY)
    await store.unlink(ada, library_song(2), now=MONDAY)

    assert await store.get(ada, [song(3), library_song(2), song(2), library_song(1), song(1)]) == [
        Rating(library_song(1), DISLIKE, MONDAY),
        Rating(song(1), LIKE, MONDAY),
    ]


async def test_nothing_asked_for_is_nothing_got(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)

    assert await store.get(ada, []) == []


@pytest.mark.parametrize("kind", [Kind.SONG, Kind.PLAYLIST, Kind.LIBRARY_SONG], ids=lambda kind: kind.type)
async def test_a_thousand_items_are_written_and_read_at_once(store, ada, kind):
    prefix = {Kind.SONG: "", Kind.PLAYLIST: "pl.", Kind.LIBRARY_SONG: "i."}[kind]
    items = [Item(kind, f"{prefix}{number:020}") for number in range(1_000)]
    random.Random(0).shuffle(items)

    done = await store.write(ada, [Change(item, LIKE) for item in items], now=MONDAY)

    assert done == [True] * 1_000
    assert await store.get(ada, items) == [Rating(item, LIKE, MONDAY) for item in items]


# Writing several


async def test_changes_are_made_in_their_order_and_each_says_whether_it_did_anything(store, ada):
    changes = [
        Change(SONG, None),
        Change(SONG, LIKE),
        Change(SONG, None),
        Change(SONG, None),
        Change(SONG, DISLIKE),
        Change(OTHER_SONG, LIKE),
    ]

    done = await store.write(ada, changes, now=MONDAY)

    assert done == [False, True, True, False, True, True]
    assert await store.get(ada, [SONG, OTHER_SONG]) == [
        Rating(SONG, DISLIKE, MONDAY),
        Rating(OTHER_SONG, LIKE, MONDAY),
    ]


async def test_no_changes_do_nothing(store, ada, rows):
    assert await store.write(ada, [], now=MONDAY) == []
    assert rows(ada) == []


@pytest.mark.parametrize(("value", "only"), [(LIKE, DISLIKE), (DISLIKE, LIKE)])
async def test_clearing_only_one_value_leaves_the_other(store, ada, rows, value, only):
    await store.put(ada, SONG, value, now=MONDAY)
    before = rows(ada)

    assert await store.write(ada, [Change(SONG, None, only)], now=TUESDAY) == [False]
    assert await store.get(ada, [SONG]) == [Rating(SONG, value, MONDAY)]
    assert rows(ada) == before


@pytest.mark.parametrize("value", Value)
async def test_clearing_only_one_value_clears_that_value(store, ada, value):
    await store.put(ada, SONG, value, now=MONDAY)

    assert await store.write(ada, [Change(SONG, None, value)], now=TUESDAY) == [True]
    assert await store.get(ada, [SONG]) == []


async def test_clearing_only_likes_sees_the_rating_through_the_library_address(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)

    assert await store.write(ada, [Change(LIBRARY_SONG, None, DISLIKE)], now=TUESDAY) == [False]
    assert await store.write(ada, [Change(LIBRARY_SONG, None, LIKE)], now=TUESDAY) == [True]
    assert await store.get(ada, [SONG, LIBRARY_SONG]) == []


async def test_a_write_that_fails_midway_writes_nothing(store, ada, rows):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    before = rows(ada)
    no_value = cast("Value", 2)

    with pytest.raises(LikewiseError):
        await store.write(
            ada, [Change(SONG, None), Change(library_song(1), LIKE), Change(ALBUM, no_value)], now=TUESDAY
        )

    assert rows(ada) == before
    assert await store.get(ada, [SONG, library_song(1), ALBUM]) == [Rating(SONG, LIKE, MONDAY)]
    assert await store.library_items(ada, [library_song(1)]) == []


async def test_adding_that_fails_midway_adds_nothing(store, ada):
    with pytest.raises(LikewiseError):
        await store.add(ada, [(LIBRARY_SONG, SONG), (LIBRARY_SONG, OTHER_SONG)], now=MONDAY)

    assert await store.library_page(ada, Kind.LIBRARY_SONG, limit=10, offset=0) == LibraryPage([], 0)


async def test_a_write_that_failed_does_not_spoil_those_that_ran_beside_it(store, ada, ben):
    outcomes = await asyncio.gather(
        store.put(ada, song(1), LIKE, now=MONDAY),
        store.write(ada, [Change(song(2), LIKE), Change(song(3), cast("Value", 2))], now=MONDAY),
        store.add_listener("ben", "us"),
        store.put(ben, song(1), DISLIKE, now=MONDAY),
        return_exceptions=True,
    )

    assert (outcomes[0], outcomes[3]) == (None, None)
    assert isinstance(outcomes[1], LikewiseError)
    assert isinstance(outcomes[2], AlreadyExists)
    assert await store.get(ada, [song(1), song(2), song(3)]) == [Rating(song(1), LIKE, MONDAY)]
    assert await store.get(ben, [song(1)]) == [Rating(song(1), DISLIKE, MONDAY)]


# Change numbers and tombstones


async def test_a_cleared_rating_leaves_a_tombstone_with_its_time_and_number(store, ada, rows):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    [rated] = rows(ada)
    await store.delete(ada, SONG, now=TUESDAY)
    [tombstone] = rows(ada)

    assert (tombstone.item, tombstone.value, tombstone.time) == (SONG, 0, TUESDAY)
    assert tombstone.change > rated.change


async def test_clearing_what_is_not_rated_leaves_no_trace(store, ada, rows):
    await store.delete(ada, SONG, now=MONDAY)
    await store.delete(ada, LIBRARY_SONG, now=MONDAY)

    assert rows(ada) == []
    assert await store.library_items(ada, [LIBRARY_SONG]) == []


async def test_each_rating_that_a_call_changes_gets_a_number_above_all_before(store, ada, rows):
    seen = 0
    for now, (item, value) in enumerate([(SONG, LIKE), (SONG, LIKE), (ALBUM, DISLIKE), (SONG, None), (SONG, LIKE)]):
        await store.write(ada, [Change(item, value)], now=now)
        newest = rows(ada)[-1]

        assert newest.item == item
        assert newest.change > seen
        seen = newest.change


async def test_changes_of_one_call_are_numbered_in_their_order(store, ada, rows):
    items = [song(3), ALBUM, song(1), library_song(2), STATION]

    await store.write(ada, [Change(item, LIKE) for item in items], now=MONDAY)

    assert [row.item for row in rows(ada)] == items
    assert len({row.change for row in rows(ada)}) == len(items)


async def test_merging_two_ratings_numbers_what_it_changed(store, ada, rows):
    await store.put(ada, SONG, DISLIKE, now=MONDAY)
    await store.put(ada, LIBRARY_SONG, LIKE, now=TUESDAY)
    seen = rows(ada)[-1].change

    await store.link(ada, LIBRARY_SONG, SONG, now=WEDNESDAY)

    by_item = {row.item: row for row in rows(ada)}
    assert (by_item[SONG].value, by_item[SONG].time) == (LIKE, TUESDAY)
    assert (by_item[LIBRARY_SONG].value, by_item[LIBRARY_SONG].time) == (0, WEDNESDAY)
    assert by_item[SONG].change > seen
    assert by_item[LIBRARY_SONG].change > seen
    assert by_item[SONG].change != by_item[LIBRARY_SONG].change


async def test_an_upload_that_was_removed_leaves_a_tombstone(store, ada, rows):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    [rated] = rows(ada)
    await store.unlink(ada, LIBRARY_SONG, now=TUESDAY)
    [tombstone] = rows(ada)

    assert (tombstone.value, tombstone.time) == (0, TUESDAY)
    assert tombstone.change > rated.change


async def test_what_is_not_changed_keeps_its_number(store, ada, rows):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    before = rows(ada)
    await store.add(ada, [(LIBRARY_SONG, SONG)], now=TUESDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=TUESDAY)
    await store.unlink(ada, LIBRARY_SONG, now=WEDNESDAY)

    assert rows(ada) == before


async def test_the_numbers_of_concurrent_changes_never_repeat(store, ada, ben, rows):
    items = [song(number) for number in range(50)]

    await asyncio.gather(*(store.put(listener, item, LIKE, now=MONDAY) for item in items for listener in (ada, ben)))

    assert len({row.change for row in rows(ada)}) == len(items)
    assert len({row.change for row in rows(ben)}) == len(items)


# Two addresses of one rating


@pytest.mark.parametrize(("library_item", "catalog_item"), TWINS, ids=lambda item: item.kind.type)
async def test_what_is_rated_under_one_address_is_read_under_both(store, ada, library_item, catalog_item):
    await store.link(ada, library_item, catalog_item, now=MONDAY)

    await store.put(ada, library_item, LIKE, now=MONDAY)
    through_library = await store.get(ada, [catalog_item, library_item])
    await store.put(ada, catalog_item, DISLIKE, now=TUESDAY)
    through_catalog = await store.get(ada, [library_item, catalog_item])

    assert through_library == [Rating(catalog_item, LIKE, MONDAY), Rating(library_item, LIKE, MONDAY)]
    assert through_catalog == [Rating(library_item, DISLIKE, TUESDAY), Rating(catalog_item, DISLIKE, TUESDAY)]


@pytest.mark.parametrize("address", [SONG, LIBRARY_SONG], ids=["catalog", "library"])
async def test_what_is_cleared_under_one_address_is_cleared_under_both(store, ada, address):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(ada, SONG, LIKE, now=MONDAY)

    assert await store.delete(ada, address, now=TUESDAY)
    assert await store.get(ada, [SONG, LIBRARY_SONG]) == []
    assert not await store.delete(ada, SONG, now=TUESDAY)
    assert not await store.delete(ada, LIBRARY_SONG, now=TUESDAY)


async def test_both_addresses_write_one_row_under_the_catalog_item(store, ada, rows):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.put(ada, SONG, LIKE, now=TUESDAY)

    assert [(row.item, row.time) for row in rows(ada)] == [(SONG, TUESDAY)]


async def test_one_call_may_change_both_addresses_and_the_last_change_counts(store, ada):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)

    done = await store.write(ada, [Change(LIBRARY_SONG, LIKE), Change(SONG, None), Change(SONG, None)], now=MONDAY)

    assert done == [True, True, False]
    assert await store.get(ada, [LIBRARY_SONG, SONG]) == []


async def test_what_was_rated_before_it_was_added_shows_at_once_under_its_library_id(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.add(ada, [(LIBRARY_SONG, SONG)], now=TUESDAY)

    assert await store.get(ada, [LIBRARY_SONG]) == [Rating(LIBRARY_SONG, LIKE, MONDAY)]


# Linking what was rated before


async def test_when_both_were_rated_the_newer_library_rating_wins(store, ada):
    await store.put(ada, SONG, DISLIKE, now=MONDAY)
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY + 1)
    await store.link(ada, LIBRARY_SONG, SONG, now=WEDNESDAY)

    assert await store.get(ada, [SONG, LIBRARY_SONG]) == [
        Rating(SONG, LIKE, MONDAY + 1),
        Rating(LIBRARY_SONG, LIKE, MONDAY + 1),
    ]


async def test_when_both_were_rated_the_newer_catalog_rating_wins(store, ada):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.put(ada, SONG, DISLIKE, now=MONDAY + 1)
    await store.link(ada, LIBRARY_SONG, SONG, now=WEDNESDAY)

    assert await store.get(ada, [SONG, LIBRARY_SONG]) == [
        Rating(SONG, DISLIKE, MONDAY + 1),
        Rating(LIBRARY_SONG, DISLIKE, MONDAY + 1),
    ]


@pytest.mark.parametrize("first", [SONG, LIBRARY_SONG], ids=["catalog first", "library first"])
async def test_when_both_were_rated_at_one_time_the_catalog_rating_wins(store, ada, first):
    values = {SONG: DISLIKE, LIBRARY_SONG: LIKE}
    second = LIBRARY_SONG if first == SONG else SONG
    await store.put(ada, first, values[first], now=MONDAY)
    await store.put(ada, second, values[second], now=MONDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=TUESDAY)

    assert await store.get(ada, [LIBRARY_SONG]) == [Rating(LIBRARY_SONG, DISLIKE, MONDAY)]


@pytest.mark.parametrize("rated", [SONG, LIBRARY_SONG], ids=["catalog", "library"])
async def test_when_one_side_was_rated_its_rating_stays_with_its_time(store, ada, rated):
    await store.put(ada, rated, LIKE, now=MONDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=TUESDAY)

    assert await store.get(ada, [SONG, LIBRARY_SONG]) == [
        Rating(SONG, LIKE, MONDAY),
        Rating(LIBRARY_SONG, LIKE, MONDAY),
    ]


@pytest.mark.parametrize(
    ("rated", "cleared"), [(SONG, LIBRARY_SONG), (LIBRARY_SONG, SONG)], ids=["library cleared", "catalog cleared"]
)
async def test_a_rating_that_was_cleared_does_not_compete_however_new(store, ada, rated, cleared):
    await store.put(ada, rated, LIKE, now=MONDAY)
    await store.put(ada, cleared, DISLIKE, now=TUESDAY)
    await store.delete(ada, cleared, now=WEDNESDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=WEDNESDAY)

    assert await store.get(ada, [SONG, LIBRARY_SONG]) == [
        Rating(SONG, LIKE, MONDAY),
        Rating(LIBRARY_SONG, LIKE, MONDAY),
    ]


async def test_when_neither_side_was_rated_neither_is_after_the_link(store, ada, rows):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)

    assert await store.get(ada, [SONG, LIBRARY_SONG]) == []
    assert rows(ada) == []


async def test_a_library_item_that_the_store_has_not_met_can_be_linked(store, ada):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)

    assert await store.library_items(ada, [LIBRARY_SONG]) == [LibraryItem(LIBRARY_SONG, SONG, MONDAY)]


async def test_linking_again_changes_nothing(store, ada, rows):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    before = rows(ada)
    await store.link(ada, LIBRARY_SONG, SONG, now=TUESDAY)

    assert rows(ada) == before
    assert await store.library_items(ada, [LIBRARY_SONG]) == [LibraryItem(LIBRARY_SONG, SONG, MONDAY)]


async def test_linking_to_another_item_moves_the_address_and_leaves_the_former_its_rating(store, ada):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.link(ada, LIBRARY_SONG, OTHER_SONG, now=TUESDAY)

    assert await store.get(ada, [SONG, OTHER_SONG, LIBRARY_SONG]) == [Rating(SONG, LIKE, MONDAY)]
    assert await store.library_items(ada, [LIBRARY_SONG]) == [LibraryItem(LIBRARY_SONG, OTHER_SONG, MONDAY)]
    assert await store.library_twin(ada, SONG) is None


async def test_an_address_that_moved_shows_the_rating_of_where_it_moved(store, ada):
    await store.put(ada, OTHER_SONG, DISLIKE, now=MONDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(ada, SONG, LIKE, now=TUESDAY)
    await store.link(ada, LIBRARY_SONG, OTHER_SONG, now=TUESDAY)

    assert await store.get(ada, [LIBRARY_SONG]) == [Rating(LIBRARY_SONG, DISLIKE, MONDAY)]


async def test_an_upload_that_was_linked_and_moved_does_not_bring_back_its_old_rating(store, ada):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=TUESDAY)
    await store.delete(ada, SONG, now=TUESDAY)
    await store.link(ada, LIBRARY_SONG, OTHER_SONG, now=WEDNESDAY)

    assert await store.get(ada, [LIBRARY_SONG, SONG, OTHER_SONG]) == []


async def test_a_catalog_item_left_by_its_address_can_be_linked_again(store, ada):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.link(ada, LIBRARY_SONG, OTHER_SONG, now=TUESDAY)
    await store.link(ada, OTHER_LIBRARY_SONG, SONG, now=TUESDAY)

    assert await store.library_twin(ada, SONG) == LibraryItem(OTHER_LIBRARY_SONG, SONG, TUESDAY)


async def test_a_catalog_item_that_has_another_library_id_refuses_the_link(store, ada, rows):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(ada, OTHER_LIBRARY_SONG, LIKE, now=TUESDAY)
    before = rows(ada)

    with pytest.raises(LinkRefused):
        await store.link(ada, OTHER_LIBRARY_SONG, SONG, now=WEDNESDAY)
    assert rows(ada) == before
    assert await store.get(ada, [OTHER_LIBRARY_SONG, SONG]) == [Rating(OTHER_LIBRARY_SONG, LIKE, TUESDAY)]
    assert await store.library_twin(ada, SONG) == LibraryItem(LIBRARY_SONG, SONG, MONDAY)


async def test_a_dead_library_id_refuses_the_link(store, ada):
    await store.add(ada, [(LIBRARY_SONG, SONG)], now=MONDAY)
    await store.unlink(ada, LIBRARY_SONG, now=TUESDAY)

    for catalog_item in (SONG, OTHER_SONG):
        with pytest.raises(LinkRefused):
            await store.link(ada, LIBRARY_SONG, catalog_item, now=WEDNESDAY)
    assert await store.library_items(ada, [LIBRARY_SONG]) == []


async def test_a_catalog_item_whose_library_id_died_can_be_linked_again(store, ada):
    await store.add(ada, [(LIBRARY_SONG, SONG)], now=MONDAY)
    await store.unlink(ada, LIBRARY_SONG, now=TUESDAY)
    await store.link(ada, OTHER_LIBRARY_SONG, SONG, now=WEDNESDAY)

    assert await store.library_twin(ada, SONG) == LibraryItem(OTHER_LIBRARY_SONG, SONG, WEDNESDAY)


# Adding to the library


async def test_what_was_added_is_in_the_library_with_its_twin_and_time(store, ada):
    await store.add(ada, TWINS, now=MONDAY)

    library_items = [library_item for library_item, _ in TWINS]
    assert await store.library_items(ada, library_items) == [LibraryItem(*pair, MONDAY) for pair in TWINS]


async def test_adding_what_is_there_keeps_its_id_and_time(store, ada):
    await store.add(ada, [(LIBRARY_SONG, SONG)], now=MONDAY)
    await store.add(ada, [(OTHER_LIBRARY_SONG, SONG)], now=TUESDAY)

    assert await store.library_twin(ada, SONG) == LibraryItem(LIBRARY_SONG, SONG, MONDAY)
    assert await store.library_items(ada, [OTHER_LIBRARY_SONG]) == []


async def test_of_one_item_that_is_added_twice_in_a_call_the_first_id_stays(store, ada):
    await store.add(ada, [(LIBRARY_SONG, SONG), (OTHER_LIBRARY_SONG, SONG)], now=MONDAY)

    page = await store.library_page(ada, Kind.LIBRARY_SONG, limit=10, offset=0)
    assert page == LibraryPage([LibraryItem(LIBRARY_SONG, SONG, MONDAY)], 1)


async def test_a_fresh_id_that_was_dropped_is_unknown_and_may_be_used(store, ada):
    await store.add(ada, [(LIBRARY_SONG, SONG)], now=MONDAY)
    await store.add(ada, [(OTHER_LIBRARY_SONG, SONG)], now=MONDAY)
    await store.put(ada, OTHER_LIBRARY_SONG, LIKE, now=TUESDAY)

    assert await store.library_items(ada, [OTHER_LIBRARY_SONG]) == [LibraryItem(OTHER_LIBRARY_SONG, None, TUESDAY)]
    assert await store.get(ada, [SONG]) == []


async def test_adding_again_what_was_removed_gives_the_fresh_id(store, ada):
    await store.add(ada, [(LIBRARY_SONG, SONG)], now=MONDAY)
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.unlink(ada, LIBRARY_SONG, now=TUESDAY)
    await store.add(ada, [(OTHER_LIBRARY_SONG, SONG)], now=WEDNESDAY)

    assert await store.library_twin(ada, SONG) == LibraryItem(OTHER_LIBRARY_SONG, SONG, WEDNESDAY)
    assert await store.get(ada, [LIBRARY_SONG, OTHER_LIBRARY_SONG]) == [Rating(OTHER_LIBRARY_SONG, LIKE, MONDAY)]


async def test_adding_nothing_does_nothing(store, ada):
    await store.add(ada, [], now=MONDAY)

    assert await store.library_page(ada, Kind.LIBRARY_SONG, limit=10, offset=0) == LibraryPage([], 0)


async def test_a_song_and_an_album_of_one_id_have_their_own_library_ids(store, ada):
    library_album = Item(Kind.LIBRARY_ALBUM, "l.1")

    await store.add(ada, [(LIBRARY_SONG, SONG), (library_album, ALBUM)], now=MONDAY)

    assert await store.library_twin(ada, SONG) == LibraryItem(LIBRARY_SONG, SONG, MONDAY)
    assert await store.library_twin(ada, ALBUM) == LibraryItem(library_album, ALBUM, MONDAY)


async def test_of_many_additions_at_once_one_gives_the_id(store, ada):
    fresh = [library_song(number) for number in range(10)]

    await asyncio.gather(*(store.add(ada, [(item, SONG)], now=MONDAY) for item in fresh))

    page = await store.library_page(ada, Kind.LIBRARY_SONG, limit=100, offset=0)
    assert page.total == 1
    assert page.items[0].item in fresh
    assert await store.library_twin(ada, SONG) == page.items[0]


# Uploads


async def test_rating_a_library_item_that_the_store_has_not_met_makes_it_known_as_an_upload(store, ada):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)

    assert await store.library_items(ada, [LIBRARY_SONG]) == [LibraryItem(LIBRARY_SONG, None, MONDAY)]


async def test_rating_an_upload_again_leaves_the_time_when_it_was_added(store, ada):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.put(ada, LIBRARY_SONG, LIKE, now=TUESDAY)

    assert await store.library_items(ada, [LIBRARY_SONG]) == [LibraryItem(LIBRARY_SONG, None, MONDAY)]


async def test_an_upload_stays_known_when_its_rating_is_cleared(store, ada):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.delete(ada, LIBRARY_SONG, now=TUESDAY)

    assert await store.library_items(ada, [LIBRARY_SONG]) == [LibraryItem(LIBRARY_SONG, None, MONDAY)]


async def test_an_upload_that_finds_its_match_keeps_its_id_and_when_it_was_added(store, ada):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=TUESDAY)

    assert await store.library_items(ada, [LIBRARY_SONG]) == [LibraryItem(LIBRARY_SONG, SONG, MONDAY)]


# Removing from the library


async def test_unlink_says_whether_the_item_was_there(store, ada):
    await store.add(ada, [(LIBRARY_SONG, SONG)], now=MONDAY)

    assert await store.unlink(ada, LIBRARY_SONG, now=TUESDAY)
    assert not await store.unlink(ada, LIBRARY_SONG, now=TUESDAY)
    assert not await store.unlink(ada, OTHER_LIBRARY_SONG, now=TUESDAY)


async def test_the_rating_of_a_catalog_item_stays_when_it_leaves_the_library(store, ada):
    await store.add(ada, [(LIBRARY_SONG, SONG)], now=MONDAY)
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.unlink(ada, LIBRARY_SONG, now=TUESDAY)

    assert await store.get(ada, [LIBRARY_SONG, SONG]) == [Rating(SONG, LIKE, MONDAY)]
    assert await store.library_twin(ada, SONG) is None


async def test_an_uploads_rating_goes_with_the_upload(store, ada):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.unlink(ada, LIBRARY_SONG, now=TUESDAY)

    assert await store.get(ada, [LIBRARY_SONG]) == []
    assert await store.library_items(ada, [LIBRARY_SONG]) == []


async def test_an_unrated_upload_can_be_removed(store, ada, rows):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.delete(ada, LIBRARY_SONG, now=TUESDAY)
    before = rows(ada)

    assert await store.unlink(ada, LIBRARY_SONG, now=WEDNESDAY)
    assert rows(ada) == before


async def dead_upload(store: Store, listener: Listener) -> None:
    await store.put(listener, LIBRARY_SONG, LIKE, now=MONDAY)
    await store.unlink(listener, LIBRARY_SONG, now=TUESDAY)


async def dead_address(store: Store, listener: Listener) -> None:
    await store.add(listener, [(LIBRARY_SONG, SONG)], now=MONDAY)
    await store.put(listener, SONG, LIKE, now=MONDAY)
    await store.unlink(listener, LIBRARY_SONG, now=TUESDAY)


@pytest.mark.parametrize("kill", [dead_upload, dead_address])
async def test_nothing_is_done_to_a_dead_library_id(store, ada, rows, kill):
    await kill(store, ada)
    before = rows(ada)

    with pytest.raises(ResourceNotFound):
        await store.put(ada, LIBRARY_SONG, DISLIKE, now=WEDNESDAY)
    assert not await store.delete(ada, LIBRARY_SONG, now=WEDNESDAY)
    assert not await store.unlink(ada, LIBRARY_SONG, now=WEDNESDAY)
    assert await store.get(ada, [LIBRARY_SONG]) == []
    assert await store.library_items(ada, [LIBRARY_SONG]) == []
    assert rows(ada) == before


@pytest.mark.parametrize("kill", [dead_upload, dead_address])
async def test_a_dead_library_id_among_other_changes_is_passed_over(store, ada, kill):
    await kill(store, ada)

    done = await store.write(ada, [Change(LIBRARY_SONG, LIKE), Change(OTHER_SONG, LIKE)], now=WEDNESDAY)

    assert done == [False, True]
    assert await store.get(ada, [LIBRARY_SONG, OTHER_SONG]) == [Rating(OTHER_SONG, LIKE, WEDNESDAY)]


async def test_an_id_that_died_as_a_song_lives_as_a_music_video(store, ada):
    await dead_upload(store, ada)
    await store.put(ada, LIBRARY_VIDEO, LIKE, now=WEDNESDAY)

    assert await store.get(ada, [LIBRARY_SONG, LIBRARY_VIDEO]) == [Rating(LIBRARY_VIDEO, LIKE, WEDNESDAY)]


# Reading the library


async def test_library_items_come_in_the_order_in_which_they_were_asked_for(store, ada):
    await store.add(ada, TWINS, now=MONDAY)
    items = [TWINS[2][0], TWINS[0][0], TWINS[3][0], TWINS[1][0]]

    assert [found.item for found in await store.library_items(ada, items)] == items


async def test_unknown_and_dead_items_are_not_in_the_library(store, ada):
    await store.add(ada, [(library_song(1), song(1)), (library_song(2), song(2))], now=MONDAY)
    await store.unlink(ada, library_song(1), now=MONDAY)

    found = await store.library_items(ada, [library_song(number) for number in (3, 2, 1)])

    assert found == [LibraryItem(library_song(2), song(2), MONDAY)]
    assert await store.library_items(ada, []) == []


@pytest.mark.parametrize("item", [SONG, STATION, LIBRARY_SONG], ids=lambda item: item.kind.type)
async def test_what_has_no_library_item_has_no_twin(store, ada, item):
    await store.put(ada, item, LIKE, now=MONDAY)

    assert await store.library_twin(ada, item) is None


async def test_the_library_is_paged_newest_first(store, ada):
    await store.add(ada, [(library_song(1), song(1))], now=TUESDAY)
    await store.put(ada, library_song(2), LIKE, now=MONDAY)
    await store.link(ada, library_song(3), song(3), now=WEDNESDAY)

    page = await store.library_page(ada, Kind.LIBRARY_SONG, limit=10, offset=0)

    assert page.items == [
        LibraryItem(library_song(3), song(3), WEDNESDAY),
        LibraryItem(library_song(1), song(1), TUESDAY),
        LibraryItem(library_song(2), None, MONDAY),
    ]
    assert page.total == 3


async def test_of_items_added_at_one_time_the_later_is_the_newer(store, ada):
    order = [3, 1, 2, 10, 9]
    await store.add(ada, [(library_song(number), song(number)) for number in order[:3]], now=MONDAY)
    await store.add(ada, [(library_song(number), song(number)) for number in order[3:]], now=MONDAY)

    page = await store.library_page(ada, Kind.LIBRARY_SONG, limit=10, offset=0)

    assert [found.item for found in page.items] == [library_song(number) for number in reversed(order)]


async def test_rating_and_moving_an_item_leave_its_place_in_the_library(store, ada):
    await store.add(ada, [(library_song(1), song(1)), (library_song(2), song(2))], now=MONDAY)
    await store.put(ada, library_song(1), LIKE, now=TUESDAY)
    await store.link(ada, library_song(1), song(3), now=TUESDAY)

    page = await store.library_page(ada, Kind.LIBRARY_SONG, limit=10, offset=0)

    assert [found.item for found in page.items] == [library_song(2), library_song(1)]


@pytest.mark.parametrize(
    ("limit", "offset", "numbers"),
    [(2, 0, [4, 3]), (2, 2, [2, 1]), (2, 4, [0]), (2, 5, []), (5, 0, [4, 3, 2, 1, 0]), (6, 0, [4, 3, 2, 1, 0])],
)
async def test_a_page_has_its_part_of_the_library_and_the_number_of_all(store, ada, limit, offset, numbers):
    await store.add(ada, [(library_song(number), song(number)) for number in range(5)], now=MONDAY)

    page = await store.library_page(ada, Kind.LIBRARY_SONG, limit=limit, offset=offset)

    assert [found.item for found in page.items] == [library_song(number) for number in numbers]
    assert page.total == 5


async def test_a_page_has_neither_other_kinds_nor_what_was_removed(store, ada):
    await store.add(ada, [*TWINS, (OTHER_LIBRARY_SONG, OTHER_SONG)], now=MONDAY)
    await store.unlink(ada, LIBRARY_SONG, now=TUESDAY)

    page = await store.library_page(ada, Kind.LIBRARY_SONG, limit=10, offset=0)

    assert page == LibraryPage([LibraryItem(OTHER_LIBRARY_SONG, OTHER_SONG, MONDAY)], 1)


# Isolation


async def test_what_one_listener_rates_and_clears_another_never_sees(store, ada, ben, rows):
    await store.put(ben, SONG, DISLIKE, now=MONDAY)
    before = rows(ben)
    await store.put(ada, SONG, LIKE, now=TUESDAY)
    await store.put(ada, ALBUM, LIKE, now=TUESDAY)
    await store.delete(ada, SONG, now=WEDNESDAY)

    assert await store.get(ben, [SONG, ALBUM]) == [Rating(SONG, DISLIKE, MONDAY)]
    assert rows(ben) == before


async def test_a_link_of_one_listener_is_no_link_of_another(store, ada, ben):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(ben, SONG, LIKE, now=MONDAY)
    await store.put(ada, SONG, DISLIKE, now=MONDAY)

    assert await store.get(ben, [LIBRARY_SONG]) == []
    assert await store.library_items(ben, [LIBRARY_SONG]) == []
    assert await store.library_twin(ben, SONG) is None
    assert await store.library_page(ben, Kind.LIBRARY_SONG, limit=10, offset=0) == LibraryPage([], 0)


async def test_two_listeners_may_use_one_library_id_for_two_things(store, ada, ben):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.link(ben, LIBRARY_SONG, OTHER_SONG, now=MONDAY)
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)

    assert await store.get(ada, [SONG, OTHER_SONG]) == [Rating(SONG, LIKE, MONDAY)]
    assert await store.get(ben, [SONG, OTHER_SONG, LIBRARY_SONG]) == []


async def test_an_id_that_is_dead_for_one_listener_lives_for_another(store, ada, ben):
    await dead_upload(store, ada)
    await store.put(ben, LIBRARY_SONG, LIKE, now=WEDNESDAY)

    assert await store.get(ben, [LIBRARY_SONG]) == [Rating(LIBRARY_SONG, LIKE, WEDNESDAY)]


# At once


async def test_of_concurrent_puts_on_one_item_the_last_to_be_written_stays_whole(store, ada, rows):
    puts = [(value, MONDAY + number) for number, value in enumerate([LIKE, DISLIKE] * 20)]

    await asyncio.gather(*(store.put(ada, SONG, value, now=time) for value, time in puts))

    [rating] = await store.get(ada, [SONG])
    assert (rating.value, rating.time) in puts
    assert [(row.value, row.time) for row in rows(ada)] == [(rating.value, rating.time)]


async def test_of_concurrent_deletes_one_finds_the_rating(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)

    were_rated = await asyncio.gather(*(store.delete(ada, SONG, now=TUESDAY) for _ in range(10)))

    assert were_rated.count(True) == 1


async def test_of_concurrent_links_to_one_catalog_item_one_is_made(store, ada):
    items = [library_song(number) for number in range(10)]

    outcomes = await asyncio.gather(
        *(store.link(ada, item, SONG, now=MONDAY) for item in items), return_exceptions=True
    )

    linked = [item for item, outcome in zip(items, outcomes, strict=True) if outcome is None]
    refused = [outcome for outcome in outcomes if isinstance(outcome, LinkRefused)]
    assert len(linked) == 1
    assert len(refused) == 9
    assert await store.library_twin(ada, SONG) == LibraryItem(linked[0], SONG, MONDAY)


async def test_whatever_was_acknowledged_among_concurrent_writes_is_seen_at_once(store, ada, ben):
    async def put_and_get(listener: Listener, number: int) -> list[Rating]:
        await store.put(listener, song(number), LIKE, now=number)
        ratings: list[Rating] = await store.get(listener, [song(number)])
        return ratings

    seen = await asyncio.gather(*(put_and_get(listener, number) for number in range(100) for listener in (ada, ben)))

    assert seen == [[Rating(song(number), LIKE, number)] for number in range(100) for _ in (ada, ben)]


async def test_whoever_is_cancelled_while_waiting_harms_nobody(store, ada, ben):
    items = [song(number) for number in range(40)]
    puts = [asyncio.ensure_future(store.put(ada, item, LIKE, now=MONDAY)) for item in items]
    await asyncio.sleep(0)  # now all of them wait
    for put in puts[::2]:
        put.cancel()
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    await store.put(ben, SONG, LIKE, now=TUESDAY)

    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert await store.get(ada, items[1::2]) == [Rating(item, LIKE, MONDAY) for item in items[1::2]]
    assert await store.get(ben, [SONG]) == [Rating(SONG, LIKE, TUESDAY)]


async def test_a_cancelled_write_is_done_whole_or_not_at_all(store, ada):
    items = [song(number) for number in range(100)]
    for turns in range(4):
        write = asyncio.ensure_future(store.write(ada, [Change(item, LIKE) for item in items], now=turns))
        for _ in range(turns):
            await asyncio.sleep(0)
        write.cancel()
        await asyncio.gather(write, return_exceptions=True)

    await store.put(ada, ALBUM, LIKE, now=MONDAY)  # behind all that was cancelled
    ratings = await store.get(ada, items)
    assert len({rating.time for rating in ratings}) <= 1
    assert len(ratings) in {0, 100}


# A listener who was removed


@pytest.fixture
async def gone(store, ada):
    """A listener who had a liked song in the library, and was removed."""
    await store.add(ada, [(LIBRARY_SONG, SONG)], now=MONDAY)
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.add_user_token(b"a" * 32, UserToken("T1", ada, TEAM_ID, MONDAY, MONDAY + DAY))
    await store.remove_listener("ada")
    return ada


@pytest.mark.parametrize(
    "changes",
    [
        [Change(SONG, LIKE)],
        [Change(LIBRARY_SONG, LIKE)],
        [Change(SONG, None)],
        [Change(LIBRARY_SONG, None)],
        [Change(SONG, None, LIKE), Change(SONG, LIKE)],
        [],
    ],
    ids=["set", "set in the library", "clear", "clear in the library", "clear and set", "nothing"],
)
async def test_writing_for_a_removed_listener_is_refused(store, gone, rows, changes):
    with pytest.raises(ListenerRemoved):
        await store.write(gone, changes, now=TUESDAY)

    assert rows(gone) == []


async def test_adding_for_a_removed_listener_is_refused(store, gone):
    with pytest.raises(ListenerRemoved):
        await store.add(gone, [(OTHER_LIBRARY_SONG, SONG)], now=TUESDAY)

    assert await store.library_items(gone, [OTHER_LIBRARY_SONG]) == []


async def test_linking_for_a_removed_listener_is_refused(store, gone):
    with pytest.raises(ListenerRemoved):
        await store.link(gone, LIBRARY_SONG, SONG, now=TUESDAY)

    assert await store.library_items(gone, [LIBRARY_SONG]) == []


async def test_a_user_token_for_a_removed_listener_is_refused(store, gone):
    with pytest.raises(ListenerRemoved):
        await store.add_user_token(b"b" * 32, UserToken("T2", gone, TEAM_ID, MONDAY, MONDAY + DAY))

    assert await store.user_token(b"b" * 32) is None


async def test_ratings_library_and_tokens_are_forgotten_with_the_listener(store, gone, rows):
    assert await store.get(gone, [SONG, LIBRARY_SONG]) == []
    assert rows(gone) == []
    assert await store.library_items(gone, [LIBRARY_SONG]) == []
    assert await store.library_twin(gone, SONG) is None
    assert await store.library_page(gone, Kind.LIBRARY_SONG, limit=10, offset=0) == LibraryPage([], 0)
    assert await store.user_token(b"a" * 32) is None
    assert await store.user_tokens(gone) == []
    assert not await store.unlink(gone, LIBRARY_SONG, now=TUESDAY)


async def test_a_removed_listeners_name_is_free_and_the_id_is_not(store, gone):
    other = await store.add_listener("ada", "us")

    assert other.id != gone.id
    assert await store.get(other, [SONG, LIBRARY_SONG]) == []
    with pytest.raises(ListenerRemoved):
        await store.put(gone, SONG, LIKE, now=TUESDAY)
    assert await store.get(other, [SONG]) == []


async def test_no_id_of_a_listener_is_ever_used_again(store):
    ids = []
    for _ in range(5):
        ids.append((await store.add_listener("ada", "us")).id)
        await store.remove_listener("ada")

    assert len(set(ids)) == 5


async def test_removing_one_listener_leaves_the_others(store, ada, ben):
    await store.put(ben, SONG, LIKE, now=MONDAY)
    await store.add(ben, [(LIBRARY_SONG, SONG)], now=MONDAY)
    token = UserToken("T1", ben, TEAM_ID, MONDAY, MONDAY + DAY)
    await store.add_user_token(b"b" * 32, token)
    await store.remove_listener(ada.name)

    assert await store.listeners() == [ben]
    assert await store.get(ben, [SONG]) == [Rating(SONG, LIKE, MONDAY)]
    assert await store.library_items(ben, [LIBRARY_SONG]) == [LibraryItem(LIBRARY_SONG, SONG, MONDAY)]
    assert await store.user_tokens(ben) == [token]


# Listeners


async def test_a_listener_is_found_by_name(store, ada, ben):
    assert await store.listener("ada") == ada
    assert await store.listener("ben") == ben
    assert (ada.name, ada.storefront) == ("ada", "us")
    assert ada.id != ben.id


async def test_an_unknown_name_is_no_listener(store, ada):
    with pytest.raises(NoSuchThing, match="'zoe'"):
        await store.listener("zoe")
    with pytest.raises(NoSuchThing, match="'zoe'"):
        await store.remove_listener("zoe")
    assert await store.listeners() == [ada]


async def test_listeners_come_in_the_order_of_their_names(store):
    for name in ["zoe", "a.b", "ada", "a-b", "a_b", "0"]:
        await store.add_listener(name, "us")

    assert [listener.name for listener in await store.listeners()] == ["0", "a-b", "a.b", "a_b", "ada", "zoe"]


async def test_there_are_no_listeners_at_first(store):
    assert await store.listeners() == []


async def test_a_name_is_given_once(store, ada):
    with pytest.raises(AlreadyExists, match="'ada'"):
        await store.add_listener("ada", "jp")

    assert await store.listeners() == [ada]


async def test_of_concurrent_listeners_of_one_name_one_is_created(store):
    outcomes = await asyncio.gather(*(store.add_listener("ada", "us") for _ in range(10)), return_exceptions=True)

    created = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert await store.listeners() == created
    assert [type(outcome) for outcome in outcomes].count(AlreadyExists) == 9


async def test_of_concurrent_removals_of_one_listener_one_finds_the_listener(store, ada):
    outcomes = await asyncio.gather(*(store.remove_listener(ada.name) for _ in range(3)), return_exceptions=True)

    assert [isinstance(outcome, NoSuchThing) for outcome in outcomes].count(True) == 2
    assert await store.listeners() == []


# Developer keys


async def test_a_developer_key_is_found_as_it_was_registered(store):
    await store.add_developer_key(developer_key())

    assert await store.developer_key("ABC123DEFG") == developer_key()


@pytest.mark.parametrize("key_id", ["abc123defg", "ABC123DEFH", ""])
async def test_another_id_is_no_developer_key(store, key_id):
    await store.add_developer_key(developer_key())

    assert await store.developer_key(key_id) is None


async def test_developer_keys_come_oldest_first(store):
    keys = [
        developer_key("AAAAAAAAA2", created=TUESDAY),
        developer_key("AAAAAAAAA3", created=MONDAY),
        developer_key("AAAAAAAAA1", created=WEDNESDAY),
    ]
    for key in keys:
        await store.add_developer_key(key)

    assert [key.created for key in await store.developer_keys()] == [MONDAY, TUESDAY, WEDNESDAY]


async def test_a_developer_key_is_registered_once(store):
    await store.add_developer_key(developer_key())

    with pytest.raises(AlreadyExists, match="ABC123DEFG"):
        await store.add_developer_key(developer_key(created=TUESDAY))
    assert await store.developer_keys() == [developer_key()]


async def test_a_revoked_developer_key_stays_revoked_since_the_first_time(store):
    await store.add_developer_key(developer_key())
    await store.revoke_developer_key("ABC123DEFG", now=TUESDAY)
    await store.revoke_developer_key("ABC123DEFG", now=WEDNESDAY)

    revoked = developer_key()._replace(revoked=TUESDAY)
    assert await store.developer_key("ABC123DEFG") == revoked
    assert await store.developer_keys() == [revoked]


async def test_a_revoked_key_id_cannot_be_registered_again(store):
    await store.add_developer_key(developer_key())
    await store.revoke_developer_key("ABC123DEFG", now=TUESDAY)

    with pytest.raises(AlreadyExists, match="ABC123DEFG"):
        await store.add_developer_key(developer_key(created=WEDNESDAY))
    assert await store.developer_keys() == [developer_key()._replace(revoked=TUESDAY)]


async def test_revoking_one_developer_key_leaves_the_others(store):
    await store.add_developer_key(developer_key())
    await store.add_developer_key(developer_key("AAAAAAAAAA"))
    await store.revoke_developer_key("ABC123DEFG", now=TUESDAY)

    assert await store.developer_key("AAAAAAAAAA") == developer_key("AAAAAAAAAA")


async def test_an_unknown_developer_key_cannot_be_revoked(store):
    with pytest.raises(NoSuchThing, match="ABC123DEFG"):
        await store.revoke_developer_key("ABC123DEFG", now=MONDAY)


# Music user tokens


async def test_a_user_token_is_found_under_its_digest_with_its_listener(store, ada, ben):
    adas = UserToken("T1", ada, TEAM_ID, MONDAY, MONDAY + DAY)
    bens = UserToken("T2", ben, "AAAAAAAAAA", TUESDAY, WEDNESDAY)
    await store.add_user_token(bytes(32), adas)
    await store.add_user_token(bytes(31) + b"\xff", bens)

    assert await store.user_token(bytes(32)) == adas
    assert await store.user_token(bytes(31) + b"\xff") == bens
    assert await store.user_token(bytes(31) + b"\x01") is None


async def test_an_expired_user_token_is_found_too(store, ada):
    token = UserToken("T1", ada, TEAM_ID, MONDAY, MONDAY)
    await store.add_user_token(bytes(32), token)

    assert await store.user_token(bytes(32)) == token


async def test_user_tokens_of_a_listener_come_oldest_first(store, ada, ben):
    tokens = [
        UserToken("T2", ada, TEAM_ID, TUESDAY, WEDNESDAY),
        UserToken("T3", ada, TEAM_ID, MONDAY, WEDNESDAY),
        UserToken("T1", ada, TEAM_ID, WEDNESDAY, WEDNESDAY),
    ]
    for number, token in enumerate(tokens):
        await store.add_user_token(bytes([number]) * 32, token)
    await store.add_user_token(b"b" * 32, UserToken("T4", ben, TEAM_ID, MONDAY, WEDNESDAY))

    assert await store.user_tokens(ada) == [tokens[1], tokens[0], tokens[2]]


async def test_a_revoked_user_token_stays_revoked_since_the_first_time(store, ada):
    token = UserToken("T1", ada, TEAM_ID, MONDAY, WEDNESDAY)
    other = UserToken("T2", ada, TEAM_ID, TUESDAY, WEDNESDAY)
    await store.add_user_token(bytes(32), token)
    await store.add_user_token(b"b" * 32, other)
    await store.revoke_user_token("T1", now=TUESDAY)
    await store.revoke_user_token("T1", now=WEDNESDAY)

    assert await store.user_token(bytes(32)) == token._replace(revoked=TUESDAY)
    assert await store.user_tokens(ada) == [token._replace(revoked=TUESDAY), other]


async def test_an_unknown_user_token_cannot_be_revoked(store, ada):
    await store.add_user_token(bytes(32), UserToken("T1", ada, TEAM_ID, MONDAY, WEDNESDAY))

    with pytest.raises(NoSuchThing, match="t1"):
        await store.revoke_user_token("t1", now=MONDAY)
    assert (await store.user_tokens(ada))[0].revoked is None


# How it is doing


async def test_a_store_that_has_done_nothing_says_so(store):
    statistics = store.statistics()

    assert (statistics.waiting, statistics.writes, statistics.commits) == (0, 0, 0)
    assert list(statistics.batches) == [0] * len(BATCH_SIZES)


async def test_what_was_acknowledged_is_among_the_writes_and_in_a_commit(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.add(ada, [(LIBRARY_SONG, SONG)], now=MONDAY)
    await store.delete(ada, SONG, now=MONDAY)
    after_three = store.statistics()
    await store.unlink(ada, LIBRARY_SONG, now=MONDAY)
    after_four = store.statistics()

    assert after_four.writes - after_three.writes == 1
    assert after_four.commits - after_three.commits == 1
    assert after_four.batches[0] - after_three.batches[0] == 1
    assert 3 <= after_three.commits <= after_three.writes


async def test_writes_wait_until_they_go_down_together_as_batches_of_their_size(store, ada):
    before = store.statistics()
    puts = [asyncio.create_task(store.put(ada, song(number), LIKE, now=MONDAY)) for number in range(5)]
    await asyncio.sleep(0)
    begun = store.statistics()
    await asyncio.gather(*puts)
    after = store.statistics()

    assert (before.waiting, begun.waiting, after.waiting) == (0, 5, 0)
    assert after.writes - before.writes == 5
    batches = [now - then for then, now in zip(before.batches, after.batches, strict=True)]
    assert batches == [0, 0, 0, 1, *[0] * 6]  # of at most 8


async def test_no_more_connections_are_open_than_there_may_be(store, ada):
    await asyncio.gather(*(store.library(ada, after=None, limit=1) for _ in range(30)))

    statistics = store.statistics()
    assert 0 <= statistics.connections_in_use + statistics.connections_idle <= statistics.connections_max


async def test_a_closed_store_still_says_what_it_did(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    before = store.statistics()
    await store.close()

    after = store.statistics()
    assert (after.writes, after.commits, after.waiting) == (before.writes, before.commits, 0)


# Closing


async def test_closing_again_does_nothing(database):
    store = await database.open()
    await store.close()
    await store.close()


async def test_closing_finishes_what_was_begun(database):
    store = await database.open()
    ada = await store.add_listener("ada", "us")
    writes = [asyncio.ensure_future(store.delete(ada, song(number), now=MONDAY)) for number in range(50)]
    await asyncio.sleep(0)  # now all of them wait
    await store.close()

    assert await asyncio.gather(*writes) == [False] * 50


# Durability, and several stores on one database


async def test_everything_is_there_when_the_store_is_opened_again(reopen):
    store = await reopen()
    ada = await store.add_listener("ada", "us")
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.put(ada, ALBUM, LIKE, now=MONDAY)
    await store.delete(ada, ALBUM, now=MONDAY)
    await store.add(ada, [(LIBRARY_SONG, SONG), (OTHER_LIBRARY_SONG, OTHER_SONG)], now=MONDAY)
    await store.unlink(ada, OTHER_LIBRARY_SONG, now=MONDAY)
    await store.add_developer_key(developer_key())
    token = UserToken("T1", ada, TEAM_ID, MONDAY, MONDAY + DAY)
    await store.add_user_token(bytes(32), token)
    await store.close()
    store = await reopen()

    assert await store.listeners() == [ada]
    assert await store.get(ada, [SONG, ALBUM, LIBRARY_SONG]) == [
        Rating(SONG, LIKE, MONDAY),
        Rating(LIBRARY_SONG, LIKE, MONDAY),
    ]
    assert await store.library_page(ada, Kind.LIBRARY_SONG, limit=10, offset=0) == LibraryPage(
        [LibraryItem(LIBRARY_SONG, SONG, MONDAY)], 1
    )
    with pytest.raises(ResourceNotFound):
        await store.put(ada, OTHER_LIBRARY_SONG, LIKE, now=TUESDAY)
    assert await store.developer_keys() == [developer_key()]
    assert await store.user_token(bytes(32)) == token


async def test_change_numbers_go_on_when_the_store_is_opened_again(reopen, durable_database):
    store = await reopen()
    ada = await store.add_listener("ada", "us")
    await store.put(ada, SONG, LIKE, now=MONDAY)
    [first] = durable_database.rows(store, ada)
    await store.close()
    store = await reopen()
    await store.put(ada, SONG, LIKE, now=MONDAY)
    [second] = durable_database.rows(store, ada)

    assert second.change > first.change


async def test_a_listeners_id_is_not_used_again_after_opening_again(reopen):
    store = await reopen()
    gone = await store.add_listener("ada", "us")
    await store.remove_listener("ada")
    await store.close()
    store = await reopen()

    assert (await store.add_listener("ada", "us")).id != gone.id


async def test_stores_on_one_database_see_one_anothers_writes_at_once(reopen):
    store, other = await reopen(), await reopen()
    ada = await store.add_listener("ada", "us")
    await other.put(ada, SONG, LIKE, now=MONDAY)
    seen = await store.get(ada, [SONG])
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.delete(ada, SONG, now=TUESDAY)

    assert seen == [Rating(SONG, LIKE, MONDAY)]
    assert await other.get(ada, [LIBRARY_SONG]) == []
    assert await other.library_twin(ada, SONG) == LibraryItem(LIBRARY_SONG, SONG, MONDAY)


async def test_change_numbers_of_concurrent_stores_never_repeat(reopen, durable_database):
    stores = [await reopen(), await reopen()]
    ada = await stores[0].add_listener("ada", "us")

    await asyncio.gather(*(stores[number % 2].put(ada, song(number), LIKE, now=MONDAY) for number in range(60)))

    assert len({row.change for row in durable_database.rows(stores[0], ada)}) == 60


_RATE_AND_DIE = """
import asyncio, os, signal, sys
from likewise.domain import Item, Kind, Value
from likewise.stores import open_store

async def main():
    store = await open_store(sys.argv[1])
    ada = await store.listener("ada")
    for number in range(20):
        await store.put(ada, Item(Kind.SONG, str(number)), Value.LIKE, now=number)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_the_death_of_the_process(reopen, durable_database):
    store = await reopen()
    ada = await store.add_listener("ada", "us")

    command = [sys.executable, "-c", _RATE_AND_DIE, durable_database.url]
    died = await asyncio.to_thread(subprocess.run, command, check=False)

    assert died.returncode == -signal.SIGKILL
    items = [song(number) for number in range(20)]
    assert await store.get(ada, items) == [Rating(song(number), LIKE, number) for number in range(20)]
