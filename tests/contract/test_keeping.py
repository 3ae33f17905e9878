"""What `likewise.store` promises of everything at once, on every adapter: snapshots, loading, copying, checking."""

import asyncio
from contextlib import aclosing, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from likewise.domain import Change, Clue, DeveloperKey, Item, ItemName, Kind, UserToken, Value
from likewise.errors import BadFile, LinkRefused, NoSuchThing, NotEmpty, StoreUnavailable
from likewise.records import (
    NOBODY,
    RECORDS,
    Counter,
    KeyRecord,
    LibraryRecord,
    ListenerRecord,
    NameRecord,
    RatingRecord,
    TokenRecord,
    listener_of,
)
from likewise.store import CopyMark
from likewise.stores import open_store
from tests.house import MONDAY, TUESDAY, WEDNESDAY

LIKE, DISLIKE = Value.LIKE, Value.DISLIKE
SONG, ALBUM, STATION = Item(Kind.SONG, "907242702"), Item(Kind.ALBUM, "1"), Item(Kind.STATION, "ra.1")
LIBRARY_SONG, UPLOAD = Item(Kind.LIBRARY_SONG, "i.a"), Item(Kind.LIBRARY_SONG, "i.B")


async def all_of(snapshot, listeners=None):
    return [record for page in [page async for page in snapshot.records(listeners)] for record in page]


async def dump(store):
    async with store.snapshot() as snapshot:
        return await all_of(snapshot)


def of_one_era(records):
    """Put 1 in the place of what is drawn for each listener."""
    return [replace(record, era=1) if isinstance(record, ListenerRecord) else record for record in records]


async def pages_of(*pages):
    for page in pages:
        yield page


async def findings_of(store):
    return [finding async for finding in store.check()]


@pytest.fixture
async def lived_in(store, ada, ben):
    """A store with something of everything, and with gaps where something was."""
    await store.add_developer_key(DeveloperKey("ABC123DEFG", "DEF123GHIJ", "a key", MONDAY))
    await store.add_developer_key(DeveloperKey("ABC123DEFA", "DEF123GHIJ", "another", TUESDAY))
    await store.revoke_developer_key("ABC123DEFG", now=WEDNESDAY)
    await store.add_listener("gone", "us")
    await store.remove_listener("gone")
    for number, listener in enumerate([ben, ada, ada]):
        token = UserToken(f"token{number}", listener, "DEF123GHIJ", MONDAY, WEDNESDAY)
        await store.add_user_token(bytes([9 - number]) * 32, token)
    await store.revoke_user_token("token1", now=TUESDAY)
    await store.write(ada, [Change(SONG, LIKE), Change(ALBUM, DISLIKE), Change(STATION, LIKE)], now=MONDAY)
    await store.delete(ada, STATION, now=TUESDAY)
    await store.link(ada, LIBRARY_SONG, SONG, now=TUESDAY)
    await store.put(ada, UPLOAD, LIKE, now=WEDNESDAY)
    await store.put(ben, UPLOAD, LIKE, now=WEDNESDAY)
    await store.unlink(ben, UPLOAD, now=WEDNESDAY)
    await store.learn(None, [ItemName(SONG, title="Wonderwall", artist="Oasis", isrc="GBBQY0002027")])
    await store.learn(ada, [ItemName(UPLOAD, title="Demo")])
    return store


# Snapshots


async def test_a_snapshot_holds_everything_in_order(lived_in, ada, ben):
    assert of_one_era(await dump(lived_in)) == [
        Counter(3),
        KeyRecord("ABC123DEFA", "DEF123GHIJ", "another", TUESDAY, None),
        KeyRecord("ABC123DEFG", "DEF123GHIJ", "a key", MONDAY, WEDNESDAY),
        ListenerRecord(ada.id, "ada", "us", 7, 0, 1),
        ListenerRecord(ben.id, "ben", "jp", 4, 0, 1),
        TokenRecord(ada.id, b"\7" * 32, "token2", "DEF123GHIJ", MONDAY, WEDNESDAY, None),
        TokenRecord(ada.id, b"\10" * 32, "token1", "DEF123GHIJ", MONDAY, WEDNESDAY, TUESDAY),
        TokenRecord(ben.id, b"\11" * 32, "token0", "DEF123GHIJ", MONDAY, WEDNESDAY, None),
        NameRecord(NOBODY, 1, "907242702", "Wonderwall", "Oasis", None, "GBBQY0002027", None),
        NameRecord(ada.id, 6, "i.B", "Demo", None, None, None, None),
        LibraryRecord(ada.id, 6, "i.B", None, WEDNESDAY, 6, is_dead=False),
        LibraryRecord(ada.id, 6, "i.a", "907242702", TUESDAY, 5, is_dead=False),
        LibraryRecord(ben.id, 6, "i.B", None, WEDNESDAY, 4, is_dead=True),
        RatingRecord(ada.id, 1, "907242702", 1, MONDAY, 1),
        RatingRecord(ada.id, 2, "1", -1, MONDAY, 2),
        RatingRecord(ada.id, 5, "ra.1", 0, TUESDAY, 4),
        RatingRecord(ada.id, 6, "i.B", 1, WEDNESDAY, 7),
        RatingRecord(ben.id, 6, "i.B", 0, WEDNESDAY, 3),
    ]


