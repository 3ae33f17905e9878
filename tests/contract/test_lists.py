"""What `likewise.store` promises of times and rules of changes, of the newest, the change feed, and of forgetting."""

import asyncio

import pytest

from likewise.domain import (
    Change,
    Changed,
    Item,
    Keep,
    Kind,
    ListedRating,
    Listener,
    Place,
    Rating,
    Value,
)
from likewise.errors import ListenerRemoved
from tests.house import DAY, MONDAY, TUESDAY, WEDNESDAY

LIKE, DISLIKE = Value.LIKE, Value.DISLIKE
SONG = Item(Kind.SONG, "907242702")
OTHER_SONG = Item(Kind.SONG, "907242703")
ALBUM = Item(Kind.ALBUM, "1440933460")
STATION = Item(Kind.STATION, "ra.985484166")
LIBRARY_SONG = Item(Kind.LIBRARY_SONG, "i.7PJNrVKQsVe7dlE")
UPLOAD = Item(Kind.LIBRARY_ALBUM, "l.upload")


def song(number: int) -> Item:
    return Item(Kind.SONG, str(number))


async def bring(store, listener, item, value, time, unless=None, *, only=None, now=WEDNESDAY) -> bool:
    [is_done] = await store.write(listener, [Change(item, value, only, time, unless)], now=now)
    return is_done


async def rating_of(store, listener, item) -> Rating | None:
    return next(iter(await store.get(listener, [item])), None)


# A change's own time


@pytest.mark.parametrize("item", [SONG, UPLOAD], ids=["catalog", "upload"])
async def test_a_change_happens_at_its_own_time(store, ada, item, rows):
    assert await bring(store, ada, item, LIKE, MONDAY)
    assert await rating_of(store, ada, item) == Rating(item, LIKE, MONDAY)

    assert await bring(store, ada, item, None, TUESDAY)
    [row] = rows(ada)
    assert (row.value, row.time) == (0, TUESDAY)


async def test_without_a_rule_an_older_time_replaces_a_newer_one(store, ada):
    await store.put(ada, SONG, LIKE, now=TUESDAY)

    assert await bring(store, ada, SONG, DISLIKE, MONDAY)

    assert await rating_of(store, ada, SONG) == Rating(SONG, DISLIKE, MONDAY)


async def test_one_call_may_write_at_different_times_and_by_different_rules(store, ada):
    await store.put(ada, SONG, LIKE, now=TUESDAY)
    changes = [
        Change(SONG, DISLIKE, time=MONDAY, unless=Keep.NEWER),
        Change(OTHER_SONG, LIKE, time=MONDAY),
        Change(ALBUM, LIKE),
        Change(OTHER_SONG, DISLIKE, unless=Keep.RATED),
        Change(SONG, None, only=LIKE),
    ]

    done = await store.write(ada, changes, now=WEDNESDAY)

    assert done == [False, True, True, False, True]
    assert await store.ratings(ada, after=None, limit=9) == [
        Rating(OTHER_SONG, LIKE, MONDAY),
        Rating(ALBUM, LIKE, WEDNESDAY),
    ]


async def test_an_upload_is_met_now_and_rated_then(store, ada):
    await bring(store, ada, UPLOAD, LIKE, MONDAY, now=WEDNESDAY)

    [upload] = await store.library_items(ada, [UPLOAD])
    assert upload.added == WEDNESDAY
    assert await rating_of(store, ada, UPLOAD) == Rating(UPLOAD, LIKE, MONDAY)


async def test_the_same_value_at_the_same_time_does_nothing(store, ada):
    await bring(store, ada, SONG, LIKE, MONDAY)
    before = await store.changes(ada, after=0, limit=9)

    assert not await bring(store, ada, SONG, LIKE, MONDAY)

    assert await store.changes(ada, after=0, limit=9) == before


