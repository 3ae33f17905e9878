"""The power goes at any moment: what was acknowledged is on the disk, and the database is whole."""

import asyncio
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from likewise.domain import Item, Kind, Listener, Value
from likewise.errors import StoreError
from likewise.stores import open_store
from likewise.stores.sqlite import SQLiteStore
from tests.house import MONDAY
from tests.torture.disk import Disk, losing_power
from tests.torture.integrity import wrongs

SONGS = [Item(Kind.SONG, str(number)) for number in range(12)]
LIBRARY_SONG = Item(Kind.LIBRARY_SONG, "i.a")
ROUNDS = 12


@dataclass
class Picture:
    """What may be found on the disk after the power went, with the time of each song's rating that was asked for and
    acknowledged by then, and whether the listener was.
    """

    files: dict[str, bytes]
    acknowledged: dict[Item, int]
    asked: dict[Item, int]
    knows_ada: bool


class Writer:
    """Writes to a store on a disk that may lose its power, and takes pictures of the disk at random moments."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._acknowledged: dict[Item, int] = {}
        self._asked: dict[Item, int] = {}
        self._knows_ada = False
        self._times = itertools.count(MONDAY)
        self.pictures: list[Picture] = []

    async def work(self, spoil: Callable[[SQLiteStore], None], often: float) -> None:
        """Write, close, open again and write on; the power might go wherever a picture was taken."""
        with losing_power(self._folder) as disk:

            def picture() -> None:
                if self._chance.random() < often:
                    noted = dict(self._acknowledged), dict(self._asked), self._knows_ada
                    self.pictures.append(Picture(disk.images(self._chance), *noted))

            disk.notice = picture
            for _ in range(2):
                store = await open_store(f"sqlite:///{self._folder}/likewise.db")
                assert isinstance(store, SQLiteStore)
                spoil(store)
                if not self._knows_ada:
                    self._ada = await store.add_listener("ada", "us")
                    self._knows_ada = True
                    await store.link(self._ada, LIBRARY_SONG, SONGS[0], now=MONDAY)
                for _ in range(ROUNDS):
                    await asyncio.gather(*(self._put(store, item) for item in self._chance.sample(SONGS, 4)))
                    if self._chance.random() < 0.2:
                        await asyncio.get_running_loop().run_in_executor(store._thread, store._checkpoint)
                picture()
                await store.close()
                picture()

    async def _put(self, store: SQLiteStore, item: Item) -> None:
        time = self._asked[item] = next(self._times)
        address = LIBRARY_SONG if item == SONGS[0] and time % 2 else item
        await store.put(self._ada, address, Value.LIKE if time % 2 else Value.DISLIKE, now=time)
        self._acknowledged[item] = time


async def losses(picture: Picture, folder: Path, ada: Listener) -> list[str]:
    """Say what is lost or wrong on the disk that the picture shows."""
    _lay_out(picture, folder)
    url = f"sqlite:///{folder}/likewise.db"
    try:
        store = await open_store(url)
        try:
            listeners = await store.listeners()
            times = {rating.item: rating.time for rating in await store.get(ada, SONGS)}
        finally:
            await store.close()
        found = await asyncio.to_thread(wrongs, url)
    except StoreError as error:
        return [f"{error}"]
    if picture.knows_ada and listeners != [ada]:
        found.append("an acknowledged listener is lost")
    for item, time in picture.acknowledged.items():
        if times.get(item, 0) < time:
            found.append(f"an acknowledged rating is lost: {item} of {time}, found {times.get(item)}")
    for item, time in times.items():
        if time > picture.asked.get(item, 0):
            found.append(f"a rating that nobody had asked for: {item} of {time}")
    return found


def _lay_out(picture: Picture, folder: Path) -> None:
    folder.mkdir()
    for name, content in picture.files.items():
        (folder / name).write_bytes(content)


async def all_losses(tmp_path: Path, seed: int, spoil: Callable[[SQLiteStore], None], often: float) -> list[str]:
    writer = Writer(tmp_path, seed)
    await writer.work(spoil, often)
    assert len(writer.pictures) > 10
    found = []
    for number, picture in enumerate(writer.pictures):
        found += await losses(picture, tmp_path / f"picture{number}", writer._ada)
    return found


@pytest.mark.parametrize("seed", range(4))
async def test_whenever_the_power_goes_nothing_acknowledged_is_lost(tmp_path, seed):
    assert await all_losses(tmp_path, seed, lambda _store: None, often=0.15) == []


@pytest.mark.parametrize("level", ["OFF", "NORMAL"])
async def test_a_store_that_does_not_wait_for_the_disk_is_found_out(tmp_path, level):
    found = await all_losses(tmp_path, 1, lambda store: store._writer.pragma("synchronous", level), often=0.15)

    assert any("acknowledged rating is lost" in loss for loss in found)


async def test_a_disk_on_which_no_name_is_made_durable_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(Disk, "sync_folder", lambda _disk: None)

    found = await all_losses(tmp_path, 1, lambda _store: None, often=0.15)

    assert any("acknowledged" in loss for loss in found)
