"""Random histories against a model: whatever two listeners do, the store and the API say what the model says.

The model is a few dictionaries, and knows neither SQL nor HTTP. Histories have few items and few times, so that equal
times, dead ids, moved addresses and items added again happen in most of them.
"""

import asyncio
import itertools
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from likewise.app import App
from likewise.config import Settings
from likewise.domain import (
    KINDS,
    TWINS,
    Change,
    DeveloperKey,
    Item,
    Keep,
    Kind,
    LibraryItem,
    ListedRating,
    Listener,
    Place,
    Rating,
    Time,
    Value,
)
from likewise.errors import LinkRefused, ResourceNotFound
from likewise.store import Store
from likewise.tokens import generate_private_key, read_public_key
from tests.contract.adapters import ADAPTERS, Database, Row
from tests.house import DISLIKE_BODY, KEY_ID, LIKE_BODY, MONDAY, TEAM_ID, Clock, House, issue_user_token

Outcome = TypeVar("Outcome")

CATALOG_ITEMS = [Item(Kind.SONG, "1"), Item(Kind.SONG, "01"), Item(Kind.ALBUM, "1"), Item(Kind.STATION, "ra.1")]
LIBRARY_ITEMS = [Item(Kind.LIBRARY_SONG, "i.a"), Item(Kind.LIBRARY_SONG, "i.A"), Item(Kind.LIBRARY_ALBUM, "l.a")]
ADDABLE_ITEMS = [item for item in CATALOG_ITEMS if item.kind in TWINS]
LIBRARY_KINDS = [Kind.LIBRARY_SONG, Kind.LIBRARY_ALBUM]
LISTENERS = ["ada", "ben"]


class Model:
    """One listener's ratings and library, said as plainly as possible."""

    def __init__(self) -> None:
        self.rated: dict[Item, tuple[Value, Time]] = {}
        self.cleared: dict[Item, Time] = {}
        self.twins: dict[Item, Item | None] = {}
        self.added: dict[Item, tuple[Time, int]] = {}
        self.dead: set[Item] = set()

    def home(self, item: Item) -> Item:
        return self.twins.get(item) or item

    def get(self, item: Item) -> Rating | None:
        kept = None if item in self.dead else self.rated.get(self.home(item))
        return None if kept is None else Rating(item, *kept)

    def put(self, item: Item, value: Value, now: Time) -> bool:
        if item in self.dead:
            return False
        if item.kind.is_library and item not in self.twins:
            self.meet(item, None, now)
        self.rated[self.home(item)] = (value, now)
        self.cleared.pop(self.home(item), None)
        return True

    def clear(self, item: Item, now: Time, only: Value | None = None) -> bool:
        rating = self.get(item)
        if rating is None or only not in {None, rating.value}:
            return False
        self.forget(self.home(item), now)
        return True

    def forget(self, home: Item, now: Time) -> None:
        if self.rated.pop(home, None) is not None:
            self.cleared[home] = now

    def bring(self, change: Change, now: Time) -> bool:
        """Write what happened at another time, as imports and sync do."""
        item, value, only, own_time, unless = change
        time = now if own_time is None else own_time
        home = self.home(item)
        kept = self.rated.get(home)
        stored_time = kept[1] if kept else self.cleared.get(home)
        is_newer = unless is Keep.NEWER and stored_time is not None and stored_time >= time
        is_rated = unless is Keep.RATED and kept is not None
        if item in self.dead or is_newer or is_rated or kept == (value, own_time):
            return False
        if value is None:
            return self.clear(item, time, only)
        if item.kind.is_library and item not in self.twins:
            self.meet(item, None, now)
        return self.put(item, value, time)

    def newest(self) -> list[ListedRating]:
        places = sorted(self.rated.items(), key=lambda each: (-each[1][1], each[0].kind.number, each[0].id))
        return [
            ListedRating(item, value, time, item if item.kind.is_library else self.address(item))
            for item, (value, time) in places
        ]

    def meet(self, library_item: Item, twin: Item | None, now: Time) -> None:
        self.twins[library_item] = twin
        self.added[library_item] = (now, len(self.added))

    def address(self, catalog_item: Item) -> Item | None:
        return next((item for item, twin in self.twins.items() if twin == catalog_item), None)

    def link(self, library_item: Item, catalog_item: Item, now: Time) -> bool:
        if library_item in self.dead or self.address(catalog_item) not in {None, library_item}:
            return False
        if library_item not in self.twins:
            self.meet(library_item, None, now)
        own = self.rated.get(library_item)
        if own is not None:
            self.forget(library_item, now)
            catalog = self.rated.get(catalog_item)
            self.rated[catalog_item] = own if catalog is None or own[1] > catalog[1] else catalog
            self.cleared.pop(catalog_item, None)
        self.twins[library_item] = catalog_item
        return True

    def unlink(self, library_item: Item, now: Time) -> bool:
        if library_item not in self.twins:
            return False
        del self.twins[library_item]
        self.forget(library_item, now)
        self.dead.add(library_item)
        return True

    def library(self, kind: Kind) -> list[LibraryItem]:
        """Return the items of one library kind, newest first."""
        items = sorted((item for item in self.twins if item.kind is kind), key=lambda item: self.added[item])
        return [LibraryItem(item, self.twins[item], self.added[item][0]) for item in reversed(items)]


