"""Clients that do whatever can be done to a few shared songs, through real sockets, and note what they were told."""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlsplit

from tests.house import DISLIKE_BODY, LIKE_BODY
from tests.torture.model import QUESTIONS, UNANSWERED, Operation, Verb, is_library_id

ANSWER_SECONDS_MAX = 20
LISTENERS = ("ada", "ben")
STOREFRONT = "us"
SONGS_IN_GROUP = 2
_UPLOADS_IN_SIGHT = 3
_IDS_REMEMBERED = 2


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Line:
    """One connection, HTTP by hand: it is quick, and it knows whether a request was sent at all."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host

    @classmethod
    async def open(cls, address: str) -> Self:
        parts = urlsplit(address)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        return cls(reader, writer, parts.netloc)

    @classmethod
    async def open_patiently(cls, address: str) -> Self:
        """Open a line as soon as anybody listens: workers that die young are replaced after a pause."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while True:
                try:
                    return await cls.open(address)
                except OSError:
                    await asyncio.sleep(0.05)

    async def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Ask; raise `OSError` or `EOFError` when the connection breaks, and `TimeoutError`."""
        lines = {"Host": self._host, "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            self._writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
            first, *rest = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            received = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
            content = await self._reader.readexactly(int(received.get("content-length", "0")))
        return Answer(int(first.split()[1]), received, content)

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


class Group(NamedTuple):
    """Songs of one listener, and library ids for them, that nothing links to any other song."""

    listener: str
    number: int

    @property
    def songs(self) -> list[str]:
        return [f"{self.number + 1}00{song}" for song in range(SONGS_IN_GROUP)]


@dataclass
class Credentials:
    """What lets clients in: the headers of each listener, and those of the operator."""

    listeners: Mapping[str, Mapping[str, str]]
    operator: Mapping[str, str]


@dataclass
class History:
    """What was done to each group, and which library ids somebody was told of."""

    operations: dict[Group, list[Operation]] = field(default_factory=dict)
    minted: dict[Group, list[str]] = field(default_factory=dict)
    numbers: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)
    wrong: list[str] = field(default_factory=list)

    def note(self, group: Group, operation: Operation) -> None:
        if operation.answer is UNANSWERED and operation.verb in QUESTIONS:
            return
        self.operations.setdefault(group, []).append(operation)
        if operation.verb is Verb.FIND_TWIN and isinstance(operation.answer, str):
            known = self.minted.setdefault(group, [])
            if operation.answer not in known:
                known.append(operation.answer)

    def settle(self, moment: float) -> None:
        """Note that whatever has not been answered so far takes effect before this moment, or never."""
        for operations in self.operations.values():
            for place, operation in enumerate(operations):
                if operation.returned == inf:
                    operations[place] = replace(operation, returned=moment)

    def library_ids(self, group: Group) -> list[str]:
        """Return the library ids in sight: those minted last, and uploads of which new ones come with time."""
        first = len(self.operations.get(group, ())) // 25
        uploads = [f"i.g{group.number}u{first + each}" for each in range(_UPLOADS_IN_SIGHT)]
        return list(dict.fromkeys([*self.minted.get(group, ())[-_IDS_REMEMBERED:], *uploads]))

    def all_ids(self, group: Group) -> list[str]:
        """Return every id that any operation named or was told."""
        named = {id for operation in self.operations.get(group, ()) for id in operation.ids}
        return sorted(named | set(group.songs) | set(self.minted.get(group, ())))

    @property
    def size(self) -> int:
        return sum(map(len, self.operations.values()))

    @property
    def unanswered(self) -> int:
        return sum(each.answer is UNANSWERED for operations in self.operations.values() for each in operations)


class Work(Enum):
    """What clients do, and how often."""

    WHATEVER = "whatever"
    MOSTLY_READS = "mostly reads"
    """What shows best whether reads are fresh: one song, written again and again, and read all the time."""


_WEIGHTS = {
    Work.MOSTLY_READS: {Verb.PUT: 20, Verb.DELETE: 10, Verb.GET: 70},
    Work.WHATEVER: {
        Verb.PUT: 26,
        Verb.DELETE: 10,
        Verb.GET: 34,
        Verb.FAVORITE: 3,
        Verb.UNFAVORITE: 3,
        Verb.ADD: 4,
        Verb.LINK: 7,
        Verb.UNLINK: 4,
        Verb.FIND_TWIN: 5,
        Verb.FIND_ITEM: 4,
    },
}


class Client:
    """One who asks one thing after another, each when the one before is answered."""

    def __init__(
        self,
        history: History,
        credentials: Credentials,
        chance: random.Random,
        work: Work = Work.WHATEVER,
    ) -> None:
        self._history = history
        self._credentials = credentials
        self._chance = chance
        self._work = work
        self.unavailable = 0

    async def go_on(self, address: str, groups: list[Group], stop: asyncio.Event) -> None:
        """Do random things until `stop`, and connect again whenever the connection breaks."""
        while not stop.is_set():
            try:
                line = await Line.open(address)
            except OSError:
                await _pause(stop)
                continue
            try:
                while not stop.is_set():
                    if not await self.ask(line, *self._chosen(groups)):
                        await until_ready(line, stop)
            except (OSError, EOFError):
                await _pause(stop)
            finally:
                await line.close()

    async def ask(self, line: Line, group: Group, verb: Verb, ids: tuple[str, ...], value: int | None = None) -> bool:
        """Ask for one thing and note it; say whether the service was available."""
        number = self._history.numbers()
        begun = time.monotonic()

        def note(answer: Any) -> None:
            returned = inf if answer is UNANSWERED else time.monotonic()
            self._history.note(group, Operation(number, verb, ids, begun, returned, answer, value))

        method, target, body = _request(group, verb, ids, value)
        headers = self._credentials.operator if verb is Verb.LINK else self._credentials.listeners[group.listener]
        try:
            answer = await line.ask(method, target, headers, body)
        except (OSError, EOFError):
            note(UNANSWERED)
            raise
        if answer.status == 503:
            if int(answer.headers["retry-after"]) < 1 or answer.document["errors"][0]["code"] != "50300":
                self._history.wrong.append(f"{verb.value}: a 503 that does not say when to come again: {answer}")
            self.unavailable += 1
            note(UNANSWERED)
            return False
        try:
            note(_meaning(verb, answer))
        except (KeyError, ValueError) as error:
            self._history.wrong.append(f"{method} {target}: {answer} ({error!r})")
            note(UNANSWERED)
        return True

    def _chosen(self, groups: list[Group]) -> tuple[Group, Verb, tuple[str, ...], int | None]:
        chance = self._chance
        group = chance.choice(groups)
        weights = _WEIGHTS[self._work]
        [verb] = chance.choices(list(weights), list(weights.values()))
        if self._work is Work.MOSTLY_READS:
            return group, verb, (group.songs[0],), chance.choice([1, -1]) if verb is Verb.PUT else None
        library_ids = self._history.library_ids(group)
        match verb:
            case Verb.PUT:
                return group, verb, (chance.choice(group.songs + library_ids),), chance.choice([1, -1])
            case Verb.DELETE:
                return group, verb, (chance.choice(group.songs + library_ids),), None
            case Verb.GET:
                some = chance.choice([group.songs[:1], group.songs, library_ids[:1], library_ids])
                return group, verb, tuple(some), None
            case Verb.FAVORITE | Verb.UNFAVORITE:
                return group, verb, tuple(chance.sample(group.songs + library_ids, 2)), None
            case Verb.ADD | Verb.FIND_TWIN:
                return group, verb, (chance.choice(group.songs),), None
            case Verb.LINK:
                return group, verb, (chance.choice(library_ids), chance.choice(group.songs)), None
            case _:
                return group, verb, (chance.choice(library_ids),), None


async def _pause(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), 0.05)


async def until_ready(line: Line, stop: asyncio.Event) -> None:
    """Wait until the service has its database, or until `stop`."""
    while not stop.is_set() and (await line.ask("GET", "/readyz", {})).status != 200:
        await _pause(stop)


def _request(group: Group, verb: Verb, ids: tuple[str, ...], value: int | None) -> tuple[str, str, bytes]:
    [id, *others] = ids
    type = "library-songs" if is_library_id(id) else "songs"
    rating = f"/v1/me/ratings/{type}/{id}"
    match verb:
        case Verb.PUT:
            return "PUT", rating, LIKE_BODY if value == 1 else DISLIKE_BODY
        case Verb.DELETE:
            return "DELETE", rating, b""
        case Verb.GET if not others:
            return "GET", rating, b""
        case Verb.GET:
            return "GET", f"/v1/me/ratings/{type}?ids={','.join(ids)}", b""
        case Verb.FAVORITE | Verb.UNFAVORITE:
            return "POST" if verb is Verb.FAVORITE else "DELETE", f"/v1/me/favorites?{_by_type(ids)}", b""
        case Verb.ADD:
            return "POST", f"/v1/me/library?{_by_type(ids)}", b""
        case Verb.LINK:
            link = {"type": "songs", "library_id": id, "catalog_id": others[0]}
            return "POST", f"/_likewise/listeners/{group.listener}/links", json.dumps(link).encode()
        case Verb.UNLINK:
            return "DELETE", f"/v1/me/library/songs/{id}", b""
        case Verb.FIND_TWIN:
            return "GET", f"/v1/catalog/{STOREFRONT}/songs/{id}/library", b""
        case Verb.FIND_ITEM:
            return "GET", f"/v1/me/library?{_by_type(ids)}", b""


def _by_type(ids: tuple[str, ...]) -> str:
    types = {"songs": [id for id in ids if not is_library_id(id)], "library-songs": list(filter(is_library_id, ids))}
    return "&".join(f"{quote(f'ids[{type}]')}={','.join(some)}" for type, some in types.items() if some)


def _meaning(verb: Verb, answer: Answer) -> Any:
    """Read what an answer tells; raise `KeyError` or `ValueError` for one that this request cannot have."""
    statuses: dict[Verb, dict[int, Any]] = {
        Verb.PUT: {200: True, 404: False},
        Verb.DELETE: {204: True, 404: False},
        Verb.GET: {200: _told_ratings, 404: ()},
        Verb.FAVORITE: {202: None},
        Verb.UNFAVORITE: {202: None},
        Verb.ADD: {202: None},
        Verb.LINK: {201: True, 409: False},
        Verb.UNLINK: {204: True, 404: False},
        Verb.FIND_TWIN: {200: _told_id, 404: None},
        Verb.FIND_ITEM: {200: _told_item},
    }
    meaning = statuses[verb][answer.status]
    return meaning(answer.document["data"]) if callable(meaning) else meaning


def _told_ratings(resources: list[Any]) -> tuple[tuple[str, int], ...]:
    return tuple((each["id"], each["attributes"]["value"]) for each in resources)


def _told_id(resources: list[Any]) -> str:
    [resource] = resources
    return str(resource["id"])


def _told_item(resources: list[Any]) -> str | bool | None:
    if not resources:
        return False
    [resource] = resources
    twin: str | None = resource["attributes"]["playParams"].get("catalogId")
    return twin