async def test_an_empty_store_has_a_counter_alone(store):
    async with store.snapshot() as snapshot:
        assert await all_of(snapshot) == [Counter(0)]
        assert await snapshot.counts() == dict.fromkeys(RECORDS, 0) | {Counter: 1}


async def test_what_whoever_reads_a_snapshot_raises_is_no_fault_of_the_database(store):
    with pytest.raises(BrokenPipeError):  # noqa: PT012 - what fails is the reader
        async with store.snapshot() as snapshot:
            await snapshot.counts()
            raise BrokenPipeError


async def test_a_snapshot_counts_its_records(lived_in):
    async with lived_in.snapshot() as snapshot:
        counts = await snapshot.counts()

    assert list(counts.items()) == [
        (Counter, 1),
        (KeyRecord, 2),
        (ListenerRecord, 2),
        (TokenRecord, 3),
        (NameRecord, 2),
        (LibraryRecord, 3),
        (RatingRecord, 5),
    ]


async def test_a_snapshot_reads_some_listeners_alone(lived_in, ben):
    everything = await dump(lived_in)
    async with lived_in.snapshot() as snapshot:
        bens = await all_of(snapshot, {ben.id, 999})
        nobodys = await all_of(snapshot, [NOBODY])
        none = await all_of(snapshot, [])

    assert none == everything[:1]
    assert nobodys == [record for record in everything if listener_of(record) == NOBODY]
    assert bens == everything[:1] + [record for record in everything if listener_of(record) == ben.id]
    assert {type(record) for record in bens} == {Counter, ListenerRecord, TokenRecord, LibraryRecord, RatingRecord}


async def test_what_is_written_after_a_snapshot_was_taken_is_not_in_it(lived_in, ada):
    before = await dump(lived_in)
    async with lived_in.snapshot() as snapshot:
        await lived_in.put(ada, SONG, DISLIKE, now=WEDNESDAY)
        await lived_in.add_listener("new", "us")
        during = await all_of(snapshot)
        await lived_in.remove_listener("ada")
        again = await all_of(snapshot)

    # A sequence is of no moment: it may count on.
    assert during[1:] == again[1:] == before[1:]
    assert len(await dump(lived_in)) < len(before)


async def test_a_snapshot_under_load_has_each_write_whole_or_not_at_all(store, ada):
    songs = [Item(Kind.SONG, str(number)) for number in range(20)]

    async def write_on():
        for turn in range(1, 200):
            await store.write(ada, [Change(song, LIKE) for song in songs], now=MONDAY + turn)

    writing = asyncio.create_task(write_on())
    times_seen: set[int] = set()
    while len(times_seen) < 2 or not writing.done():
        ratings = [record for record in await dump(store) if isinstance(record, RatingRecord)]
        times = {rating.time for rating in ratings}
        assert len(times) <= 1
        assert len(ratings) in {0, 20}
        times_seen |= times or {0}
    await writing


async def test_pages_are_bounded_and_a_reading_may_be_left_early(store, ada):
    for start in range(0, 12_000, 2_000):
        changes = [Change(Item(Kind.SONG, str(number)), LIKE) for number in range(start, start + 2_000)]
        await store.write(ada, changes, now=MONDAY)
    async with store.snapshot() as snapshot:
        sizes = [len(page) async for page in snapshot.records()]
        async with aclosing(snapshot.records()) as pages:
            async for _ in pages:
                break
        again = [len(page) async for page in snapshot.records()]

    assert sum(sizes) == 12_002
    assert max(sizes) == 5_000
    assert again == sizes


# Loading