class Mirror:
    """Somebody else's copy of one listener's ratings. `cursor` is what the subject needs to go on from."""

    def __init__(self) -> None:
        self.rated: dict[Item, Any] = {}
        self.cursor: Any = None

    def apply(self, item: Item, rating: Any | None) -> None:
        if rating is None:
            self.rated.pop(item, None)
        else:
            self.rated[item] = rating


class Subject(ABC):
    """What is compared with the model. A None where an answer should be means: it does not tell."""

    @abstractmethod
    async def open(self, folder: Path) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def put(self, name: str, item: Item, value: Value, now: Time) -> bool:
        """Rate; say whether that was possible."""

    @abstractmethod
    async def delete(self, name: str, item: Item, now: Time) -> bool: ...

    @abstractmethod
    async def favorite(self, name: str, items: Sequence[Item], now: Time) -> list[bool] | None: ...

    @abstractmethod
    async def unfavorite(self, name: str, items: Sequence[Item], now: Time) -> list[bool] | None: ...

    @abstractmethod
    async def bring(self, name: str, changes: Sequence[Change], now: Time) -> list[bool] | None:
        """Write what happened at other times; None where there is no way to."""

    @abstractmethod
    async def newest(self, name: str, limit: int) -> list[Any]:
        """Read the list of the newest, page after page."""

    @abstractmethod
    async def purge(self, name: str, before: Time, limit: int) -> int:
        """Remove tombstones; return how many."""

    @abstractmethod
    async def follow(self, name: str, mirror: Mirror, limit: int) -> None:
        """Bring a mirror up to date, page after page."""

    @abstractmethod
    async def add(self, name: str, items: Sequence[Item], now: Time) -> list[Item]:
        """Add catalog items to the library; return their library items."""

    @abstractmethod
    async def link(self, name: str, library_item: Item, catalog_item: Item, now: Time) -> bool: ...

    @abstractmethod
    async def unlink(self, name: str, item: Item, now: Time) -> bool: ...

    @abstractmethod
    async def get(self, name: str, item: Item) -> list[Any]: ...

    @abstractmethod
    async def get_many(self, name: str, items: Sequence[Item]) -> list[Any]: ...

    @abstractmethod
    async def library(self, name: str, kind: Kind) -> list[Any]: ...

    @abstractmethod
    async def twin(self, name: str, catalog_item: Item) -> Any: ...

    @abstractmethod
    def told(self, what: Any) -> Any:
        """Return what this subject tells of a rating or library item of the model."""

    @abstractmethod
    def rows(self, name: str) -> list[Row]:
        """Return what the database keeps of the listener's ratings."""


async def newest_of(store: Store, listener: Listener, limit: int) -> list[ListedRating]:
    ratings: list[ListedRating] = []
    after: Place | None = None
    while True:
        page = await store.newest_ratings(listener, after=after, limit=limit)
        ratings += page.ratings
        if len(page.ratings) < limit:
            return ratings
        after = Place(page.ratings[-1].time, page.ratings[-1].item)


