"""The storage port: the only things the rest of the house may ask of a database.

Every adapter passes `tests/contract/`; what is not tested there is not promised here.

Promises that hold for every call:

- What a call has written when it returns is durable: it is on disk, it survives the death of the process and of the
  machine, and every later read sees it, in this process and in any other on the same database.
- A call writes everything it says or nothing.
- What one listener does is never seen by another.
- Ids are compared byte for byte. Times are kept to the millisecond, exactly as they were handed in.
- Each rating a call changes gets the listener's next change number. Numbers of one listener never repeat, and they
  become visible in their order, so whoever has seen number n will never meet a smaller new one. A rating that was
  cleared leaves a tombstone with its time and number.
- A database that does not answer, or has too much to do, raises `StoreUnavailable`. Then the write may or may not have
  happened; sent again, it does no harm.
- Calls of one method for one listener, begun one after another without waiting, take effect in their order.
- Whoever is cancelled while waiting has not damaged anything for anybody else.

**One rating, two addresses.** A library item that is linked to a catalog item is that item: both addresses read and
write one rating, stored under the catalog item. A library item without a twin (an upload) has its own. A library item
is known from its first rating or link on, until it is unlinked; from then on its id is dead, for ever.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import NamedTuple

from likewise.domain import (
    Change,
    ChangesPage,
    Clue,
    DeveloperKey,
    Item,
    ItemName,
    Kind,
    LibraryItem,
    LibraryPage,
    Listener,
    Place,
    Rating,
    RatingsPage,
    Time,
    UserToken,
    Value,
)
from likewise.errors import ResourceNotFound
from likewise.records import Record


class CopyMark(NamedTuple):
    """What a copy between databases has left in its target: whether it is whole, and then the digest of it all."""

    is_whole: bool
    sha256: bytes = b""


class Finding(NamedTuple):
    """Something that should never be in a store: a sentence, and how many rows it is about."""

    text: str
    rows: int


_UNBOUNDED = nullcontext()  # one for all, for each request asks


class Snapshot(ABC):
    """Everything that a store keeps, as it was at one moment; whatever is written from then on is not in it."""

    @abstractmethod
    async def counts(self) -> Mapping[type[Record], int]:
        """Return how many records there are of each type in `RECORDS`."""

    @abstractmethod
    def records(self, listeners: Collection[int] | None = None) -> AsyncGenerator[Sequence[Record]]:
        """Return all records in pages of some thousand, in the order of `RECORDS`.

        With `listeners`, only what those have, and the counter; `NOBODY` stands for the keys and the catalog's names.
        Within a type they come in the order that its record states, each once. Memory stays flat however many there
        are. The same moment may be read again and again, one reading at a time.
        """


BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Statistics(NamedTuple):
    """How a store is doing since it was opened, in numbers that tell nothing about anybody.

    `waiting` writes have not gone to the database yet. `writes` have, in as many `batches` of at most 1, 2, 4 … 512
    (`BATCH_SIZES`, each counted once, at the first that holds it), and so many `commits` were made for them. They are
    what listeners rate, add and link; an adapter may count what operators do too. A store that has no pool of
    connections has at most none.
    """

    waiting: int
    writes: int
    batches: Sequence[int]
    commits: int
    connections_in_use: int = 0
    connections_idle: int = 0
    connections_max: int = 0


class Store(ABC):
    """An open database, open until `close`. What every call promises stands at the head of this module."""

    # Ratings

    @abstractmethod
    async def get(self, listener: Listener, items: Sequence[Item]) -> list[Rating]:
        """Return the ratings of those of `items` that are rated, in their order, each under the item asked for.

        `items` has no duplicates. A dead library id is not rated. A single read is a batch of one.
        """

    @abstractmethod
    async def write(self, listener: Listener, changes: Sequence[Change], *, now: Time) -> list[bool]:
        """Set and clear ratings in one transaction, in order; say of each change whether it did anything.

        Setting moves the time even when the value stays: to the change's own, else to `now`. Setting a library item
        the store has not met makes it known, as an upload. Nothing is done to a dead library id. Clearing does nothing
        where nothing is rated, or where the value is not the change's `only`; the time of what was cleared before
        stays.

        What the change's `unless` keeps is decided inside the transaction, by what is stored under both addresses:
        `Keep.NEWER` leaves a rating or tombstone whose time is the change's or later, `Keep.RATED` leaves whatever is
        rated. A change with a time of its own does nothing where that value is stored with that time already; one
        without is a new rating, and always counts. Raise `ListenerRemoved`.
        """

    async def put(self, listener: Listener, item: Item, value: Value, *, now: Time) -> None:
        """Set one rating; raise `ResourceNotFound` for a dead library id."""
        [is_set] = await self.write(listener, [Change(item, value)], now=now)
        if not is_set:
            raise ResourceNotFound

    async def delete(self, listener: Listener, item: Item, *, now: Time) -> bool:
        """Forget the rating; say whether there was one."""
        [was_rated] = await self.write(listener, [Change(item, None)], now=now)
        return was_rated

    @abstractmethod
    async def ratings(self, listener: Listener, *, after: Item | None, limit: int) -> list[Rating]:
        """Return a page of a listener's ratings: at most `limit` of those after the item `after`.

        They come in the order of kinds' numbers and ids, each once, under the item it is stored under. A page costs the
        same wherever it is, and what changes between two pages moves no other rating from one to the other. A removed
        listener has none.
        """

    @abstractmethod
    async def newest_ratings(
        self,
        listener: Listener,
        *,
        after: Place | None,
        limit: int,
        kinds: Collection[Kind] | None = None,
        value: Value | None = None,
    ) -> RatingsPage:
        """Return a page of a listener's ratings, newest first: at most `limit` of those that come after `after`.

        Only those of `kinds` and of `value` are shown and counted, None for all; the kind that counts is that of the
        item a rating is stored under. Page, total and history are of one moment. A page costs the same wherever it
        is, and what changes between two pages moves no other rating from one to the other. Raise `ListenerRemoved`.
        """

    @abstractmethod
    async def changes(self, listener: Listener, *, after: int, limit: int) -> ChangesPage:
        """Return the first `limit` changes with a number over `after`, in the order of their numbers.

        Each item is there at most once, under the item it is stored under, with its last change: whoever applies every
        page, and goes on after the number of its last change, or after `history.last` where a page is not full, has
        what `ratings` has. A link is no change of a rating; but a rating that moves with one is two, the one it
        leaves and the one it becomes. Where `after` is under `history.forgotten`, clearings may be missing.
        Page and history are of one moment. Where there is nothing new this takes one point read. Raise
        `ListenerRemoved`.
        """

    @abstractmethod
    async def forget(self, listener: Listener, *, before: Time, limit: int) -> int:
        """Remove at most `limit` tombstones with a time before `before`, first changes first; say how many.

        The listener's `history.forgotten` becomes the number of the last of them. A removed listener has none.
        """

    # Names

    @abstractmethod
    async def learn(self, listener: Listener | None, names: Sequence[ItemName]) -> None:
        """Keep what is said about at most 1 000 items; a fact replaces what was known, a None nothing.

        What is said about items of the catalog is for everybody, about those of a library for `listener` alone, who
        may be None where there are none of these. Of names for one item the later counts. The two are kept apart, so
        when this fails, one may be kept without the other; again does no harm. Raise `ListenerRemoved`.
        """

    @abstractmethod
    async def names(self, listener: Listener | None, items: Collection[Item]) -> list[ItemName]:
        """Return what is known about these items, in any order; of library items only the listener's."""

    @abstractmethod
    async def named(
        self, listener: Listener | None, clue: Clue, texts: Collection[str], *, limit: int
    ) -> dict[str, list[ItemName]]:
        """Return for each of `texts` at most `limit` items that have it as `clue`; those without any are left out.

        First those of the catalog, then the listener's own, each in the order of kinds' numbers and ids. Two are
        enough to tell what is found from what is ambiguous.
        """

    # The library

    @abstractmethod
    async def add(self, listener: Listener, links: Sequence[tuple[Item, Item]], *, now: Time) -> None:
        """Add catalog items to the library, each as a pair (library item with a fresh id, catalog item).

        A catalog item that is in the library already keeps the library id it has; the fresh one is dropped. Later pairs
        are newer. Raise `ListenerRemoved`.
        """

    @abstractmethod
    async def link(self, listener: Listener, library_item: Item, catalog_item: Item, *, now: Time) -> None:
        """Make `library_item` an address of `catalog_item`, known to the store before or not.

        When both were rated, the newer rating wins, on equal times the catalog's; when one was, its rating stays. Its
        time stays with it. Linking again to the same item changes nothing but the number that the next change gets;
        linking to another moves the address and leaves the former item its rating. Raise `LinkRefused` for a dead
        library id, and for a catalog item that has another library id; `ListenerRemoved`.
        """

    @abstractmethod
    async def unlink(self, listener: Listener, library_item: Item, *, now: Time) -> bool:
        """Remove an item from the library; say whether it was there. Its id is dead from then on.

        The rating of a catalog item stays with it; an upload's rating goes with the upload.
        """

    @abstractmethod
    async def library_items(self, listener: Listener, items: Sequence[Item]) -> list[LibraryItem]:
        """Return those of these library items that are in the library, in the order of `items`."""

    @abstractmethod
    async def library_twin(self, listener: Listener, catalog_item: Item) -> LibraryItem | None:
        """Return the library item of a catalog item."""

    @abstractmethod
    async def library_page(self, listener: Listener, kind: Kind, *, limit: int, offset: int) -> LibraryPage:
        """Return items of one library kind, newest first, skipping `offset` of them, with how many there are in all."""

    @abstractmethod
    async def library(self, listener: Listener, *, after: Item | None, limit: int) -> list[LibraryItem]:
        """Return a page of everything in the library, in the order and with the promises of `ratings`."""

    # Listeners

    @abstractmethod
    async def add_listener(self, name: str, storefront: str) -> Listener:
        """Create a listener; raise `AlreadyExists`. A removed listener's name is free again, its id is not."""

    @abstractmethod
    async def listener(self, name: str) -> Listener:
        """Find a listener by name; raise `NoSuchThing`."""

    @abstractmethod
    async def listeners(self, *, after: str = "", limit: int | None = None) -> list[Listener]:
        """Return listeners in the order of their names: all, or those after the name `after`, at most `limit`."""

    @abstractmethod
    async def remove_listener(self, name: str) -> None:
        """Forget a listener with ratings, library, names and user tokens; raise `NoSuchThing`."""

    # Developer keys

    @abstractmethod
    async def add_developer_key(self, key: DeveloperKey) -> None:
        """Register a public key; raise `AlreadyExists` for a key id that is or was registered."""

    @abstractmethod
    async def developer_key(self, key_id: str) -> DeveloperKey | None:
        """Find a key, revoked or not."""

    @abstractmethod
    async def developer_keys(self) -> list[DeveloperKey]:
        """Return all keys, revoked ones too, oldest first."""

    @abstractmethod
    async def revoke_developer_key(self, key_id: str, *, now: Time) -> None:
        """Revoke a key for ever; revoking again changes nothing. Raise `NoSuchThing`."""

    # Music user tokens

    @abstractmethod
    async def add_user_token(self, digest: bytes, token: UserToken) -> None:
        """Keep what is known of a user token under the SHA-256 of its text; raise `ListenerRemoved`."""

    @abstractmethod
    async def user_token(self, digest: bytes) -> UserToken | None:
        """Find a user token, expired and revoked ones too."""

    @abstractmethod
    async def user_tokens(self, listener: Listener) -> list[UserToken]:
        """Return all tokens of a listener, oldest first."""

    @abstractmethod
    async def revoke_user_token(self, token_id: str, *, now: Time) -> None:
        """Revoke a user token for ever; revoking again changes nothing. Raise `NoSuchThing`."""

    # Everything at once

    @abstractmethod
    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Hold one moment of the store, while others read and write on; what the block raises stays what it is.

        On PostgreSQL spread over several machines (Citus), each machine's moment is its own.
        """

    @abstractmethod
    async def load(self, pages: AsyncIterator[Sequence[Record]], *, replace: bool = False) -> None:
        """Take over everything that a snapshot has, in one transaction that others see whole or not at all.

        Records come in a snapshot's order. Raise `NotEmpty` where there is anything already, unless it is to be
        replaced, and `BadFile` for records that contradict one another; whatever `pages` raises ends it too. Then the
        store is what it was. Ids of listeners that were ever given here are not given again. Other calls wait.
        """

    @abstractmethod
    async def amend(self, *, remove: Collection[int], records: Sequence[Record], mark: CopyMark) -> None:
        """Move a copy on, in one transaction: remove what these listeners have, add records, leave the mark.

        `NOBODY` among them stands for the keys and the catalog's names. Raise `BadFile` for records that contradict
        what is there.
        """

    @abstractmethod
    async def copy_mark(self) -> CopyMark | None:
        """Return the mark that a copy has left here, None where there never was one.

        A store whose mark is not whole can be opened for `amend` alone.
        """

    @abstractmethod
    def check(self) -> AsyncGenerator[Finding]:
        """Look for what contradicts itself, at one moment, while others read and write on."""

    # The store itself

    @abstractmethod
    async def begin_chore(self, chore: str, *, every: int, now: Time) -> bool:
        """Say whether a chore is the caller's to do: of all that ask within `every` milliseconds, only the first.

        A clock that was set back makes nobody wait longer than that.
        """

    def bounded(self, seconds_max: float) -> AbstractContextManager[None]:  # noqa: ARG002 - for those whose calls wait
        """Let the calls that are begun in this block, together, wait no longer for a database across a network.

        They raise `StoreUnavailable` then. What passes between them does not count; removing a listener is exempt.
        """
        return _UNBOUNDED

    @abstractmethod
    async def ping(self) -> None:
        """Ask the database for next to nothing; raise `StoreUnavailable` when it does not answer, or is closed."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """Say at once how the store is doing, asking the database for nothing; from any thread, and also when closed.

        An acknowledged write is among the `writes`, and in one of the `commits`.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish what was begun and close; closing again does nothing."""
