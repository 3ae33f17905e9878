"""Copies from database to database, on every pair of adapters: equal in the end, whatever happened on the way."""

from collections import Counter as Tally
from contextlib import asynccontextmanager

import pytest

from likewise.domain import Change, DeveloperKey, Item, ItemName, Kind, UserToken, Value
from likewise.errors import NotEmpty, StoreUnavailable
from likewise.ndjson import encode_lines
from likewise.records import Counter, RatingRecord
from likewise.store import CopyMark
from likewise.stores import open_store
from likewise.stores.postgres import keeping as postgres
from likewise.stores.sqlite import keeping as sqlite
from likewise.transfer import copying
from likewise.transfer.copying import copy
from tests.contract.adapters import ADAPTERS
from tests.house import MONDAY, TUESDAY, WEDNESDAY

LIKE, DISLIKE = Value.LIKE, Value.DISLIKE
PAIRS = [("sqlite", "postgres"), ("postgres", "sqlite"), ("sqlite", "sqlite-memory"), ("sqlite-memory", "sqlite")]


@pytest.fixture(params=PAIRS, ids="-to-".join)
def databases(request, tmp_path):
    """The URLs of two databases."""
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
    source, target = request.param
    return ADAPTERS[source](tmp_path / "source").url, ADAPTERS[target](tmp_path / "target").url


@pytest.fixture
async def source(databases):
    store = await open_store(databases[0])
    await live_in(store)
    yield store
    await store.close()


@pytest.fixture
async def target(databases):
    store = await open_store(databases[1], alone=True)
    yield store
    await store.close()


async def live_in(store):
    await store.add_developer_key(DeveloperKey("ABC123DEFG", "DEF123GHIJ", "a key", MONDAY))
    for name in ("ada", "ben", "gone", "zoe"):
        listener = await store.add_listener(name, "us")
        await store.add_user_token(name.ljust(32).encode(), UserToken(name, listener, "DEF123GHIJ", MONDAY, TUESDAY))
        songs = [Item(Kind.SONG, str(number)) for number in range(30)]
        await store.write(listener, [Change(song, LIKE) for song in songs], now=MONDAY)
        await store.delete(listener, songs[1], now=TUESDAY)
        await store.link(listener, Item(Kind.LIBRARY_SONG, "i.a"), songs[2], now=TUESDAY)
        await store.put(listener, Item(Kind.LIBRARY_SONG, "i.up"), LIKE, now=TUESDAY)
        await store.unlink(listener, Item(Kind.LIBRARY_SONG, "i.up"), now=WEDNESDAY)
        await store.learn(listener, [ItemName(songs[0], title=name), ItemName(Item(Kind.LIBRARY_SONG, "i.a"), "mine")])
    await store.remove_listener("gone")


async def lines_of(store):
    async with store.snapshot() as snapshot:
        return b"".join([encode_lines(page) async for page in snapshot.records()])


class Done(Tally[str]):
    def __call__(self, what, records):
        self[what] += records


async def copied(source, target, progress=None):
    async with source.snapshot() as snapshot:
        return await copy(snapshot, target, progress=Done() if progress is None else progress)


async def test_a_copy_is_equal_to_the_byte_and_marked_as_whole(source, target):
    done = Done()

    result = await copied(source, target, done)

    assert await lines_of(target) == await lines_of(source)
    assert await target.copy_mark() == CopyMark(is_whole=True, sha256=result.sha256)
    assert result.written == result.records == (await lines_of(source)).count(b"\n") - 1
    assert done == {"copying": result.records + 1, "verifying": result.records + 1}


async def test_an_empty_database_is_copied_too(databases, target):
    source = await open_store(databases[0])
    try:
        result = await copied(source, target)
    finally:
        await source.close()

    assert (result.written, result.records) == (0, 0)
    assert await lines_of(target) == encode_lines([Counter(0)])


@pytest.mark.parametrize("databases", PAIRS[:2], indirect=True)
async def test_a_copy_can_be_served_once_it_is_whole(databases, source):
    target = await open_store(databases[1], alone=True)
    await copied(source, target)
    await target.close()

    target = await open_store(databases[1])
    ada = await target.listener("ada")
    assert [rating.item.id for rating in await target.get(ada, [Item(Kind.LIBRARY_SONG, "i.a")])] == ["i.a"]
    assert (await target.add_listener("new", "us")).id == 5
    await target.close()


class Interrupted(Exception):
    pass


def interrupted_after(what, times):
    """Break off when something has been done so many times."""
    left = times

    def progress(done, _records):
        nonlocal left
        left -= done == what
        if left == 0:
            raise Interrupted

    return progress


@asynccontextmanager
async def amending(target):
    """Count what is written into a store."""
    written: Tally[type] = Tally()
    amend = target.amend

    async def counting(*, remove, records, mark):
        written.update(type(record) for record in records)
        await amend(remove=remove, records=records, mark=mark)

    target.amend = counting
    yield written
    target.amend = amend


