"""Copying one database into another: what was begun is gone on with, what is there already is not copied again.

The source is one moment of a store. The target bears a mark from the first write on, and nobody can serve it until the
mark says that it is whole. Going on is comparing: listener by listener, what both sides have is read and digested, and
only what differs is copied. So it does not matter when or how a copy was broken off, nor whether the source has changed
since; and a target that nobody has written to may be brought up to date later, in the time it takes to read it.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from itertools import groupby
from typing import NamedTuple, TypeAlias

from likewise.errors import NotEmpty, StoreUnavailable
from likewise.ndjson import encode_lines
from likewise.records import RECORDS, Counter, Record, listener_of
from likewise.store import CopyMark, Snapshot, Store

_RECORDS_AT_ONCE = 20_000
_REMOVED_AT_ONCE = 100
_UNFINISHED = CopyMark(is_whole=False)

Progress: TypeAlias = Callable[[str, int], None]
"""Is told what is being done, and how many records further it has come."""


class Copied(NamedTuple):
    """What a copy has done: how many records it wrote, how many both sides have now, and the digest of all of them."""

    written: int
    records: int
    sha256: bytes


class _Part(NamedTuple):
    """What a store has of one listener in one type of record: where it stands in order, and its digest."""

    rank: int
    listener: int
    sha256: bytes

    @property
    def place(self) -> tuple[int, int]:
        return self.rank, self.listener


class _Digest:
    """The digest of a whole store: of the lines of all its records but the counter, which may be ahead in a target."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.records = 0

    def take(self, page: Sequence[Record]) -> bytes:
        """Take in some records; return the lines that they are."""
        records = [record for record in page if type(record) is not Counter]
        lines = encode_lines(records)
        self._sha256.update(lines)
        self.records += len(records)
        return lines

    @property
    def sha256(self) -> bytes:
        return self._sha256.digest()


class _Comparison(NamedTuple):
    """Who is not the same on both sides (`NOBODY` when the keys are not), and what each side has."""

    differing: Collection[int]
    ours: _Digest
    theirs: _Digest


async def copy(source: Snapshot, target: Store, *, progress: Progress) -> Copied:
    """Make `target`, open for nobody else, equal to `source`.

    Raise `NotEmpty` for a target that has something of its own, `StoreUnavailable` when both differ in the end.
    """
    compared = await _begin(source, target, progress)
    if compared is None:
        ours, differing = _Digest(), None
        written = await _write(source.records(), target, progress, ours.take)
    else:
        differing, ours, theirs = compared
        written = await _write(source.records(differing), target, progress, lambda _: None)
    if differing is None or differing:  # else what is there was read a moment ago, and is as it was
        async with target.snapshot() as arrived:
            theirs = await _digest(arrived, progress)
    if theirs.sha256 != ours.sha256:
        raise StoreUnavailable("the copy differs from its source", "run the same command again")
    await target.amend(remove=[], records=[], mark=CopyMark(is_whole=True, sha256=ours.sha256))
    return Copied(written, ours.records, ours.sha256)


async def _begin(source: Snapshot, target: Store, progress: Progress) -> _Comparison | None:
    """Mark the target as unfinished and remove from it whoever differs; None for an empty one."""
    mark = await target.copy_mark()
    async with target.snapshot() as there:
        counts = await there.counts()
        is_empty = not any(count for record, count in counts.items() if record is not Counter)
        if mark is None and not is_empty:
            raise NotEmpty("the target has something of its own", "name an empty database after --to")
        compared = None if is_empty else await _compare(source, there, progress)
    there_now = _Digest() if compared is None else compared.theirs
    if mark is not None and mark.is_whole and there_now.sha256 != mark.sha256:
        raise NotEmpty("the target is a copy that has been written to since", "name an empty database after --to")
    await target.amend(remove=[], records=[], mark=_UNFINISHED)
    ids = sorted(compared.differing) if compared else []
    for start in range(0, len(ids), _REMOVED_AT_ONCE):
        await target.amend(remove=ids[start : start + _REMOVED_AT_ONCE], records=[], mark=_UNFINISHED)
    return compared


async def _compare(source: Snapshot, target: Snapshot, progress: Progress) -> _Comparison:
    """Read both sides once, side by side."""
    differing = set[int]()
    ours_in_all, theirs_in_all = _Digest(), _Digest()
    theirs = _parts(target.records(), theirs_in_all, lambda _: None)
    their = await anext(theirs, None)
    async for our in _parts(source.records(), ours_in_all, lambda records: progress("comparing", records)):
        while their is not None and their.place < our.place:
            differing.add(their.listener)
            their = await anext(theirs, None)
        if our != their:
            differing.add(our.listener)
        if their is not None and their.place == our.place:
            their = await anext(theirs, None)
    while their is not None:
        differing.add(their.listener)
        their = await anext(theirs, None)
    return _Comparison(differing, ours_in_all, theirs_in_all)


async def _parts(
    pages: AsyncIterator[Sequence[Record]], in_all: _Digest, progress: Callable[[int], None]
) -> AsyncGenerator[_Part]:
    """Digest what each listener has of each type of record, and all of it."""
    place, digest = None, hashlib.sha256()
    async for page in pages:
        for (kind, listener), same in groupby(page, lambda record: (type(record), listener_of(record))):
            if kind is Counter:
                continue
            if place is not None and place != (kind, listener):
                yield _Part(RECORDS.index(place[0]), place[1], digest.digest())
                digest = hashlib.sha256()
            place = kind, listener
            digest.update(in_all.take(list(same)))
        progress(len(page))
    if place is not None:
        yield _Part(RECORDS.index(place[0]), place[1], digest.digest())


async def _write(
    pages: AsyncIterator[Sequence[Record]],
    target: Store,
    progress: Progress,
    take: Callable[[Sequence[Record]], object],
) -> int:
    """Write records some ten thousand at a time."""
    waiting: list[Record] = []
    written = 0
    async for page in pages:
        take(page)
        waiting += page
        if len(waiting) >= _RECORDS_AT_ONCE:
            written += await _flush(target, waiting, progress)
    return written + await _flush(target, waiting, progress)


async def _flush(target: Store, waiting: list[Record], progress: Progress) -> int:
    await target.amend(remove=[], records=waiting, mark=_UNFINISHED)
    progress("copying", len(waiting))
    written = sum(type(record) is not Counter for record in waiting)
    waiting.clear()
    return written


async def _digest(snapshot: Snapshot, progress: Progress) -> _Digest:
    digest = _Digest()
    async for page in snapshot.records():
        digest.take(page)
        progress("verifying", len(page))
    return digest
