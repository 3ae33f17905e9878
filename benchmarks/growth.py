"""Whether Likewise stays as fast, as small and as quick to start when there is a thousand times more in it.

Databases of 10⁴ to 10⁶ ratings, with --whole 10⁷, of 10 to 10⁵ listeners, with --whole 10⁶, are filled as
`likewise copy` fills them, each with a token for every listener. Each has a server of its own, started several times
on a warm file cache; then they take turns at GET one and PUT, as serving.py asks, so that the ratios to the smallest
are of one round. Requests come from a thousand of the listeners, spread evenly (from all, where there are fewer), for
a hundred ratings of each: a hundred thousand ratings, wherever they are.

Bytes for a rating are those of the whole file, with listeners and tokens, before anybody has written to it: what a
rating takes when it came in random order is told by storage.py. PostgreSQL's are those of the table with its index.
"""

import argparse
import asyncio
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import asyncpg
from benchmarks import charts, documents
from benchmarks.measuring import (
    CONNECTIONS,
    INSTALL,
    WARM_UP_SECONDS,
    Cores,
    Rival,
    allotted,
    fail,
    machine,
    port_of,
    positive,
    postgres_on,
    run_wrk,
    running_on,
    spread,
    stderr,
    sync_milliseconds,
    workplace,
)
from benchmarks.results import Measured, Round, keep, save
from benchmarks.seeding import Crowd, seed, write_requests
from benchmarks.tables import judged, rendered, table_of
from rich.progress import track
from rich.table import Table

CROWDS = (Crowd(10, 1_000), Crowd(1_000, 100), Crowd(10_000, 100), Crowd(100_000, 10))
LARGE_CROWDS = (Crowd(100_000, 100), Crowd(1_000_000, 10))
POSTGRES_CROWD = Crowd(10_000, 100)
STARTS = 5
BYTES_MAX = 65
SPEED_MIN = 0.85
ASKED = {"GET one": "get", "PUT": "put"}


class Size(NamedTuple):
    """What is measured of one database before anybody asks it."""

    crowd: Crowd
    fill_seconds: float
    bytes_each: float
    start_seconds: list[float]

    @property
    def ratings(self) -> int:
        return self.crowd.listeners * self.crowd.each

    @property
    def name(self) -> str:
        return f"{self.ratings:,} of {self.crowd.listeners:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive, default=5, help="how often each has its turn (default: 5)")
    parser.add_argument("--seconds", type=positive, default=3, help="how long a turn lasts (default: 3)")
    parser.add_argument("--whole", action="store_true", help="10⁷ ratings too: minutes longer, and 2 GB of disk")
    parser.add_argument("--least", action="store_true", help="the two smallest only, and no PostgreSQL: for a try")
    parser.add_argument("--write", action="store_true", help="keep the results, and renew documents and charts")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where to put the databases (default: here)")
    arguments = parser.parse_args()
    # So that processes and folders are cleared away after a `kill` too, not only after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if shutil.which("wrk") is None:
        fail("wrk is not installed; it sends the requests", f"install it with {INSTALL}")
    crowds = CROWDS[:2] if arguments.least else CROWDS + LARGE_CROWDS * arguments.whole
    try:
        measured, sizes, postgres = _measure(
            arguments.folder, crowds, arguments.rounds, arguments.seconds, has_postgres=not arguments.least
        )
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    text = _text(measured, sizes, postgres)
    print(text)
    if arguments.write:
        save("growth", measured)
        keep("sizes", {size.name: [size.bytes_each, size.start_seconds] for size in sizes})
        charts.draw_growth(measured)
        documents.renew("growth", text)


def _measure(
    parent: Path, crowds: tuple[Crowd, ...], rounds: int, seconds: int, *, has_postgres: bool
) -> tuple[Measured, list[Size], float | None]:
    cores = allotted()
    with ExitStack() as stack:
        folder = stack.enter_context(workplace(parent))
        described = machine(sync_milliseconds(folder))
        sizes = [_filled(folder, crowd, cores) for crowd in track(crowds, "Filling …", console=stderr)]
        postgres = _postgres_bytes_each(cores) if has_postgres else None
        rivals = [rival for size in sizes for rival in _started(stack, folder, size, cores)]

        def run(rival: Rival, seconds: int, number: int) -> Round:
            place = _place(folder, rival.service)
            return {rival.name: run_wrk(rival, place, seconds=seconds, seed=number, core=cores.wrk)}

        for rival in track(rivals, "Warming up …", console=stderr):
            run(rival, WARM_UP_SECONDS, 0)
        measured: list[Round] = [{} for _ in range(rounds)]
        turns = [(number, rival) for number in range(rounds) for rival in _by_request(rivals)]
        for number, rival in track(turns, "Measuring …", console=stderr):
            measured[number] |= run(rival, seconds, number + 1)
    return Measured(described, seconds, measured), sizes, postgres


