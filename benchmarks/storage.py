"""How many bytes a rating costs on disk.

A million ratings, of 1000 listeners with 1000 each, reach a new SQLite store through its port, one by one and in random
order, as they would from people; every id has 9 or 10 digits, and nothing is cleared again. Then the store is closed,
which copies its log into the database, and the size of the file is divided by the number of ratings.
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
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where to put the database (default: here)")
    arguments = parser.parse_args()
    # So that the folder is cleared away after a `kill` too, not only after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    ratings = LISTENERS * arguments.each
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="likewise-benchmark-", dir=arguments.folder) as folder:
            path = Path(folder, "likewise.db")
            asyncio.run(_fill(path, arguments.each))
            seconds = time.monotonic() - started
            bytes_each = path.stat().st_size / ratings
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    verdict = "met" if bytes_each <= BYTES_MAX else "missed"
    print(f"Python {platform.python_version()}, apsw {apsw.apsw_version()} (SQLite {apsw.sqlite_lib_version()})")
    print(f"{ratings:,} ratings written in {seconds:.0f} s ({ratings / seconds:,.0f} a second)")
    print(f"{bytes_each:.1f} bytes for each on disk, target ≤ {BYTES_MAX}: {verdict}")


async def _fill(path: Path, each: int) -> None:
    store = await open_store(f"sqlite:///{path}")
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


def _distinct_ids(number: int) -> Iterator[str]:
    return map(str, random.sample(range(100_000_000, 2_000_000_000), number))


if __name__ == "__main__":
    main()