async def follow(store: Store, listener: Listener, mirror: Mirror, limit: int) -> None:
    while True:
        cursor = mirror.cursor or 0
        changes, history = await store.changes(listener, after=cursor, limit=limit)
        if cursor < history.forgotten:
            mirror.rated = {each.item: Rating(*each[:3]) for each in await newest_of(store, listener, limit)}
            mirror.cursor = history.last
            return
        for item, value, time, _number in changes:
            mirror.apply(item, None if value is None else Rating(item, value, time))
        if len(changes) < limit:
            mirror.cursor = history.last
            return
        mirror.cursor = changes[-1].number


class StoreSubject(Subject):
    def __init__(self, adapter: Callable[[Path], Database]) -> None:
        self._adapter = adapter
        self._numbers = itertools.count()

    async def open(self, folder: Path) -> None:
        self._database = self._adapter(folder)
        self._store = await self._database.open()
        self._listeners = {name: await self._store.add_listener(name, "us") for name in LISTENERS}

    async def close(self) -> None:
        await self._store.close()

    async def put(self, name: str, item: Item, value: Value, now: Time) -> bool:
        try:
            await self._store.put(self._listeners[name], item, value, now=now)
        except ResourceNotFound:
            return False
        return True

    async def delete(self, name: str, item: Item, now: Time) -> bool:
        return await self._store.delete(self._listeners[name], item, now=now)

    async def favorite(self, name: str, items: Sequence[Item], now: Time) -> list[bool]:
        return await self._store.write(self._listeners[name], [Change(item, Value.LIKE) for item in items], now=now)

    async def unfavorite(self, name: str, items: Sequence[Item], now: Time) -> list[bool]:
        changes = [Change(item, None, Value.LIKE) for item in items]
        return await self._store.write(self._listeners[name], changes, now=now)

    async def bring(self, name: str, changes: Sequence[Change], now: Time) -> list[bool]:
        return await self._store.write(self._listeners[name], changes, now=now)

    async def newest(self, name: str, limit: int) -> list[Any]:
        return list(await newest_of(self._store, self._listeners[name], limit))

    async def follow(self, name: str, mirror: Mirror, limit: int) -> None:
        await follow(self._store, self._listeners[name], mirror, limit)

    async def purge(self, name: str, before: Time, limit: int) -> int:
        return await self._store.forget(self._listeners[name], before=before, limit=limit)

    async def add(self, name: str, items: Sequence[Item], now: Time) -> list[Item]:
        pairs = [(self._fresh(TWINS[item.kind]), item) for item in items]
        await self._store.add(self._listeners[name], pairs, now=now)
        twins = [await self._store.library_twin(self._listeners[name], item) for item in items]
        return [twin.item for twin in twins if twin is not None]

    def _fresh(self, kind: Kind) -> Item:
        return Item(kind, f"{kind.prefix}fresh{next(self._numbers)}")

    async def link(self, name: str, library_item: Item, catalog_item: Item, now: Time) -> bool:
        try:
            await self._store.link(self._listeners[name], library_item, catalog_item, now=now)
        except LinkRefused:
            return False
        return True

    async def unlink(self, name: str, item: Item, now: Time) -> bool:
        return await self._store.unlink(self._listeners[name], item, now=now)

    async def get(self, name: str, item: Item) -> list[Any]:
        return list(await self._store.get(self._listeners[name], [item]))

    async def get_many(self, name: str, items: Sequence[Item]) -> list[Any]:
        return list(await self._store.get(self._listeners[name], items))

    async def library(self, name: str, kind: Kind) -> list[Any]:
        page = await self._store.library_page(self._listeners[name], kind, limit=1_000, offset=0)
        assert page.total == len(page.items)
        found = await self._store.library_items(self._listeners[name], [each.item for each in page.items])
        assert found == page.items
        return list(page.items)

    async def twin(self, name: str, catalog_item: Item) -> Any:
        return await self._store.library_twin(self._listeners[name], catalog_item)

    def told(self, what: Any) -> Any:
        return what

    def rows(self, name: str) -> list[Row]:
        return self._database.rows(self._store, self._listeners[name])