@pytest.fixture
async def other(database, store, tmp_path):  # noqa: ARG001 - the first store is open meanwhile
    """An empty store on another database of the same adapter."""
    (tmp_path / "other").mkdir()
    other = await type(database)(tmp_path / "other").open()
    yield other
    await other.close()


async def test_what_was_loaded_is_what_was_dumped(lived_in, other):
    everything = await dump(lived_in)

    await other.load(pages_of(everything[:7], everything[7:9], everything[9:]))

    assert await dump(other) == everything
    assert await findings_of(other) == []


async def test_a_loaded_store_goes_on_where_the_other_was(lived_in, other, ada):
    await other.load(pages_of(await dump(lived_in)))

    new = await other.add_listener("new", "us")
    await other.put(ada, SONG, DISLIKE, now=WEDNESDAY)

    assert new.id == 4
    assert RatingRecord(ada.id, 1, "907242702", -1, WEDNESDAY, 8) in await dump(other)
    assert await other.named(None, Clue.MATCH_KEY, ["wonderwall\noasis"], limit=1) != {}
    assert await other.user_token(b"\7" * 32) == await lived_in.user_token(b"\7" * 32)


async def test_a_store_that_is_not_empty_is_loaded_only_over(lived_in, other):
    everything = await dump(lived_in)
    first = await other.add_listener("somebody", "us")
    await other.put(first, SONG, LIKE, now=MONDAY)
    before = await dump(other)

    with pytest.raises(NotEmpty):
        await other.load(pages_of(everything))
    assert await dump(other) == before

    await other.load(pages_of(everything), replace=True)
    assert await dump(other) == everything


async def test_a_key_alone_makes_a_store_not_empty(store):
    await store.add_developer_key(DeveloperKey("ABC123DEFG", "DEF123GHIJ", "a key", MONDAY))

    with pytest.raises(NotEmpty):
        await store.load(pages_of([Counter(0)]))


async def test_names_of_the_catalog_alone_make_a_store_not_empty(store):
    await store.learn(None, [ItemName(SONG, title="Song")])

    with pytest.raises(NotEmpty):
        await store.load(pages_of([Counter(0)]))
    assert await store.names(None, [SONG]) == [ItemName(SONG, title="Song")]


async def test_ids_that_were_given_are_not_given_again_after_loading(store):
    for name in ("one", "two", "three"):
        await store.add_listener(name, "us")

    await store.load(pages_of([Counter(1), ListenerRecord(1, "ada", "us", 0, 0, 1)]), replace=True)

    assert (await store.add_listener("new", "us")).id == 4


async def test_nobody_sees_a_half_of_what_is_loaded(store):
    records = [RatingRecord(1, 1, str(number), 1, MONDAY, number) for number in range(1, 4)]

    async def slowly():
        yield [Counter(1), ListenerRecord(1, "ada", "us", 9, 0, 1)]
        for record in records:
            with suppress(StoreUnavailable):  # may be told to wait
                assert await store.listeners() == []
            yield [record]

    await store.load(slowly())

    assert (await dump(store))[2:] == sorted(records, key=lambda record: record.id)


async def test_a_moment_asked_for_during_a_load_is_one_of_before_or_after(lived_in, other):
    everything = await dump(lived_in)
    await other.add_listener("somebody", "us")
    before = await dump(other)
    readings = []

    async def slowly():
        yield everything[:8]
        readings.append(asyncio.create_task(dump(other)))
        await asyncio.wait(readings, timeout=0.5)  # some engines let it read on, and some let it wait
        yield everything[8:]

    await other.load(slowly(), replace=True)

    # The counter may be ahead.
    assert (await readings[0])[1:] in (before[1:], everything[1:])


async def test_nobody_else_opens_what_is_open_alone(durable_database):
    alone = await open_store(durable_database.url, alone=True)

    for to_read in (False, True):
        with pytest.raises(StoreUnavailable):
            await open_store(durable_database.url, to_read=to_read)

    await alone.add_listener("ada", "us")
    await alone.close()
    again = await durable_database.open()
    assert len(await again.listeners()) == 1
    await again.close()


class Interrupted(Exception):
    pass


async def test_a_load_that_breaks_off_leaves_what_was_there(lived_in, other):
    everything = await dump(lived_in)
    await other.add_listener("somebody", "us")
    before = await dump(other)

    async def broken():
        yield everything[:8]
        raise Interrupted

    with pytest.raises(Interrupted):
        await other.load(broken(), replace=True)
    # Ids that were spoken of may have been skipped for good.
    assert (await dump(other))[1:] == before[1:]