async def test_a_put_in_the_same_millisecond_counts_for_it_says_when_by_itself(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.put(ada, SONG, LIKE, now=MONDAY)

    assert (await store.changes(ada, after=0, limit=9)).changes == [Changed(SONG, LIKE, MONDAY, 2)]


async def test_nothing_is_brought_to_a_dead_library_id(store, ada):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.unlink(ada, LIBRARY_SONG, now=MONDAY)

    assert not await bring(store, ada, LIBRARY_SONG, LIKE, TUESDAY, Keep.NEWER)


async def test_a_removed_listener_is_brought_nothing(store, ada):
    await store.remove_listener("ada")

    with pytest.raises(ListenerRemoved):
        await bring(store, ada, SONG, LIKE, MONDAY, Keep.NEWER)


# What is kept


@pytest.mark.parametrize("address", [SONG, LIBRARY_SONG], ids=["catalog", "library"])
@pytest.mark.parametrize(("stored", "is_replaced"), [(MONDAY, True), (TUESDAY, False), (WEDNESDAY, False)])
async def test_what_is_as_new_or_newer_is_kept(store, ada, address, stored, is_replaced):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(ada, SONG, LIKE, now=stored)

    assert await bring(store, ada, address, DISLIKE, TUESDAY, Keep.NEWER) is is_replaced

    kept = Rating(SONG, DISLIKE, TUESDAY) if is_replaced else Rating(SONG, LIKE, stored)
    assert await rating_of(store, ada, SONG) == kept


@pytest.mark.parametrize(("cleared", "is_replaced"), [(MONDAY, True), (TUESDAY, False), (WEDNESDAY, False)])
async def test_what_was_cleared_as_late_or_later_stays_cleared(store, ada, cleared, is_replaced):
    await store.put(ada, SONG, LIKE, now=MONDAY - 1)
    await store.delete(ada, SONG, now=cleared)

    assert await bring(store, ada, SONG, LIKE, TUESDAY, Keep.NEWER) is is_replaced

    assert (await rating_of(store, ada, SONG) is not None) is is_replaced


async def test_a_newer_rating_is_not_cleared_by_what_happened_before_it(store, ada):
    await store.put(ada, SONG, LIKE, now=TUESDAY)

    assert not await bring(store, ada, SONG, None, MONDAY, Keep.NEWER)
    assert await bring(store, ada, SONG, None, WEDNESDAY, Keep.NEWER)


async def test_a_rule_without_a_time_goes_by_now(store, ada):
    await store.put(ada, SONG, LIKE, now=TUESDAY)

    assert not await bring(store, ada, SONG, DISLIKE, None, Keep.NEWER, now=TUESDAY)
    assert await bring(store, ada, SONG, DISLIKE, None, Keep.NEWER, now=TUESDAY + 1)


async def test_what_is_rated_is_kept_and_what_was_cleared_is_not(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.put(ada, OTHER_SONG, LIKE, now=MONDAY)
    await store.delete(ada, OTHER_SONG, now=WEDNESDAY)

    assert not await bring(store, ada, SONG, DISLIKE, WEDNESDAY, Keep.RATED)
    assert not await bring(store, ada, SONG, None, WEDNESDAY, Keep.RATED)
    assert await bring(store, ada, OTHER_SONG, DISLIKE, TUESDAY, Keep.RATED)
    assert await bring(store, ada, ALBUM, LIKE, TUESDAY, Keep.RATED)


async def test_in_whatever_order_newer_wins_arrives_the_newest_is_left(store, ada):
    changes = [Change(SONG, value, time=MONDAY + n, unless=Keep.NEWER) for n, value in enumerate([LIKE, DISLIKE] * 5)]

    await asyncio.gather(*(store.write(ada, [change], now=WEDNESDAY) for change in reversed(changes)))

    assert await rating_of(store, ada, SONG) == Rating(SONG, DISLIKE, MONDAY + 9)


# The newest


async def newest(store, listener, **options) -> list[ListedRating]:
    options = {"after": None, "limit": 100} | options
    return (await store.newest_ratings(listener, **options)).ratings


async def test_the_newest_come_first_and_equal_times_in_the_order_of_items(store, ada):
    await store.put(ada, STATION, LIKE, now=MONDAY)
    await store.put(ada, SONG, DISLIKE, now=TUESDAY)
    await store.put(ada, OTHER_SONG, LIKE, now=MONDAY)
    await store.put(ada, song(10), LIKE, now=MONDAY)

    assert await newest(store, ada) == [
        ListedRating(SONG, DISLIKE, TUESDAY, None),
        ListedRating(song(10), LIKE, MONDAY, None),
        ListedRating(OTHER_SONG, LIKE, MONDAY, None),
        ListedRating(STATION, LIKE, MONDAY, None),
    ]


async def test_each_of_the_newest_knows_its_library_id(store, ada, ben):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(ada, LIBRARY_SONG, LIKE, now=WEDNESDAY)
    await store.put(ada, UPLOAD, LIKE, now=TUESDAY)
    await store.link(ben, Item(Kind.LIBRARY_ALBUM, "l.ben"), ALBUM, now=MONDAY)
    await store.put(ada, ALBUM, LIKE, now=MONDAY)
    removed = Item(Kind.LIBRARY_SONG, "i.removed")
    await store.link(ada, removed, OTHER_SONG, now=MONDAY)
    await store.put(ada, OTHER_SONG, LIKE, now=MONDAY - 1)
    await store.unlink(ada, removed, now=TUESDAY)

    assert await newest(store, ada) == [
        ListedRating(SONG, LIKE, WEDNESDAY, LIBRARY_SONG),
        ListedRating(UPLOAD, LIKE, TUESDAY, UPLOAD),
        ListedRating(ALBUM, LIKE, MONDAY, None),
        ListedRating(OTHER_SONG, LIKE, MONDAY - 1, None),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_of_the_newest_follow_one_another_without_a_gap(store, ada, limit):
    items = [Item(kind, f"{kind.prefix}1") for kind in (*Kind, *Kind)][:9]
    for number, item in enumerate(items):
        await store.put(ada, item, LIKE, now=MONDAY + number // 3)
    whole = await newest(store, ada)

    pages = []
    after = None
    while page := await newest(store, ada, after=after, limit=limit):
        pages += page
        after = Place(page[-1].time, page[-1].item)

    assert len(whole) == 9
    assert pages == whole


async def test_what_changes_between_two_pages_moves_no_other_rating(store, ada):
    for number in range(6):
        await store.put(ada, song(number), LIKE, now=MONDAY + number)
    first = await newest(store, ada, limit=3)
    await store.put(ada, song(2), LIKE, now=TUESDAY)
    await store.delete(ada, first[-1].item, now=TUESDAY)
    await store.put(ada, song(9), LIKE, now=WEDNESDAY)

    rest = await newest(store, ada, after=Place(first[-1].time, first[-1].item))

    assert [each.item for each in first] == [song(5), song(4), song(3)]
    assert [each.item for each in rest] == [song(1), song(0)]


async def test_the_newest_are_filtered_and_counted_by_kind_and_value(store, ada, ben):
    for number in range(3):
        await store.put(ada, song(number), LIKE, now=MONDAY + number)
    await store.put(ada, ALBUM, DISLIKE, now=TUESDAY)
    await store.put(ada, UPLOAD, LIKE, now=TUESDAY)
    await store.put(ada, STATION, LIKE, now=TUESDAY)
    await store.delete(ada, STATION, now=TUESDAY)
    await store.put(ben, STATION, LIKE, now=TUESDAY)

    async def count(after=None, **filters) -> tuple[int, int]:
        page = await store.newest_ratings(ada, after=after, limit=2, **filters)
        return len(page.ratings), page.total

    assert await count() == (2, 5)
    assert await count(kinds=[Kind.SONG]) == (2, 3)
    assert await count(kinds={Kind.ALBUM, Kind.LIBRARY_ALBUM}) == (2, 2)
    assert await count(kinds=[Kind.STATION]) == (0, 0)
    assert await count(kinds=[]) == (0, 0)
    assert await count(value=DISLIKE) == (1, 1)
    assert await count(kinds=[Kind.SONG], value=DISLIKE) == (0, 0)
    assert await count(Place(MONDAY, song(0))) == (0, 5)


async def test_a_removed_listener_has_no_newest(store, ada):
    await store.remove_listener("ada")

    with pytest.raises(ListenerRemoved):
        await store.newest_ratings(ada, after=None, limit=1)


async def test_the_newest_say_where_the_changes_go_on(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    history = (await store.newest_ratings(ada, after=None, limit=1)).history
    await store.put(ada, ALBUM, LIKE, now=MONDAY)

    assert (await store.changes(ada, after=history.last, limit=9)).changes == [Changed(ALBUM, LIKE, MONDAY, 2)]


# Changes


async def test_changes_come_in_their_order_each_item_with_its_last(store, ada, ben):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.put(ada, ALBUM, LIKE, now=MONDAY)
    await store.put(ben, STATION, LIKE, now=MONDAY)
    await store.put(ada, SONG, DISLIKE, now=TUESDAY)
    await store.delete(ada, ALBUM, now=WEDNESDAY)

    page = await store.changes(ada, after=0, limit=9)

    assert page.changes == [Changed(SONG, DISLIKE, TUESDAY, 3), Changed(ALBUM, None, WEDNESDAY, 4)]
    assert page.history[:2] == (4, 0)
    assert (await store.changes(ada, after=3, limit=9)).changes == page.changes[1:]
    assert (await store.changes(ada, after=0, limit=1)).changes == page.changes[:1]


async def test_where_nothing_is_new_there_are_no_changes(store, ada):
    assert await store.changes(ada, after=0, limit=9) == ([], (await store.changes(ada, after=5, limit=9)).history)
    await store.put(ada, SONG, LIKE, now=MONDAY)

    for after in (1, 2, 10**15):
        page = await store.changes(ada, after=after, limit=9)
        assert page.changes == []
        assert page.history.last == 1


async def test_a_link_is_no_change_and_a_rating_that_moves_with_it_is_two(store, ada):
    await store.link(ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(ada, UPLOAD, LIKE, now=MONDAY)
    before = (await store.changes(ada, after=0, limit=9)).history.last

    await store.link(ada, LIBRARY_SONG, OTHER_SONG, now=TUESDAY)
    linked = await store.changes(ada, after=before, limit=9)
    await store.link(ada, UPLOAD, ALBUM, now=TUESDAY)
    matched = await store.changes(ada, after=linked.history.last, limit=9)

    assert linked.changes == []
    assert linked.history.last > before
    assert [each[:3] for each in matched.changes] == [(ALBUM, LIKE, MONDAY), (UPLOAD, None, TUESDAY)]


async def test_a_removed_listener_has_no_changes(store, ada):
    await store.remove_listener("ada")

    with pytest.raises(ListenerRemoved):
        await store.changes(ada, after=0, limit=1)


async def test_each_listener_has_an_era_that_stays(store, ada, ben):
    async def era(listener: Listener) -> int:
        return (await store.changes(listener, after=0, limit=1)).history.era

    eras = [await era(ada), await era(ben)]
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.remove_listener("ben")

    assert len({*eras, await era(await store.add_listener("ben", "jp"))}) == 3
    assert await era(ada) == eras[0]
    assert all(0 <= each < 2**53 for each in eras)


async def test_whoever_follows_many_writers_from_two_services_misses_nothing(reopen):
    first, second = await reopen(), await reopen()
    ada = await first.add_listener("ada", "us")
    followed: dict[Item, Value] = {}
    last = 0

    async def follow() -> None:
        nonlocal last
        page = await second.changes(ada, after=last, limit=7)
        assert [each.number for each in page.changes] == sorted({each.number for each in page.changes})
        for item, value, _, number in page.changes:
            assert number > last
            last = number
            if value is None:
                followed.pop(item, None)
            else:
                followed[item] = value

    async def write(store, start: int) -> None:
        for number in range(start, start + 40):
            await store.put(ada, song(number % 9), LIKE if number % 2 else DISLIKE, now=MONDAY + number)
            await store.delete(ada, song((number + 4) % 9), now=MONDAY + number)

    writing = asyncio.gather(*(write(store, start) for start in (0, 3, 7) for store in (first, second)))
    while not writing.done():
        await follow()
        await asyncio.sleep(0)
    await writing
    for _ in range(3):
        await follow()

    assert followed == {each.item: each.value for each in await first.ratings(ada, after=None, limit=99)}


# Forgetting


async def clear_in_turn(store, listener, days: int) -> None:
    """Rate one song a day and clear it again."""
    for day in range(days):
        await store.put(listener, song(day), LIKE, now=MONDAY + day * DAY)
        await store.delete(listener, song(day), now=MONDAY + day * DAY)


async def test_tombstones_from_before_a_time_are_forgotten_and_nothing_else(store, ada, ben, rows):
    await store.put(ada, SONG, LIKE, now=MONDAY - DAY)
    await clear_in_turn(store, ada, 3)
    await clear_in_turn(store, ben, 3)

    assert await store.forget(ada, before=MONDAY + 2 * DAY, limit=9) == 2

    assert [row.item for row in rows(ada)] == [SONG, song(2)]
    assert (await store.changes(ada, after=0, limit=9)).history[:2] == (7, 5)
    assert (await store.changes(ben, after=0, limit=9)).history[:2] == (6, 0)
    assert len(rows(ben)) == 3


async def test_forgetting_goes_in_slices_first_changes_first(store, ada):
    await clear_in_turn(store, ada, 5)

    floors = []
    for _ in range(4):
        gone = await store.forget(ada, before=WEDNESDAY + 9 * DAY, limit=2)
        floors.append((gone, (await store.changes(ada, after=0, limit=9)).history.forgotten))

    assert floors == [(2, 4), (2, 8), (1, 10), (0, 10)]


async def test_what_is_rated_again_meanwhile_is_not_forgotten(store, ada):
    await clear_in_turn(store, ada, 20)

    await asyncio.gather(
        *(store.put(ada, song(number), LIKE, now=WEDNESDAY) for number in range(20)),
        *(store.forget(ada, before=WEDNESDAY + 99 * DAY, limit=5) for _ in range(5)),
    )

    assert len(await store.ratings(ada, after=None, limit=99)) == 20


async def test_a_removed_listener_has_nothing_to_forget(store, ada):
    await clear_in_turn(store, ada, 1)
    await store.remove_listener("ada")

    assert await store.forget(ada, before=WEDNESDAY, limit=9) == 0


# Chores


async def test_a_chore_is_the_firsts_who_asks(store):
    async def begin(now: int, chore: str = "sweep") -> bool:
        return await store.begin_chore(chore, every=DAY, now=now)

    assert await begin(MONDAY)
    assert not await begin(MONDAY)
    assert await begin(MONDAY, "dust")
    assert not await begin(TUESDAY - 1)
    assert await begin(TUESDAY)
    assert not await begin(TUESDAY + 1)


async def test_a_clock_set_back_keeps_nobody_from_a_chore(store):
    assert await store.begin_chore("sweep", every=DAY, now=WEDNESDAY)
    assert await store.begin_chore("sweep", every=DAY, now=MONDAY)
    assert not await store.begin_chore("sweep", every=DAY, now=MONDAY + 1)


async def test_of_many_services_that_begin_a_chore_at_once_one_has_it(reopen):
    stores = [await reopen() for _ in range(3)]

    begun = await asyncio.gather(
        *(store.begin_chore("sweep", every=DAY, now=MONDAY) for store in stores for _ in range(4))
    )

    assert sum(begun) == 1