def by_type(items: Iterable[Item]) -> dict[str, str]:
    """Write items as the parameters `ids[songs]=…&ids[albums]=…`."""
    parameters: dict[str, str] = {}
    for item in items:
        name = f"ids[{item.kind.type}]"
        parameters[name] = f"{parameters[name]},{item.id}" if name in parameters else item.id
    return parameters


def library_path(item: Item) -> str:
    return f"/v1/me/library/{item.kind.type.removeprefix('library-')}/{item.id}"


class HttpSubject(Subject):
    """The same through HTTP; only `link` goes past it, for Apple has no endpoint that links an upload."""

    def __init__(self, private_key: bytes) -> None:
        self._private_key = private_key
        self._clock = Clock(MONDAY)
        self._numbers = itertools.count()

    async def open(self, folder: Path) -> None:
        self._database = ADAPTERS["sqlite"](folder)
        store = await self._database.open()
        await store.add_developer_key(DeveloperKey(KEY_ID, TEAM_ID, read_public_key(self._private_key), MONDAY))
        ada, ben = await store.add_listener("ada", "us"), await store.add_listener("ben", "jp")
        tokens = {listener.name: await issue_user_token(store, listener) for listener in (ada, ben)}
        await store.close()
        self._listeners: dict[str, Listener] = {"ada": ada, "ben": ben}
        self._app = App(
            Settings(database=self._database.url),
            now=self._clock,
            random_bytes=lambda size: next(self._numbers).to_bytes(size),
        )
        await self._app.open()
        house = House(self._app, self._private_key, self._clock, ada, ben, tokens["ada"], tokens["ben"])
        self._clients = {name: house.client(tokens[name]) for name in LISTENERS}

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        await self._app.close()

    async def _ask(self, name: str, method: str, path: str, now: Time | None = None, **options: Any) -> httpx2.Response:
        if now is not None:
            self._clock.time = now
        return await self._clients[name].request(method, path, **options)

    async def _try(self, good: int, *request: Any, **options: Any) -> bool:
        response = await self._ask(*request, **options)
        assert response.status_code in {good, 404}
        return response.status_code == good

    async def put(self, name: str, item: Item, value: Value, now: Time) -> bool:
        body = LIKE_BODY if value is Value.LIKE else DISLIKE_BODY
        return await self._try(200, name, "PUT", f"/v1/me/ratings/{item.kind.type}/{item.id}", now, content=body)

    async def delete(self, name: str, item: Item, now: Time) -> bool:
        return await self._try(204, name, "DELETE", f"/v1/me/ratings/{item.kind.type}/{item.id}", now)

    async def favorite(self, name: str, items: Sequence[Item], now: Time) -> None:
        response = await self._ask(name, "POST", "/v1/me/favorites", now, params=by_type(items))
        assert response.status_code == 202

    async def unfavorite(self, name: str, items: Sequence[Item], now: Time) -> None:
        response = await self._ask(name, "DELETE", "/v1/me/favorites", now, params=by_type(items))
        assert response.status_code == 202

    async def bring(self, name: str, changes: Sequence[Change], now: Time) -> list[bool] | None:
        """Send what is done now and by no rule in one body; there is no other way to."""
        if any(change[2:] != (None, None, None) for change in changes):
            return None
        entries = [
            {"type": item.kind.type, "id": item.id, "attributes": {"value": value}} for item, value, *_ in changes
        ]
        rated_before = {item: await self.get(name, item) != [] for item, *_ in changes}
        response = await self._ask(name, "POST", "/v1/me/ratings", now, json={"data": entries})
        assert response.status_code == 200
        done = []
        for (item, value, *_), outcome in zip(changes, response.json()["data"], strict=True):
            done.append("errors" not in outcome and (value is not None or rated_before[item]))
        return done if len(rated_before) == len(changes) else None

    async def newest(self, name: str, limit: int) -> list[Any]:
        pages = await self._pages(name, f"/v1/me/ratings?limit={limit}")
        listed = [each for page in pages for each in page["data"]]
        assert [page["meta"]["total"] for page in pages] == [len(listed)] * len(pages)
        return [self._read_listed(each) for each in listed]

    async def _pages(self, name: str, path: str) -> list[Any]:
        pages: list[Any] = []
        while path:
            response = await self._ask(name, "GET", path)
            if response.status_code == 410:
                return []
            assert response.status_code == 200
            pages.append(response.json())
            path = pages[-1].get("next")
        return pages

    async def follow(self, name: str, mirror: Mirror, limit: int) -> None:
        pages = mirror.cursor and await self._pages(name, f"/v1/me/ratings?since={mirror.cursor}&limit={limit}")
        if not pages:
            pages = await self._pages(name, f"/v1/me/ratings?limit={limit}")
            mirror.rated.clear()
            mirror.cursor = pages[0]["meta"]["cursor"]
        else:
            mirror.cursor = pages[-1]["meta"]["cursor"]
        for page in pages:
            for each in page["data"]:
                [type, id] = each["href"].removeprefix("/v1/me/ratings/").split("/")
                is_cleared = each["attributes"]["value"] is None
                mirror.apply(Item(KINDS[type], id), None if is_cleared else self._read_rating(each))

    def _read_listed(self, resource: Any) -> tuple[str, str, int, Time, str | None]:
        type, id, value = self._read_rating(resource)
        [library] = resource.get("relationships", {"library": {"data": [{"id": None}]}})["library"]["data"]
        library_id = id if KINDS[type].is_library else library["id"]
        time = round(datetime.fromisoformat(resource["attributes"]["ratedAt"]).timestamp() * 1000)
        return type, id, value, time, library_id

    async def purge(self, name: str, before: Time, limit: int) -> int:
        return await self._app.store.forget(self._listeners[name], before=before, limit=limit)

    async def add(self, name: str, items: Sequence[Item], now: Time) -> list[Item]:
        response = await self._ask(name, "POST", "/v1/me/library", now, params=by_type(items))
        assert response.status_code == 202
        return [Item(TWINS[item.kind], (await self.twin(name, item))[1]) for item in items]

    async def link(self, name: str, library_item: Item, catalog_item: Item, now: Time) -> bool:
        try:
            await self._app.store.link(self._listeners[name], library_item, catalog_item, now=now)
        except LinkRefused:
            return False
        return True

    async def unlink(self, name: str, item: Item, now: Time) -> bool:
        return await self._try(204, name, "DELETE", library_path(item), now)

    async def get(self, name: str, item: Item) -> list[Any]:
        response = await self._ask(name, "GET", f"/v1/me/ratings/{item.kind.type}/{item.id}")
        if response.status_code == 404:
            return []
        assert response.status_code == 200
        return [self._read_rating(each) for each in response.json()["data"]]

    async def get_many(self, name: str, items: Sequence[Item]) -> list[Any]:
        ratings = []
        for type in dict.fromkeys(item.kind.type for item in items):
            ids = ",".join(item.id for item in items if item.kind.type == type)
            response = await self._ask(name, "GET", f"/v1/me/ratings/{type}", params={"ids": ids})
            assert response.status_code == 200
            ratings += [self._read_rating(each) for each in response.json()["data"]]
        return ratings

    async def library(self, name: str, kind: Kind) -> list[Any]:
        path = f"/v1/me/library/{kind.type.removeprefix('library-')}?limit=2"
        resources: list[Any] = []
        while path:
            response = await self._ask(name, "GET", path)
            assert response.status_code == 200
            document = response.json()
            resources += document["data"]
            path = document.get("next")
        assert document["meta"]["total"] == len(resources)
        if resources:
            params = {f"ids[{kind.type}]": ",".join(each["id"] for each in resources)}
            response = await self._ask(name, "GET", "/v1/me/library", params=params)
            assert response.json()["data"] == resources
        return [self._read_library_item(each) for each in resources]

    async def twin(self, name: str, catalog_item: Item) -> Any:
        storefront, type = self._listeners[name].storefront, catalog_item.kind.type
        response = await self._ask(name, "GET", f"/v1/catalog/{storefront}/{type}/{catalog_item.id}/library")
        if response.status_code == 404:
            return None
        assert response.status_code == 200
        [resource] = response.json()["data"]
        return self._read_library_item(resource)

    def rows(self, name: str) -> list[Row]:
        return self._database.rows(self._app.store, self._listeners[name])

    def _read_rating(self, resource: Any) -> tuple[str, str, int]:
        [type, id] = resource["href"].removeprefix("/v1/me/ratings/").split("/")
        assert id == resource["id"]
        return type, id, resource["attributes"]["value"]

    def _read_library_item(self, resource: Any) -> tuple[str, str, str | None]:
        return resource["type"], resource["id"], resource["attributes"]["playParams"].get("catalogId")

    def told(self, what: Any) -> Any:
        match what:
            case ListedRating(item, value, time, library_item):
                return item.kind.type, item.id, int(value), time, library_item and library_item.id
            case Rating(item, value, _):
                return item.kind.type, item.id, int(value)
            case LibraryItem(item, twin, _):
                return item.kind.type, item.id, None if twin is None else twin.id
            case tuple() | None:
                return what


