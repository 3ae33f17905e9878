"""Taking likes in: rows, however they came, become ratings with their own times.

Rows for one item are applied in their order, each on its own: what one of them says is done or not done, and what is
done stays. To import a file again changes nothing.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from likewise.domain import Change, Item, ItemName, Keep, Kind, LibraryItem, Listener, Rating, Time, Value
from likewise.errors import LinkRefused
from likewise.store import Store
from likewise.transfer import matching
from likewise.transfer.formats import Unreadable
from likewise.transfer.formats.rows import BadRow, NotRateable, Row, Said, Shelved
from likewise.transfer.sources import Broken, Source

Result = TypeVar("Result")

BATCH_ROWS = 2_000
"""How many rows go down in one transaction: enough to share a commit, few enough that nobody waits for long."""

WINDOW_ROWS = 40_000
WINDOW_BYTES = 16 * 1024 * 1024
"""How much of a file is put in the database's order at once, whichever is less."""

_ROWS_BETWEEN_LOOKS = 8
_CATALOG_KINDS = frozenset(kind for kind in Kind if not kind.is_library)
_CALLS_AT_ONCE = 200
# Before all ratings, so that whatever a file says later about the item counts.
_BEFORE_ALL: Time = 0


@dataclass
class Counts:
    """What became of the rows of one file.

    `kept` is what stays as it is although the file says otherwise; `unrated` says neither like nor dislike.
    """

    read: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    kept: int = 0
    unmatched: int = 0
    unrated: int = 0
    not_rateable: int = 0
    bad: int = 0


class Report(Protocol):
    """Who hears of what did not go in."""

    def unmatched(self, source: Source, row: Row, reason: str) -> None: ...

    def bad(self, source: Source, row: BadRow) -> None: ...


class Rules(NamedTuple):
    """How to import: what stays as it is, what a bare number is, the present, and whether to write at all."""

    unless: Keep | None
    assumed: Kind
    now: Time
    is_rehearsal: bool = False


@dataclass
class _Batch:
    """Some rows, sorted by what there is to do with them."""

    ratings: list[tuple[Row, Item]] = field(default_factory=list)
    nameless: list[Row] = field(default_factory=list)
    shelved: list[Shelved] = field(default_factory=list)
    names: list[ItemName] = field(default_factory=list)