async def test_a_load_that_is_cancelled_leaves_what_was_there_and_lets_others_write(lived_in, other):
    everything = await dump(lived_in)
    begun = asyncio.Event()

    async def stalled():
        yield everything[:8]
        begun.set()
        await asyncio.Event().wait()

    loading = asyncio.create_task(other.load(stalled()))
    await begun.wait()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading

    somebody = await other.add_listener("somebody", "us")
    await other.put(somebody, SONG, LIKE, now=MONDAY)
    listeners = [record for record in of_one_era(await dump(other)) if isinstance(record, ListenerRecord)]
    assert listeners == [ListenerRecord(somebody.id, "somebody", "us", 1, 0, 1)]


ADA = ListenerRecord(1, "ada", "us", 9, 0, 1)


@pytest.mark.parametrize(
    "records",
    [
        [RatingRecord(1, 1, "1", 1, MONDAY, 1)],
        [LibraryRecord(1, 6, "i.a", None, MONDAY, 1, is_dead=False)],
        [TokenRecord(1, b"1" * 32, "token", "DEF123GHIJ", MONDAY, MONDAY, None)],
        [ADA, ADA],
        [ADA, ListenerRecord(2, "ada", "us", 0, 0, 1)],
        [ADA, RatingRecord(1, 1, "1", 1, MONDAY, 10)],
        [ADA, RatingRecord(1, 1, "1", 1, MONDAY, 1), RatingRecord(1, 1, "1", 1, MONDAY, 2)],
        [ADA, RatingRecord(1, 6, "i.a", 1, MONDAY, 1)],
        [ADA, LibraryRecord(1, 6, "i.a", None, MONDAY, 10, is_dead=False)],
        [
            ADA,
            LibraryRecord(1, 6, "i.a", "1", MONDAY, 1, is_dead=False),
            LibraryRecord(1, 6, "i.b", "1", MONDAY, 2, is_dead=False),
        ],
        [
            ADA,
            LibraryRecord(1, 6, "i.a", "1", MONDAY, 1, is_dead=False),
            RatingRecord(1, 6, "i.a", 1, MONDAY, 2),
        ],
        [ADA, LibraryRecord(1, 6, "i.a", None, MONDAY, 1, is_dead=True), RatingRecord(1, 6, "i.a", 1, MONDAY, 2)],
        [
            ADA,
            TokenRecord(1, b"1" * 32, "token", "DEF123GHIJ", MONDAY, MONDAY, None),
            TokenRecord(1, b"2" * 32, "token", "DEF123GHIJ", MONDAY, MONDAY, None),
        ],
        [KeyRecord("ABC123DEFG", "DEF123GHIJ", "a key", MONDAY, None)] * 2,
        [NameRecord(1, 6, "i.a", "Demo", None, None, None, None)],
        [ListenerRecord(1, "ada", "us", 1, 2, 1)],
        [ADA, RatingRecord(1, 1, "1", 7, MONDAY, 1)],
    ],
)
async def test_records_that_contradict_one_another_are_refused(store, records):
    with pytest.raises(BadFile, match="the records contradict one another") as refused:
        await store.load(pages_of([Counter(9), *records]))
    assert "\n" not in str(refused.value)  # and so no row that an engine quotes below its sentence

    assert await dump(store) == [Counter(0)] or await dump(store) == [Counter(9)]


SOME_ITEMS = [SONG, ALBUM, STATION, LIBRARY_SONG, UPLOAD, Item(Kind.LIBRARY_ALBUM, "l.a")]
LINKS = [(LIBRARY_SONG, SONG), (UPLOAD, SONG), (Item(Kind.LIBRARY_ALBUM, "l.a"), ALBUM)]
STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(SOME_ITEMS), st.sampled_from([LIKE, DISLIKE, None])),
    st.tuples(st.just("link"), st.sampled_from(LINKS)),
    st.tuples(st.just("unlink"), st.sampled_from([LIBRARY_SONG, UPLOAD])),
    st.tuples(st.just("learn"), st.sampled_from(SOME_ITEMS)),
    st.tuples(st.just("forget")),
    st.tuples(st.just("remove")),
    st.tuples(st.just("revoke")),
)


