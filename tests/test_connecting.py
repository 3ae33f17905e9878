"""Of several hosts that a URL names, the one that may be written to is found, whichever that is."""

import asyncio
import time
from urllib.parse import urlsplit

import asyncpg
import pytest

from likewise.errors import StoreUnavailable
from likewise.stores import open_store
from likewise.stores.postgres.connecting import connect, urls_of
from tests.contract.postgres_proxy import Proxy, proxied
from tests.contract.postgres_server import execute, postgres_server

NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        ("postgresql://ada@one/likewise", ["postgresql://ada@one/likewise"]),
        ("postgresql://ada@/likewise?host=/run/pg", ["postgresql://ada@/likewise?host=/run/pg"]),
        ("postgresql:///likewise", ["postgresql:///likewise"]),
        (
            "postgresql://ada:p%40ss@one:5432,two/likewise",
            [
                "postgresql://ada:p%40ss@one:5432/likewise?target_session_attrs=read-write",
                "postgresql://ada:p%40ss@two/likewise?target_session_attrs=read-write",
            ],
        ),
        (
            "postgres://one,[::1]:5433/likewise?target_session_attrs=any&sslmode=require",
            [
                "postgres://one/likewise?target_session_attrs=any&sslmode=require",
                "postgres://[::1]:5433/likewise?target_session_attrs=any&sslmode=require",
            ],
        ),
        (
            "postgresql://ada@/likewise?host=/run/a,two&port=1,2",
            [
                "postgresql://ada@/likewise?host=/run/a&port=1&target_session_attrs=read-write",
                "postgresql://ada@/likewise?host=two&port=2&target_session_attrs=read-write",
            ],
        ),
        (
            "postgresql://ada@/likewise?host=one,two&port=5433",
            [
                "postgresql://ada@/likewise?host=one&port=5433&target_session_attrs=read-write",
                "postgresql://ada@/likewise?host=two&port=5433&target_session_attrs=read-write",
            ],
        ),
    ],
)
def test_a_url_of_several_hosts_is_one_url_for_each(url, urls):
    assert [each.replace("%2F", "/") for each in urls_of(url)] == urls


@pytest.fixture
def url():
    return postgres_server().make_database()


@pytest.fixture
async def hosts(url):
    """Two addresses of one database."""
    async with proxied(url) as one, proxied(url) as other:
        yield one, other


def address_of(proxy: Proxy) -> str:
    return proxy.url.partition("@")[2].partition("/")[0]


def behind(proxy: Proxy, *addresses: str) -> str:
    """Write the URL of a proxy's database with these addresses instead of its own."""
    return proxy.url.replace(address_of(proxy), ",".join(addresses))


async def connections(url: str) -> int:
    [[count]] = await execute(
        url, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return int(count)


async def until_connections_are(url: str, count: int) -> None:
    deadline = time.monotonic() + 10
    while await connections(url) != count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("is_first", [True, False])
async def test_whichever_host_is_there_is_taken(hosts, is_first):
    proxy, _ = hosts
    addresses = [address_of(proxy), NOWHERE]
    store = await open_store(behind(proxy, *(addresses if is_first else reversed(addresses))))
    await store.ping()
    await store.close()

    assert proxy.connections >= 2


async def test_a_host_that_does_not_answer_is_not_waited_for(hosts):
    silent, proxy = hosts
    silent.stall()
    async with asyncio.timeout(5):
        connection = await connect(behind(proxy, address_of(silent), address_of(proxy)))
        found = await connection.fetchval("SELECT 1")
        await connection.close()

    assert found == 1


async def test_of_two_that_answer_one_connection_is_kept(url, hosts):
    one, other = hosts
    connection = await connect(behind(one, address_of(one), address_of(other)))
    await until_connections_are(url, 1)
    found = await connection.fetchval("SELECT 1")
    await connection.close()

    assert found == 1


async def test_none_that_may_be_written_to_is_none_at_all(url, hosts):
    one, other = hosts
    database = urlsplit(url).path.strip("/")
    await execute(url, f"ALTER DATABASE {database} SET default_transaction_read_only = on")

    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await connect(behind(one, address_of(one), address_of(other)))
    with pytest.raises(OSError, match=r"[Cc]onnect"):  # why the other does not answer says more
        await connect(behind(one, address_of(one), NOWHERE))
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await open_store(behind(one, address_of(one), NOWHERE))


async def test_whoever_gives_up_leaves_no_connection_behind(url, hosts):
    for proxy in hosts:
        proxy.stall()
    connecting = asyncio.ensure_future(connect(behind(hosts[0], *map(address_of, hosts))))
    deadline = time.monotonic() + 10
    while not all(proxy.connections for proxy in hosts):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    connecting.cancel()
    await asyncio.wait([connecting])
    for proxy in hosts:
        proxy.resume()
    await until_connections_are(url, 0)

    assert connecting.cancelled()


async def test_of_two_that_answer_at_the_same_moment_the_other_is_dropped(url, monkeypatch):
    made = []
    both_are_there = asyncio.Event()
    real = asyncpg.connect

    async def connect_together(*arguments, **options):
        made.append(await real(*arguments, **options))
        if len(made) == 2:
            asyncio.get_running_loop().call_soon(both_are_there.set)
        connection = made[-1]
        await both_are_there.wait()
        return connection

    monkeypatch.setattr(asyncpg, "connect", connect_together)
    async with proxied(url) as proxy:
        connection = await connect(behind(proxy, address_of(proxy), address_of(proxy)))
        await until_connections_are(url, 1)
        found = await connection.fetchval("SELECT 1")
        await connection.close()

    assert found == 1