class Importer:
    """Takes files in for one listener, one after another."""

    def __init__(self, store: Store, listener: Listener, rules: Rules, report: Report) -> None:
        self._store = store
        self._listener = listener
        self._rules = rules
        self._report = report

    async def take(self, source: Source, on_batch: Callable[[Counts, int], None]) -> Counts:
        """Take a file in; tell `on_batch` of the counts and the bytes that were read so far.

        Raise `ListenerRemoved`, `StoreUnavailable`; what was counted before is in.
        """
        counts = Counts()
        with source.open() as stream:
            batches = _batches(source.format.read(stream), stream.tell)
            batch = await asyncio.to_thread(next, batches, None)
            while batch is not None:
                # The next rows are read while these are written.
                following = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
                try:
                    await self._take(source, batch, counts)
                finally:
                    batch = await following
                on_batch(counts, stream.tell())
        return counts

    async def _take(self, source: Source, said: Sequence[Said], counts: Counts) -> None:
        batch = self._sorted(source, said, counts)
        if batch.names and not self._rules.is_rehearsal:
            await matching.learn(self._store, self._listener, batch.names)
        if batch.shelved:
            await self._shelve(source, batch.shelved, counts)
        if batch.nameless:
            await self._match(source, batch, counts)
        if batch.ratings:
            await self._rate(source, batch.ratings, counts)

    def _sorted(self, source: Source, said: Sequence[Said], counts: Counts) -> _Batch:
        batch = _Batch()
        counts.read += len(said)
        for each in said:
            if isinstance(each, Row):
                item = matching.item_of(each, self._rules.assumed)
                about = item or each.home
                if about is not None and (name := matching.names_of(about, each.names)):
                    batch.names.append(name)
                if each.value is None:
                    counts.unrated += 1
                elif item is None:
                    batch.nameless.append(each)
                else:
                    batch.ratings.append((each, item))
            elif isinstance(each, BadRow):
                counts.bad += 1
                self._report.bad(source, each)
            elif isinstance(each, NotRateable):
                counts.not_rateable += 1
            else:
                batch.shelved.append(each)
                if name := matching.names_of(each.item, each.names):
                    batch.names.append(name)
        return batch

    async def _match(self, source: Source, batch: _Batch, counts: Counts) -> None:
        items = await matching.matches(self._store, self._listener, batch.nameless)
        found = list(zip(batch.nameless, items, strict=True))
        if not self._rules.is_rehearsal:
            await self._link({row.home: item for row, item in found if row.home and item})
        for row, item in found:
            if (rated := item or row.home) is not None:
                batch.ratings.append((row, rated))
            else:
                counts.unmatched += 1
                self._report.unmatched(source, row, "no item, or more than one, is known by this name")
        batch.ratings.sort(key=lambda rated: rated[0].line)

    async def _link(self, twins: Mapping[Item, Item]) -> None:
        """Make library items the catalog items that they are, but for those that have another library id."""
        known = {each.item: each.twin for each in await self._store.library_items(self._listener, list(twins))}

        async def link(home: Item, item: Item) -> None:
            with suppress(LinkRefused):
                await self._store.link(self._listener, home, item, now=self._rules.now)

        await _some_at_once(link(home, item) for home, item in twins.items() if known.get(home) != item)

    # Ratings

    async def _rate(self, source: Source, rated: Sequence[tuple[Row, Item]], counts: Counts) -> None:
        items = list({item: None for _, item in rated})
        known = {rating.item: rating for rating in await self._store.get(self._listener, items)}
        rated, repeated = _without_repetitions(rated, known)
        counts.same += repeated
        # A file may be dated before there were dates, or by a clock that is ahead.
        guess = min(max(source.time, 0), self._rules.now)
        changes = [
            Change(item, row.value, None, guess if row.time is None else row.time, self._rules.unless)
            for row, item in rated
        ]
        if self._rules.is_rehearsal:
            done = _rehearsed(changes, known)
        else:
            done = await self._write(rated, changes)
        values: dict[Item, Value | None] = {item: rating.value for item, rating in known.items()}
        for change, is_done in zip(changes, done, strict=True):
            value = values.get(change.item)
            if is_done:
                counts.new += value is None
                counts.changed += value is not None
                values[change.item] = change.value
            elif value is change.value:
                counts.same += 1
            else:
                counts.kept += 1

    async def _write(self, rated: Sequence[tuple[Row, Item]], changes: Sequence[Change]) -> list[bool]:
        """Write changes in their order, an upload as having been added when its row says."""
        together = itertools.groupby(zip(rated, changes, strict=True), lambda pair: pair[0][0].added)
        calls = (
            self._store.write(
                self._listener,
                [change for _, change in pairs],
                now=self._rules.now if added is None else added,
            )
            for added, pairs in together
        )
        return [is_done for done in await _some_at_once(calls) for is_done in done]

    # The library

    async def _shelve(self, source: Source, shelved: Sequence[Shelved], counts: Counts) -> None:
        items = list({each.item: None for each in shelved})
        known = {each.item: each for each in await self._store.library_items(self._listener, items)}
        missing = []
        for each in shelved:
            there = known.get(each.item)
            if there is not None and each.twin in {None, there.twin}:
                counts.same += 1
            else:
                counts.new += there is None
                counts.changed += there is not None
                missing.append(each)
        if not self._rules.is_rehearsal:
            await _some_at_once(self._put_on_shelf(source, each, known, counts) for each in missing)

    async def _put_on_shelf(
        self, source: Source, shelved: Shelved, known: Mapping[Item, LibraryItem], counts: Counts
    ) -> None:
        line, item, twin, added, _ = shelved
        try:
            if twin is not None:
                await self._store.link(self._listener, item, twin, now=added)
            else:
                # An upload is known from its first rating on, and this one has none.
                passing = [Change(item, value, time=_BEFORE_ALL) for value in (Value.LIKE, None)]
                await self._store.write(self._listener, passing, now=added)
        except LinkRefused as error:
            counts.changed -= item in known
            counts.new -= item not in known
            counts.bad += 1
            self._report.bad(source, BadRow(line, str(error)))