async def take(store, name, step, *, now):
    """Do one thing as somebody, who is added where they are missing."""
    try:
        listener = await store.listener(name)
    except NoSuchThing:
        listener = await store.add_listener(name, "us")
        token = UserToken(f"{name}{listener.id}", listener, "DEF123GHIJ", now, now)
        await store.add_user_token(f"{name}{listener.id}".ljust(32).encode(), token)
    with suppress(LinkRefused):
        match step:
            case "write", item, value:
                await store.write(listener, [Change(item, value)], now=now)
            case "link", [library_item, catalog_item]:
                await store.link(listener, library_item, catalog_item, now=now)
            case "unlink", library_item:
                await store.unlink(listener, library_item, now=now)
            case "learn", item:
                await store.learn(listener, [ItemName(item, title=name, isrc=None)])
            case ("forget",):
                await store.forget(listener, before=now, limit=2)
            case ("revoke",):
                await store.revoke_user_token(f"{name}{listener.id}", now=now)
            case ("remove",):
                await store.remove_listener(name)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(st.tuples(st.sampled_from(["ada", "ben"]), STEPS), max_size=25))
async def test_whatever_has_happened_is_loaded_as_it_was_dumped(store, other, history):
    for each in (store, other):
        await each.load(pages_of([Counter(0)]), replace=True)
    for time, (name, step) in enumerate(history):
        await take(store, name, step, now=MONDAY + time)
    everything = await dump(store)

    await other.load(pages_of(everything), replace=True)

    # Earlier examples have counted on in the other store too.
    assert (await dump(other))[1:] == everything[1:]
    assert await findings_of(store) == await findings_of(other) == []


# Copying


WHOLE, UNFINISHED = CopyMark(is_whole=True, sha256=b"digest"), CopyMark(is_whole=False)


async def test_a_store_bears_the_mark_of_the_last_amendment(store):
    assert await store.copy_mark() is None
    for mark in (UNFINISHED, WHOLE, UNFINISHED, UNFINISHED, WHOLE):
        await store.amend(remove=[], records=[], mark=mark)
        assert await store.copy_mark() == mark

    assert await dump(store) == [Counter(0)]


async def test_an_amendment_replaces_some_and_leaves_others(lived_in, ada, ben):
    before = await dump(lived_in)
    key = KeyRecord("ABC123DEFX", "DEF123GHIJ", "third", MONDAY, None)

    await lived_in.amend(
        remove=[ben.id, 77, NOBODY],
        records=[Counter(9), key, ListenerRecord(9, "zoe", "us", 1, 0, 1), RatingRecord(9, 1, "1", 1, MONDAY, 1)],
        mark=UNFINISHED,
    )

    after = await dump(lived_in)
    assert [record for record in after if isinstance(record, KeyRecord)] == [key]
    assert [record.name for record in after if isinstance(record, ListenerRecord)] == ["ada", "zoe"]
    adas = [record for record in before if listener_of(record) == ada.id]
    assert [record for record in after if listener_of(record) == ada.id] == adas
    assert [record for record in after if listener_of(record) == NOBODY] == [Counter(9), key]
    assert after[-1] == RatingRecord(9, 1, "1", 1, MONDAY, 1)
    assert len(after) == 2 + len(adas) + 2


async def test_an_amendment_that_contradicts_what_is_there_changes_nothing(lived_in, ada):
    before = await dump(lived_in)

    with pytest.raises(BadFile, match="the records contradict one another"):
        await lived_in.amend(remove=[ada.id], records=[ListenerRecord(9, "ben", "us", 1, 0, 1)], mark=WHOLE)

    assert await dump(lived_in) == before
    assert await lived_in.copy_mark() is None


async def test_what_is_loaded_over_a_copy_bears_no_mark(store):
    await store.amend(remove=[], records=[], mark=WHOLE)

    await store.load(pages_of([Counter(0)]))

    assert await store.copy_mark() is None


# Checking


async def test_a_store_that_was_only_used_has_no_findings(lived_in):
    assert await findings_of(lived_in) == []


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([RatingRecord(1, 1, "1", 1, MONDAY, 10)], "ratings with a change number above their listener's last"),
        (
            [LibraryRecord(1, 6, "i.a", None, MONDAY, 10, is_dead=False)],
            "library items with a change number above their listener's last",
        ),
        ([RatingRecord(1, 6, "i.a", 1, MONDAY, 1)], "ratings of library ids that nobody has met"),
        (
            [RatingRecord(1, 1, "1", 1, MONDAY, 1), RatingRecord(1, 1, "2", 1, MONDAY, 1)],
            "change numbers that were given twice",
        ),
    ],
)
async def test_what_contradicts_itself_is_found(store, records, text):
    await store.amend(remove=[], records=[Counter(1), ADA, *records], mark=WHOLE)

    assert await findings_of(store) == [(f"{text} (of listener 1, for one)", 1)]
