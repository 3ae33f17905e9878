"""Fixtures that everything shares: an application on a real SQLite file, two listeners, a clock one can turn."""

import logging
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from likewise.app import App
from likewise.config import Settings
from likewise.domain import DeveloperKey
from likewise.stores import open_store
from likewise.tokens import generate_private_key, read_public_key
from tests.contract.postgres_server import running_servers
from tests.house import KEY_ID, MONDAY, TEAM_ID, Clock, House, issue_user_token
from tests.watch import WATCH, listening

# A shell starts what runs in the background deaf to Ctrl-C, and so would be every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, text in report.sections:
        if "log" not in name:  # whose entries were heard one by one
            WATCH.hear("stdout" if "stdout" in name else "stderr", text)


def pytest_sessionfinish() -> None:
    running_servers.close()


@pytest.fixture(scope="session", autouse=True)
def listening_for_secrets() -> Iterator[None]:
    """Hear everything that is said, by tests and by what they share; see `tests/watch.py`."""
    with listening():
        yield
    assert WATCH.take() == []


@pytest.fixture(autouse=True)
def nothing_secret_was_said(listening_for_secrets: None) -> Iterator[None]:  # noqa: ARG001 - it listens
    """Fail the test in which, or just before which, a token, a key or a password was said aloud."""
    yield
    assert WATCH.take() == []


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo how a test, or a command that it runs in this process, has configured logging."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    ours = [each for each in root.handlers if type(each).__module__ == "likewise.logs" and each not in handlers]
    for each in ours:
        root.removeHandler(each)
    root.setLevel(level)


@pytest.fixture(scope="session")
def private_key() -> bytes:
    """The `.p8` of the developer key that every test's house knows."""
    return generate_private_key()


@pytest.fixture
def clock() -> Clock:
    return Clock(MONDAY)


@pytest.fixture
async def house(tmp_path: Path, private_key: bytes, clock: Clock) -> AsyncIterator[House]:
    """An open application with one developer key and the listeners ada (us) and ben (jp)."""
    url = f"sqlite:///{tmp_path}/likewise.db"
    store = await open_store(url)
    key = DeveloperKey(KEY_ID, TEAM_ID, read_public_key(private_key), MONDAY)
    await store.add_developer_key(key)
    ada = await store.add_listener("ada", "us")
    ben = await store.add_listener("ben", "jp")
    ada_token = await issue_user_token(store, ada)
    ben_token = await issue_user_token(store, ben)
    await store.close()
    async with App(Settings(database=url), now=clock) as app:
        yield House(app, private_key, clock, ada, ben, ada_token, ben_token)


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client: an HTTP client without a socket, with both of her tokens."""
    async with house.client(house.ada_token) as client:
        yield client


@pytest.fixture
async def bens_client(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with house.client(house.ben_token) as client:
        yield client