async def _some_at_once(calls: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Make calls that share commits and take effect in their order, not so many that the store refuses them."""
    waiting = iter(calls)
    results: list[Result] = []
    while some := list(itertools.islice(waiting, _CALLS_AT_ONCE)):
        results += await asyncio.gather(*some)
    return results


def _batches(said: Iterator[Said], place: Callable[[], int]) -> Iterator[list[Said]]:
    """Gather rows for one transaction each; `place` is how many bytes of the file are read."""
    for window in _windows(said, place):
        _sort(window)
        for start in range(0, len(window), BATCH_ROWS):
            yield window[start : start + BATCH_ROWS]


def _windows(said: Iterator[Said], place: Callable[[], int]) -> Iterator[list[Said]]:
    """Gather rows; that the rest of a file cannot be read is the last of them."""
    window: list[Said] = []
    begun = line = 0
    try:
        for each in said:
            window.append(each)
            line = each.line
            if len(window) % _ROWS_BETWEEN_LOOKS == 0 and (
                len(window) == WINDOW_ROWS or place() - begun > WINDOW_BYTES
            ):
                yield window
                window, begun = [], place()
    except Unreadable as error:
        window.append(BadRow(error.line, error.reason))
    except Broken as error:
        window.append(BadRow(line + 1, str(error)))
    yield window


def _sort(window: list[Said]) -> None:
    """Put ratings in the order in which a database keeps them, so that a transaction meets few of its pages.

    What is said about one item stays in its order. So nothing is moved where two rows may speak of one item in
    different words: as an item of the library, by name, or by a number without a type.
    """
    if {type(each) for each in window} != {Row}:
        return
    rows = cast("list[Row]", window)
    if {row.kind for row in rows} <= _CATALOG_KINDS and all(row.id and row.home is None for row in rows):
        # Twice, since that makes no pair for each row to be compared by.
        rows.sort(key=attrgetter("id"))
        rows.sort(key=attrgetter("kind.number"))


def _without_repetitions(
    rated: Sequence[tuple[Row, Item]], known: Mapping[Item, Rating]
) -> tuple[list[tuple[Row, Item]], int]:
    """Leave out rows that say what is here already, as most do when a file is imported again; say how many.

    The file's date, which is a guess, is no better time for a value that is here. Whatever comes after a row that says
    otherwise stays.
    """
    others: list[tuple[Row, Item]] = []
    met: set[Item] = set()
    for row, item in rated:
        there = known.get(item)
        if there is None or there.value is not row.value or row.time not in {None, there.time} or item in met:
            met.add(item)
            others.append((row, item))
    return others, len(rated) - len(others)


def _rehearsed(changes: Sequence[Change], known: Mapping[Item, Rating]) -> list[bool]:
    """Say of each change whether it would do anything, as far as that can be told without doing it."""
    ratings = {item: (rating.value, rating.time) for item, rating in known.items()}
    done = []
    for item, value, _, time, unless in changes:
        there = ratings.get(item)
        is_newer = there is not None and unless is Keep.NEWER and time is not None and there[1] >= time
        is_rated = there is not None and unless is Keep.RATED
        is_done = there != (value, time) and not is_newer and not is_rated
        if is_done and value is not None and time is not None:
            ratings[item] = value, time
        done.append(is_done)
    return done