names = st.sampled_from(LISTENERS)
times = st.integers(MONDAY, MONDAY + 2)
values = st.sampled_from(Value)
keeps = st.sampled_from(Keep)
catalog_items = st.sampled_from(CATALOG_ITEMS)
addable_catalog_items = st.sampled_from(ADDABLE_ITEMS)
addable_items = st.lists(addable_catalog_items, min_size=1, max_size=3, unique=True)


def happenings(items: st.SearchStrategy[Item]) -> st.SearchStrategy[Change]:
    return st.builds(Change, items, values | st.none(), values | st.none(), times | st.none(), keeps | st.none())


class Histories(RuleBasedStateMachine):
    """Two listeners do whatever can be done; one event loop for each history."""

    library_items = Bundle("library_items")
    items = catalog_items | library_items
    several_items = st.lists(items, min_size=1, max_size=4, unique=True)

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._subject = subject
        self._models = {name: Model() for name in LISTENERS}
        self._library_items = set(LIBRARY_ITEMS)
        self._folder = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner()
        self._run(subject.open(Path(self._folder.name)))
        self._change_seen = dict.fromkeys(LISTENERS, 0)
        self._rows_seen: dict[str, list[Row]] = {name: [] for name in LISTENERS}
        self._mirrors = {name: [Mirror(), Mirror()] for name in LISTENERS}

    def _run(self, coroutine: Coroutine[Any, Any, Outcome]) -> Outcome:
        return self._runner.run(coroutine)

    def teardown(self) -> None:
        self._run(self._subject.close())
        self._runner.close()
        self._folder.cleanup()

    @initialize(target=library_items)
    def begin(self) -> Any:
        return multiple(*LIBRARY_ITEMS)

    @rule(name=names, item=items, value=values, now=times)
    def put(self, name: str, item: Item, value: Value, now: Time) -> None:
        assert self._run(self._subject.put(name, item, value, now)) == self._models[name].put(item, value, now)

    @rule(name=names, item=items, now=times)
    def delete(self, name: str, item: Item, now: Time) -> None:
        assert self._run(self._subject.delete(name, item, now)) == self._models[name].clear(item, now)

    @rule(name=names, items=several_items, now=times)
    def favorite(self, name: str, items: list[Item], now: Time) -> None:
        done = self._run(self._subject.favorite(name, items, now))
        expected = [self._models[name].put(item, Value.LIKE, now) for item in items]
        assert done in (None, expected)

    @rule(name=names, items=several_items, now=times)
    def unfavorite(self, name: str, items: list[Item], now: Time) -> None:
        done = self._run(self._subject.unfavorite(name, items, now))
        expected = [self._models[name].clear(item, now, only=Value.LIKE) for item in items]
        assert done in (None, expected)

    @rule(name=names, happened=st.lists(happenings(items), min_size=1, max_size=4), now=times)
    def bring(self, name: str, happened: list[Change], now: Time) -> None:
        done = self._run(self._subject.bring(name, happened, now))
        if done is not None:
            model = self._models[name]
            assert done == [model.bring(change, now) for change in happened]

    @rule(name=names, before=times, limit=st.integers(1, 3))
    def purge(self, name: str, before: Time, limit: int) -> None:
        model = self._models[name]
        old = [item for item, time in model.cleared.items() if time < before]
        gone = self._run(self._subject.purge(name, before, limit))
        assert gone == min(limit, len(old))
        kept = {row.item for row in self._subject.rows(name)}
        lost = [item for item in old if item not in kept]
        assert len(lost) == gone
        for item in lost:
            del model.cleared[item]

    @rule(name=names, which=st.integers(0, 1), limit=st.integers(1, 4))
    def follow(self, name: str, which: int, limit: int) -> None:
        """Whoever follows the changes, in pages of any size and from any moment on, has what is rated."""
        mirror = self._mirrors[name][which]
        self._run(self._subject.follow(name, mirror, limit))
        self._check_mirror(name, mirror)

    @rule(name=names, limit=st.integers(1, 4), value=values, items=several_items, now=times)
    def follow_while_others_write(self, name: str, limit: int, value: Value, items: list[Item], now: Time) -> None:
        mirror = self._mirrors[name][0]

        async def do_both() -> None:
            _, *done = await asyncio.gather(
                self._subject.follow(name, mirror, limit),
                *(self._subject.put(name, item, value, now) for item in items),
            )
            assert done == [self._models[name].put(item, value, now) for item in items]
            await self._subject.follow(name, mirror, limit)

        self._run(do_both())
        self._check_mirror(name, mirror)

    def _check_mirror(self, name: str, mirror: Mirror) -> None:
        rated = self._models[name].rated
        assert mirror.rated == {item: self._subject.told(Rating(item, *kept)) for item, kept in rated.items()}

    @rule(name=names, limit=st.integers(1, 4))
    def newest(self, name: str, limit: int) -> None:
        """The list of the newest has each rating once, whatever the size of its pages."""
        expected = [self._subject.told(rating) for rating in self._models[name].newest()]
        assert self._run(self._subject.newest(name, limit)) == expected

    @rule(target=library_items, name=names, items=addable_items, now=times)
    def add(self, name: str, items: list[Item], now: Time) -> Any:
        model = self._models[name]
        found = self._run(self._subject.add(name, items, now))
        assert len(found) == len(items)
        # What was added has a fresh id, and what was there keeps its own. Several types may be added in any order.
        for library_item, item in sorted(zip(found, items, strict=True), key=lambda pair: pair[1].kind.number):
            known = model.address(item)
            if known is None:
                assert library_item not in self._library_items
                model.meet(library_item, item, now)
            else:
                assert library_item == known
        fresh = set(found) - self._library_items
        self._library_items |= fresh
        return multiple(*sorted(fresh, key=lambda item: item.id))

    @rule(name=names, library_item=library_items, catalog_item=catalog_items, now=times)
    def link(self, name: str, library_item: Item, catalog_item: Item, now: Time) -> None:
        if TWINS[library_item.kind] is catalog_item.kind:
            linked = self._run(self._subject.link(name, library_item, catalog_item, now))
            assert linked == self._models[name].link(library_item, catalog_item, now)

    @rule(name=names, library_item=library_items, now=times)
    def unlink(self, name: str, library_item: Item, now: Time) -> None:
        assert self._run(self._subject.unlink(name, library_item, now)) == self._models[name].unlink(library_item, now)

    @rule(
        target=library_items,
        name=names,
        catalog_item=addable_catalog_items,
        own=values,
        catalog=values,
        own_time=times,
        catalog_time=times,
    )
    def match_an_upload(
        self, name: str, catalog_item: Item, own: Value, catalog: Value, own_time: Time, catalog_time: Time
    ) -> Item:
        """Link what was rated on both sides, which chance alone seldom does."""
        kind = TWINS[catalog_item.kind]
        upload = Item(kind, f"{kind.prefix}upload{len(self._library_items)}")
        self._library_items.add(upload)
        self.put(name, upload, own, own_time)
        self.put(name, catalog_item, catalog, catalog_time)
        self.link(name, upload, catalog_item, max(own_time, catalog_time))
        return upload

    @precondition(lambda self: any(model.dead for model in self._models.values()))
    @rule(data=st.data(), value=values, now=times)
    def touch_a_dead_id(self, data: st.DataObject, value: Value, now: Time) -> None:
        name = data.draw(st.sampled_from([name for name in LISTENERS if self._models[name].dead]))
        dead = data.draw(st.sampled_from(sorted(self._models[name].dead, key=lambda item: item.id)))
        assert not self._run(self._subject.put(name, dead, value, now))
        assert not self._run(self._subject.delete(name, dead, now))
        assert not self._run(self._subject.unlink(name, dead, now))

    @rule(name=names, item=items)
    def get(self, name: str, item: Item) -> None:
        rating = self._models[name].get(item)
        expected = [] if rating is None else [self._subject.told(rating)]
        assert self._run(self._subject.get(name, item)) == expected

    @rule(name=names, catalog_item=catalog_items)
    def library_twin(self, name: str, catalog_item: Item) -> None:
        model = self._models[name]
        item = model.address(catalog_item)
        twin = None if item is None else LibraryItem(item, catalog_item, model.added[item][0])
        assert self._run(self._subject.twin(name, catalog_item)) == self._subject.told(twin)

    @rule(name=names, catalog_values=st.dictionaries(catalog_items, values | st.none(), min_size=2), now=times)
    def change_items_at_once(self, name: str, catalog_values: dict[Item, Value | None], now: Time) -> None:
        """Changes of items that have nothing in common come out the same in any order."""

        async def change_all() -> list[bool]:
            return await asyncio.gather(
                *(
                    self._subject.delete(name, item, now)
                    if value is None
                    else self._subject.put(name, item, value, now)
                    for item, value in catalog_values.items()
                )
            )

        model = self._models[name]
        expected = [
            model.clear(item, now) if value is None else model.put(item, value, now)
            for item, value in catalog_values.items()
        ]
        assert self._run(change_all()) == expected

    @rule(name=names, item=items, raced=st.lists(values, min_size=2, max_size=5), now=times)
    def put_one_item_at_once(self, name: str, item: Item, raced: list[Value], now: Time) -> None:
        """Of puts that race, one is the last: its value stays, and all were possible or none."""

        async def put_all() -> list[bool]:
            return await asyncio.gather(*(self._subject.put(name, item, value, now) for value in raced))

        model = self._models[name]
        assert self._run(put_all()) == [model.put(item, value, now) for value in raced]
        if item not in model.dead:
            [rating] = self._run(self._subject.get(name, item))
            [last] = [value for value in set(raced) if self._subject.told(Rating(item, value, now)) == rating]
            model.put(item, last, now)

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        items = [*CATALOG_ITEMS, *sorted(self._library_items, key=lambda item: (item.kind.number, item.id))]
        for name, model in self._models.items():
            ratings = [rating for item in items if (rating := model.get(item)) is not None]
            assert self._run(self._subject.get_many(name, items)) == [self._subject.told(each) for each in ratings]
            for kind in LIBRARY_KINDS:
                library = [self._subject.told(each) for each in model.library(kind)]
                assert self._run(self._subject.library(name, kind)) == library

    @invariant()
    def whoever_has_seen_a_change_number_never_meets_a_smaller_new_one(self) -> None:
        for name in LISTENERS:
            rows = self._subject.rows(name)
            new = [row.change for row in rows if row not in self._rows_seen[name]]
            assert all(change > self._change_seen[name] for change in new)
            assert len({row.change for row in rows}) == len(rows)
            self._change_seen[name] = max([self._change_seen[name], *new])
            self._rows_seen[name] = rows


# Finding the shortest history that fails takes minutes through HTTP, so only the stores' histories are shortened.
WITHOUT_SHRINKING = [phase for phase in Phase if phase is not Phase.shrink]
PACE = settings(stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def run_histories(subject: Callable[[], Subject], pace: settings) -> None:
    run_state_machine_as_test(cast("type[Histories]", lambda: Histories(subject())), settings=pace)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_no_history_tells_a_store_from_the_model(adapter):
    run_histories(lambda: StoreSubject(ADAPTERS[adapter]), settings(PACE, max_examples=50))


def test_no_history_tells_the_api_from_the_model():
    private_key = generate_private_key()

    run_histories(lambda: HttpSubject(private_key), settings(PACE, max_examples=15, phases=WITHOUT_SHRINKING))