def _by_request(rivals: list[Rival]) -> list[Rival]:
    """Let those who are asked the same stand together."""
    return sorted(rivals, key=lambda rival: rival.requests)


def _place(folder: Path, name: str) -> Path:
    return folder / name.replace(" ", "-").replace(",", "")


def _filled(folder: Path, crowd: Crowd, cores: Cores) -> Size:
    size = Size(crowd, 0, 0, [])
    place = _place(folder, size.name)
    place.mkdir()
    private_key = write_requests(place, crowd)
    started = time.monotonic()
    asyncio.run(seed(_url(place), private_key, crowd))
    fill_seconds = time.monotonic() - started
    bytes_each = (place / "likewise.db").stat().st_size / size.ratings
    return Size(crowd, fill_seconds, bytes_each, [_start_seconds(place, cores) for _ in range(STARTS)])


def _url(place: Path) -> str:
    return f"sqlite:///{place}/likewise.db"


def _start_seconds(place: Path, cores: Cores) -> float:
    started = time.monotonic()
    with running_on(cores.of(1), _server(place)) as process:
        port_of(process, "likewise")
        return time.monotonic() - started


def _server(place: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.server", "likewise", _url(place)]


def _started(stack: ExitStack, folder: Path, size: Size, cores: Cores) -> list[Rival]:
    process = stack.enter_context(running_on(cores.of(1), _server(_place(folder, size.name))))
    port = port_of(process, "likewise")
    return [
        Rival(f"{asked}, {size.name}", requests, port, process.pid, CONNECTIONS, size.name)
        for asked, requests in ASKED.items()
    ]


def _postgres_bytes_each(cores: Cores) -> float:
    stderr.print("Filling PostgreSQL …")
    with workplace(Path.cwd()) as folder, postgres_on(cores.database) as (url, _):
        private_key = write_requests(folder, POSTGRES_CROWD)
        asyncio.run(seed(url, private_key, POSTGRES_CROWD))
        ratings = POSTGRES_CROWD.listeners * POSTGRES_CROWD.each
        return asyncio.run(_ratings_bytes(url)) / ratings


async def _ratings_bytes(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT pg_total_relation_size('likewise.ratings')"))
    finally:
        await connection.close()


# Showing


def _text(measured: Measured, sizes: list[Size], postgres: float | None) -> str:
    rounds = measured.rounds
    table = table_of(
        "ratings of listeners", "GET one/s", "to the first", "PUT/s", "to the first", "bytes/rating", "start s", "MB"
    )
    for size in sizes:
        table.add_row(
            size.name,
            *(
                cell
                for asked in ASKED
                for cell in (
                    spread(_speeds(rounds, f"{asked}, {size.name}"), 0),
                    spread(_ratios(rounds, asked, size, sizes[0]), 2),
                )
            ),
            f"{size.bytes_each:.1f}",
            spread(size.start_seconds, 2),
            f"{max(each[f'PUT, {size.name}'].memory_megabytes for each in rounds):.0f}",
        )
    lines = [
        measured.machine.replace("; Python", "\nPython"),
        f"{len(rounds)} rounds of {measured.seconds} s each, {CONNECTIONS} connections; median (least … most)",
        rendered(table),
        rendered(_targets(rounds, sizes)),
    ]
    if postgres is not None:
        lines.append(f"PostgreSQL: {postgres:.1f} bytes for a rating, index included, at 1,000,000 ratings")
    return "\n\n".join(lines)


def _targets(rounds: list[Round], sizes: list[Size]) -> Table:
    largest = max(sizes, key=lambda size: size.ratings)
    table = table_of("", "measured", "target", "")
    for asked in ASKED:
        ratios = _ratios(rounds, asked, largest, sizes[0])
        table.add_row(f"{asked}, {largest.name} / {sizes[0].name}", spread(ratios, 2), *judged(ratios, least=SPEED_MIN))
    # The first has ten who ask, and all others a thousand, whom the gate has to look up: this leaves the size alone.
    for asked in ASKED:
        table.add_row(
            f"{asked}, {largest.name} / {sizes[1].name}", spread(_ratios(rounds, asked, largest, sizes[1]), 2), "", ""
        )
    most = max(size.bytes_each for size in sizes)
    table.add_row("bytes for a rating, the most", f"{most:.1f}", *judged([most], most=BYTES_MAX))
    return table


def _speeds(rounds: list[Round], name: str) -> list[float]:
    return [each[name].requests_per_second for each in rounds]


def _ratios(rounds: list[Round], asked: str, size: Size, first: Size) -> list[float]:
    return [
        each[f"{asked}, {size.name}"].requests_per_second / each[f"{asked}, {first.name}"].requests_per_second
        for each in rounds
    ]


if __name__ == "__main__":
    main()
