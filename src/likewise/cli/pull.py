"""`likewise pull`: the ratings of a whole account, out of its library, into a file or a database.

A file is written as FILE.part, and FILE.state says how far that is, so that another run goes on where one was cut
short. A database needs no such thing: what it has already stays as it is.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from likewise.cli.calling import Access, calling_with, find_access, per_second_option, server_options
from likewise.cli.output import counted, database_option, json_option, progress, tell
from likewise.client import Client, LibraryItem
from likewise.client.accounts import KINDS, Found, Place, walk
from likewise.client.answers import is_path
from likewise.domain import Change, Item, ItemName, item_name_of
from likewise.errors import BadFile, BadSetting, LinkRefused
from likewise.ndjson import encode_lines, moment

if TYPE_CHECKING:
    from likewise.domain import Listener, Time
    from likewise.store import Store

_STATE_BYTES_MAX = 64 * 1024


@dataclass
class _Tally:
    """How much was pulled, and who is shown it."""

    show: Callable[[str, int, int | None], None]
    items: int = 0
    ratings: int = 0
    items_of_kind: int = 0

    def count(self, place: Place, found: Found) -> None:
        self.items += len(found.items)
        self.ratings += len(found.ratings)
        self.items_of_kind = len(found.items) + (self.items_of_kind if place.href is not None else 0)
        self.show(place.kind.type, self.items_of_kind, found.total)


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--listener", metavar="NAME", help="Whose ratings they become, in the database.")
@database_option
@per_second_option
@server_options
@json_option
def pull(
    file: Path | None,
    listener: str | None,
    database: str | None,
    per_second: float,
    as_json: bool,  # noqa: FBT001 - click's way
    **server: str | None,
) -> None:
    """Read the ratings of a whole account into FILE, or into a database.

    An Apple account has no list of its ratings, so its library is walked through and asked about. What is rated but not
    in the library is not found; a Likewise tells it in /v1/me/ratings.ndjson. Apple does not tell when something was
    rated: FILE has no times, and in a database a rating is of now, unless the same is there already. What was cut
    short goes on when it is run again.
    """
    if (file is None) == (listener is None):
        raise BadSetting("it is not clear where the ratings go", "give a FILE, or --listener and a --database")
    access = find_access(os.environ, **server)
    with calling_with(access, per_second=per_second) as client, progress() as show:
        tally = _Tally(show)
        if file is not None:
            _pull_into_file(client, _Draft(file, access), tally)
        else:
            _pull_into_database(client, database, listener or "", tally)
    facts = {"items": tally.items, "ratings": tally.ratings}
    said = f"pulled {counted(tally.ratings, 'rating')}, of {counted(tally.items, 'item')} in the library"
    tell(facts, as_json=as_json, sentence=said)


# Into a file


class _Draft:
    """A file on its way, and how far it is."""

    def __init__(self, path: Path, access: Access) -> None:
        self.path = path
        self.part = path.with_name(f"{path.name}.part")
        self.state = path.with_name(f"{path.name}.state")
        # Of whom this is: another account must not go on with it.
        self._account = hashlib.sha256(f"{access.url}\n{access.user_token}".encode()).hexdigest()

    def begun(self) -> dict[str, Any] | None:
        """Read how far an earlier run came with the same account; None where there is none to go on with."""
        try:
            with self.state.open("rb") as file:
                state = json.loads(file.read(_STATE_BYTES_MAX))
            kind = next(kind for kind in KINDS if kind.type == state["kind"])
            href, done = state["href"], [int(state[name]) for name in ("bytes", "items", "ratings", "items_of_kind")]
            is_good = state["account"] == self._account and (href is None or is_path(href))
            if not is_good or not self._has_part(bytes_min=done[0]):
                return None
        except (OSError, ValueError, KeyError, TypeError, StopIteration):
            return None
        return {"place": Place(kind, href), "done": done}

    def _has_part(self, *, bytes_min: int) -> bool:
        """Say whether the part is there, and ours alone: in a folder that others share its name can be foreseen."""
        part = self.part.lstat()
        is_ours = stat.S_ISREG(part.st_mode) and part.st_uid == os.geteuid() and not part.st_mode & 0o077
        return is_ours and 0 <= bytes_min <= part.st_size

    @contextmanager
    def opened(self, *, anew: bool) -> Iterator[IO[bytes]]:
        """Open the part to write it, from its beginning if `anew`; for its owner, and for one pull at a time, alone.

        Raise `BadFile` while another pull writes it.
        """
        with ExitStack() as stack:
            if anew:
                with suppress(OSError):
                    stack.enter_context(self._claimed(0))
                self.part.unlink(missing_ok=True)
            yield stack.enter_context(self._claimed(os.O_CREAT | os.O_EXCL if anew else 0))

    def _claimed(self, flags: int) -> IO[bytes]:
        file = os.fdopen(os.open(self.part, os.O_RDWR | os.O_NOFOLLOW | flags, 0o600), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise BadFile(f"another `likewise pull` writes {self.path} now", "wait, or give another name") from error
        return file

    def save(self, place: Place, file: IO[bytes], tally: _Tally) -> None:
        """Make what was written so far the place to go on from."""
        file.flush()
        os.fsync(file.fileno())
        state = {
            "account": self._account,
            "kind": place.kind.type,
            "href": place.href,
            "bytes": file.tell(),
            "items": tally.items,
            "ratings": tally.ratings,
            "items_of_kind": tally.items_of_kind,
        }
        handle, temporary = tempfile.mkstemp(dir=self.state.parent, prefix=".likewise-")  # its mode is 0600
        with os.fdopen(handle, "wb") as new:
            new.write(json.dumps(state).encode())
        Path(temporary).replace(self.state)

    def finish(self) -> None:
        self.part.replace(self.path)
        self.state.unlink(missing_ok=True)


def _pull_into_file(client: Client, draft: _Draft, tally: _Tally) -> None:
    begun = draft.begun()
    place = Place(KINDS[0])
    try:
        with draft.opened(anew=begun is None) as file:
            if begun:
                place = begun["place"]
                size, tally.items, tally.ratings, tally.items_of_kind = begun["done"]
                file.truncate(size)
                file.seek(size)
                click.echo(f"going on at {place.kind.type}, after {counted(tally.items, 'item')}", err=True)
            for found in walk(client, place):
                file.write(encode_lines(_lines_of(found)))
                tally.count(place, found)
                if found.next is not None:
                    place = found.next
                    draft.save(place, file, tally)
            file.flush()
            os.fsync(file.fileno())
        draft.finish()
    except OSError as error:
        hint = "is there room, and may you write there?"
        raise BadFile(f"the file {draft.path} cannot be written ({error.strerror})", hint) from error


def _lines_of(found: Found) -> Iterable[dict[str, Any]]:
    """Say a page in our own lines: each library item, then each rating under its item in the catalog, if it has one."""
    names = {each.twin or each.item: _names_of(each) for each in found.items}
    for each in found.items:
        facts = {"catalog_id": each.twin.id if each.twin else None, "added": _moment_of(each.added_at)}
        if each.twin or each.item not in found.ratings:
            yield _line(each.item, facts | _names_of(each))
    for item, value in found.ratings.items():
        yield _line(item, {"value": int(value)} | names[item])


def _line(item: Item, members: dict[str, Any]) -> dict[str, Any]:
    stated = {name: member for name, member in members.items() if member is not None}
    return {"type": item.kind.type, "id": item.id} | stated


def _names_of(item: LibraryItem) -> dict[str, Any]:
    return {"title": item.name, "artist": item.artist_name, "album": item.album_name}


def _moment_of(time: datetime | None) -> str | None:
    return moment(int(time.timestamp() * 1000)) if time is not None and time.year >= 1970 else None


# Into a database


def _pull_into_database(client: Client, database: str | None, name: str, tally: _Tally) -> None:
    from likewise.cli.common import now, on_bare_store  # noqa: PLC0415 - the server's extra, which a file does not need

    async def work(store: "Store") -> None:
        listener = await store.listener(name)
        place = Place(KINDS[0])
        for found in walk(client, place):
            await _keep(store, listener, found, now())
            tally.count(place, found)
            place = found.next or place

    on_bare_store(database, work)


async def _keep(store: "Store", listener: "Listener", found: Found, now: "Time") -> None:
    """Link and name a page of the library, and set the ratings that differ from what is there."""

    async def link(item: Item, twin: Item) -> None:
        # A dead library id stays dead, and a twin that has another address keeps that.
        with suppress(LinkRefused):
            await store.link(listener, item, twin, now=now)

    await asyncio.gather(*(link(each.item, each.twin) for each in found.items if each.twin is not None))
    names = [name for each in found.items for name in _item_names_of(each)]
    await store.learn(listener, names)
    known = {rating.item: rating.value for rating in await store.get(listener, list(found.ratings))}
    changes = [Change(item, value) for item, value in found.ratings.items() if known.get(item) is not value]
    await store.write(listener, changes, now=now)


def _item_names_of(item: LibraryItem) -> list[ItemName]:
    if item.name is None:
        return []
    named = item.twin or item.item
    return [item_name_of(named, title=item.name, artist=item.artist_name, album=item.album_name)]
