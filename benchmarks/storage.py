"""How many bytes a rating costs on disk.

A million ratings, of 1000 listeners with 1000 each, reach a new store through its port, one by one and in random order,
as they would from people; every id has 9 or 10 digits, and nothing is cleared again.

In SQLite, the store is closed then, which copies its log into the database, and the size of the file is divided by the
number of ratings. With `--database`, it is an empty PostgreSQL database, which keeps what was written; what its tables
and their indexes take is told for a rating and for a listener.
"""

import argparse
import asyncio
import platform
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
from rich.console import Console
from rich.progress import track

from likewise.app import now
from likewise.domain import Item, Kind, Value
from likewise.stores import open_store

BYTES_MAX = 65
LISTENERS = 1_000
CONCURRENT_WRITES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=1_000, help="ratings of each of 1000 listeners (default: 1000)")
    parser.add_argument("--database", metavar="URL", help="an empty PostgreSQL database (default: a SQLite file)")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where to put the database (default: here)")
    arguments = parser.parse_args()
    # So that the folder is cleared away after a `kill` too, not only after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if arguments.database:
            _measure_postgres(arguments.database, arguments.each)
        else:
            _measure_sqlite(arguments.folder, arguments.each)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _measure_sqlite(place: Path, each: int) -> None:
    with tempfile.TemporaryDirectory(prefix="likewise-benchmark-", dir=place) as folder:
        path = Path(folder, "likewise.db")
        seconds = asyncio.run(_fill(f"sqlite:///{path}", each))
        bytes_each = path.stat().st_size / (LISTENERS * each)
    _print_pace(f"apsw {apsw.apsw_version()} (SQLite {apsw.sqlite_lib_version()})", each, seconds)
    verdict = "met" if bytes_each <= BYTES_MAX else "missed"
    print(f"{bytes_each:.1f} bytes for each on disk, target ≤ {BYTES_MAX}: {verdict}")


def _measure_postgres(url: str, each: int) -> None:
    import asyncpg  # noqa: PLC0415 - an extra

    async def sizes() -> tuple[str, dict[str, int]]:
        connection = await asyncpg.connect(url)
        try:
            version = await connection.fetchval("SHOW server_version")
            rows = await connection.fetch(_SIZES)
        finally:
            await connection.close()
        return version, {row["name"]: row["bytes"] for row in rows}

    seconds = asyncio.run(_fill(url, each))
    version, bytes_of = asyncio.run(sizes())
    _print_pace(f"PostgreSQL {version}", each, seconds)
    print(f"{bytes_of['ratings'] / (LISTENERS * each):.1f} bytes for each rating")
    print(f"{(bytes_of['listeners'] + bytes_of['names']) / LISTENERS:.1f} bytes for each listener")


_SIZES = """
SELECT relname AS name, pg_total_relation_size(oid) AS bytes
FROM pg_class
WHERE relnamespace = 'likewise'::regnamespace AND relkind = 'r'
"""


def _print_pace(engine: str, each: int, seconds: float) -> None:
    ratings = LISTENERS * each
    print(f"Python {platform.python_version()}, {engine}")
    print(f"{ratings:,} ratings written in {seconds:.0f} s ({ratings / seconds:,.0f} a second)")


async def _fill(url: str, each: int) -> float:
    """Write the ratings; return how many seconds that took."""
    started = time.monotonic()
    store = await open_store(url)
    try:
        names = [f"listener-{number}" for number in range(LISTENERS)]
        listeners = await asyncio.gather(*(store.add_listener(name, "us") for name in names))
        turns = list(range(LISTENERS)) * each
        random.shuffle(turns)
        ids = [_distinct_ids(each) for _ in listeners]
        console = Console(stderr=True)
        for start in track(range(0, len(turns), CONCURRENT_WRITES), "Writing …", console=console):
            await asyncio.gather(
                *(
                    store.put(listeners[turn], Item(Kind.SONG, next(ids[turn])), random.choice(list(Value)), now=now())
                    for turn in turns[start : start + CONCURRENT_WRITES]
                )
            )
    finally:
        await store.close()
    return time.monotonic() - started


def _distinct_ids(number: int) -> Iterator[str]:
    return map(str, random.sample(range(100_000_000, 2_000_000_000), number))


if __name__ == "__main__":
    main()