@pytest.mark.parametrize(("what", "times"), [("copying", 1), ("copying", 4), ("copying", 7), ("verifying", 1)])
async def test_an_interrupted_copy_goes_on_and_copies_little_twice(source, target, monkeypatch, what, times):
    monkeypatch.setattr(copying, "_RECORDS_AT_ONCE", 10)
    for adapter in (sqlite, postgres):
        monkeypatch.setattr(adapter, "PAGE_RECORDS", 7)
    with pytest.raises(Interrupted):
        await copied(source, target, interrupted_after(what, times))
    assert await target.copy_mark() == CopyMark(is_whole=False)
    async with target.snapshot() as snapshot:
        already = (await snapshot.counts())[RatingRecord]

    async with amending(target) as written:
        result = await copied(source, target)

    assert await lines_of(target) == await lines_of(source)
    # What a listener has was written together, or is written again.
    assert written[RatingRecord] <= 93 - already // 31 * 31
    assert result.records == (await lines_of(source)).count(b"\n") - 1


async def test_an_interrupted_comparison_changes_nothing(source, target):
    with pytest.raises(Interrupted):
        await copied(source, target, interrupted_after("copying", 1))
    before = await lines_of(target)

    with pytest.raises(Interrupted):
        await copied(source, target, interrupted_after("comparing", 1))

    assert await lines_of(target) == before
    assert await target.copy_mark() == CopyMark(is_whole=False)


async def test_a_copy_that_nobody_wrote_to_is_brought_up_to_date(source, target):
    await copied(source, target)
    ada, zoe = await source.listener("ada"), await source.listener("zoe")
    await source.put(ada, Item(Kind.SONG, "77"), LIKE, now=WEDNESDAY)
    await source.remove_listener("ben")
    await source.revoke_user_token("zoe", now=WEDNESDAY)
    await source.revoke_developer_key("ABC123DEFG", now=WEDNESDAY)
    await source.add_listener("ben", "jp")

    async with amending(target) as written:
        await copied(source, target)

    assert await lines_of(target) == await lines_of(source)
    assert written[RatingRecord] == 32 + 31
    assert zoe.id == 4


async def test_what_the_source_has_less_of_is_taken_out(source, target):
    await copied(source, target)
    await source.amend(remove=[4], records=[], mark=CopyMark(is_whole=True))
    async with source.snapshot() as snapshot:
        bens = [record async for page in snapshot.records([2]) for record in page]
    # As a token does that a later version purges: the listener stays, with nothing of that type.
    kept = [record for record in bens if type(record).__name__ not in {"TokenRecord", "RatingRecord"}]
    await source.amend(remove=[2], records=kept, mark=CopyMark(is_whole=True))

    await copied(source, target)

    assert await lines_of(target) == await lines_of(source)


async def test_an_equal_copy_is_compared_alone(source, target):
    first = await copied(source, target)

    async with amending(target) as written:
        again = await copied(source, target)

    assert written == {Counter: 1}
    assert (again.written, again.records, again.sha256) == (0, first.records, first.sha256)


async def test_what_was_begun_of_another_source_gives_way(source, target):
    empty = await open_store("sqlite:///:memory:")
    with pytest.raises(Interrupted):
        await copied(source, target, interrupted_after("verifying", 1))

    await copied(empty, target)

    # What was given to somebody is not given again.
    assert await lines_of(target) == encode_lines([Counter(4)])
    await empty.close()


async def test_a_target_that_has_something_of_its_own_is_refused(source, target):
    await target.add_listener("somebody", "us")
    before = await lines_of(target)

    with pytest.raises(NotEmpty, match="the target has something of its own"):
        await copied(source, target)

    assert await lines_of(target) == before
    assert await target.copy_mark() is None


async def test_a_copy_that_was_written_to_is_refused(source, target):
    await copied(source, target)
    ada = await target.listener("ada")
    await target.put(ada, Item(Kind.SONG, "77"), LIKE, now=WEDNESDAY)
    before = await lines_of(target)

    with pytest.raises(NotEmpty, match="the target is a copy that has been written to since"):
        await copied(source, target)

    assert await lines_of(target) == before


async def test_a_copy_that_differs_in_the_end_is_never_called_whole(source, target):
    amend = target.amend

    async def losing(*, remove, records, mark):
        await amend(remove=remove, records=records[:-1], mark=mark)

    target.amend = losing
    with pytest.raises(StoreUnavailable, match="the copy differs from its source"):
        await copied(source, target)

    assert await target.copy_mark() == CopyMark(is_whole=False)


async def test_there_and_back_again_is_no_difference(source, target, tmp_path):
    await copied(source, target)
    back = await open_store(f"sqlite:///{tmp_path}/back.db", alone=True)
    await copied(target, back)

    assert await lines_of(back) == await lines_of(source)
    await back.close()
