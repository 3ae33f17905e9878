"""How fast Likewise serves, next to nginx, to an empty application, and to what a team would write instead.

    nginx         `return 200` with the bytes of our GET one, one worker
    empty         an ASGI application that does nothing but answer those bytes, on `likewise.serving.serve`
    body read     the same, sent PUTs, whose bodies it reads: what a PUT costs before anybody looks at it
    Starlette     our own work behind Starlette's router, request and response, on the same server
    FastAPI       FastAPI, SQLAlchemy 2, aiosqlite, PyJWT and uvicorn, done well (rivals/usual_stack.py)
    Prism         a generic mock that answers GET one with our bytes, out of an OpenAPI description

What is asked, of whoever can answer it:

    GET one       the rating of one song: a random listener, a random song that they rated
    PUT           a like or a dislike, in turn, on disk before it is answered; every tenth song is new to its listener
    GET 100 ids   all ratings of a random listener in one request
    90/10         nine of GET one to one PUT
    cold tokens   GET one, with a developer token that has been forgotten, or was never seen, on each request

The server has one core (with two workers two, where there are three) and `wrk -t1 --latency` another; PostgreSQL has
one of its own where there are four, else wrk's. There are 1000 listeners with 100 ratings each, with real tokens, on a
real disk. Before anything is measured, each rival is asked the same as Likewise, reads, writes and what was written,
and has to answer the same; else the benchmark ends. After a warm-up, the rivals take turns, a few seconds each, for
several rounds. Of each run are taken the requests per second, the processor time that the server spent per request
(user and system, all threads and children), the latencies that wrk saw, and the resident memory afterwards. Shown are
the medians over the rounds, with the least and the most. The ratios are computed within each round, for what else goes
on in the machine touches its neighbours alike; on a busy machine, the ratios of processor time are the steadier ones.

An answer that is not 2xx ends the benchmark with exit status 1. A missed target is shown, no more.
"""

import argparse
import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks import charts, documents
from benchmarks.measuring import (
    CONNECTIONS,
    INSTALL,
    WARM_UP_SECONDS,
    Cores,
    Rival,
    allotted,
    fail,
    first_words,
    machine,
    positive,
    postgres_on,
    run_wrk,
    stderr,
    sync_milliseconds,
    workplace,
)
from benchmarks.results import Measured, Round, load, save
from benchmarks.rivals.starts import Started, Starter
from benchmarks.seeding import seed, write_requests, write_state
from benchmarks.tables import tables
from rich.progress import track

GET_ONE, PUT, GET_100, MIXED, COLD = "GET one", "PUT", "GET 100 ids", "90/10", "cold tokens"
MIXES = {GET_ONE: "get", PUT: "put", GET_100: "get-100", MIXED: "mixed", COLD: "cold"}
ALL_CONNECTIONS, ALL_WORKERS, ENGINES = (1, 64, 512), (1, 2), ("sqlite", "postgres")


class Wanted(NamedTuple):
    """Which cells of the table are measured."""

    connections: tuple[int, ...]
    workers: tuple[int, ...]
    engines: tuple[str, ...]
    only: tuple[str, ...]

    def wants(self, name: str) -> bool:
        return not self.only or any(word.lower() in name.lower() for word in self.only)


class Place(NamedTuple):
    """Where Likewise has its ratings; `pid` is that of PostgreSQL's first process."""

    url: str
    pid: int = 0


def main() -> None:
    arguments = _arguments()
    # So that processes and folders are cleared away after a `kill` too, not only after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if arguments.again:
        _write(load("serving"))
        charts.draw_growth(load("growth"))
        return
    if shutil.which("wrk") is None:
        fail("wrk is not installed; it sends the requests", f"install it with {INSTALL}")
    try:
        measured = _measure(arguments.folder, arguments.rounds, arguments.seconds, _wanted(arguments))
        print(tables(measured))
        if arguments.write:
            save("serving", measured)
            _write(measured)
        if arguments.whole:
            _go_on(arguments.folder, is_written=arguments.write)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=…", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=positive, default=5, help="how often each rival has its turn (default: 5)")
    parser.add_argument("--seconds", type=positive, default=3, help="how long a turn lasts (default: 3)")
    parser.add_argument(
        "--connections", type=positive, action="append", metavar="N", help="how many; may be repeated (default: 64)"
    )
    parser.add_argument(
        "--workers", type=int, choices=ALL_WORKERS, action="append", help="how many; may be repeated (default: 1)"
    )
    parser.add_argument(
        "--engine", choices=ENGINES, action="append", help="where ratings are; may be repeated (default: sqlite)"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORD", help="only rows with this in their name; may be repeated"
    )
    parser.add_argument(
        "--whole", action="store_true", help="all connections, workers and engines; then growth.py and lasting.py"
    )
    parser.add_argument(
        "--write", action="store_true", help="keep the results in benchmarks/results, and renew documents and charts"
    )
    parser.add_argument(
        "--again", action="store_true", help="measure nothing: renew documents and charts from what was kept"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path.cwd(), help="where to put the databases; on a real disk (default: here)"
    )
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        parser.error("--write is for whole tables, not for --only some of it")
    return arguments


def _wanted(arguments: argparse.Namespace) -> Wanted:
    if arguments.whole:
        return Wanted(ALL_CONNECTIONS, ALL_WORKERS, ENGINES, tuple(arguments.only))
    return Wanted(
        tuple(dict.fromkeys(arguments.connections or (CONNECTIONS,))),
        tuple(dict.fromkeys(arguments.workers or (1,))),
        tuple(dict.fromkeys(arguments.engine or ENGINES[:1])),
        tuple(arguments.only),
    )


def _write(measured: Measured) -> None:
    charts.draw_serving(measured)
    documents.renew("serving", tables(measured))


def _go_on(folder: Path, *, is_written: bool) -> None:
    for program in (["benchmarks.growth", "--whole"], ["benchmarks.lasting"]):
        command = [sys.executable, "-m", *program, "--folder", str(folder)]
        done = subprocess.run([*command, "--write"] if is_written else command, check=False)
        if done.returncode:
            sys.exit(done.returncode)


# Measuring


def _measure(parent: Path, rounds: int, seconds: int, wanted: Wanted) -> Measured:
    cores = allotted()
    with ExitStack() as stack:
        folder = stack.enter_context(workplace(parent))
        described = f"{machine(sync_milliseconds(folder))}, {_tools()}"
        rivals = _start(stack, folder, cores, wanted)
        if not rivals:
            fail("there is nothing of that name to measure", "see the names in the table of a whole run")

        def run(rival: Rival, seconds: int, seed: int) -> None:
            runs[rival.name] = run_wrk(rival, folder, seconds=seconds, seed=seed, core=cores.wrk)

        runs: Round = {}
        for rival in track(rivals, "Warming up …", console=stderr):
            run(rival, WARM_UP_SECONDS, 0)
        measured: list[Round] = []
        turns = [(number, rival) for number in range(rounds) for rival in rivals]
        for number, rival in track(turns, "Measuring …", console=stderr):
            if rival is rivals[0]:
                runs = {}
                measured.append(runs)
            run(rival, seconds, number + 1)
    return Measured(described, seconds, measured)


def _tools() -> str:
    nginx = first_words("nginx", "-v").removeprefix("nginx version: ") if shutil.which("nginx") else "no nginx"
    return f"{nginx}, {first_words('wrk', '-v').partition(' [')[0]}"


def _start(stack: ExitStack, folder: Path, cores: Cores, wanted: Wanted) -> list[Rival]:
    """Fill the databases and start the servers that are wanted; the stack stops them."""
    stderr.print("Writing ratings …")
    has_cold = any(wanted.wants(name) for service in ("", "FastAPI") for name in _names(service, COLD, wanted))
    private_key = write_requests(folder, has_cold=has_cold)
    asyncio.run(seed(f"sqlite:///{folder}/first.db", private_key))
    starter = Starter(stack, folder, cores)
    ours = starter.likewise(f"sqlite:///{_copied(folder, 'asked')}", 1)  # to ask how to answer, and not measured
    rivals = [
        *_fixed(starter, ours, wanted),
        *_likewise(stack, starter, folder, private_key, cores, wanted),
        *_starlette(starter, folder, wanted),
        *_usual(starter, folder, private_key, wanted),
        *_prism(starter, ours, wanted),
    ]
    return [rival for rival in rivals if wanted.wants(rival.name)]


def _copied(folder: Path, name: str) -> Path:
    """Copy the filled database, for no two services share a file."""
    return Path(shutil.copy(folder / "first.db", folder / f"{name}.db"))


def _fixed(starter: Starter, ours: Started, wanted: Wanted) -> Iterator[Rival]:
    if wanted.wants("nginx") and (nginx := starter.nginx(ours)):
        yield from _cells("nginx", {"": "get"}, nginx, wanted)
    if wanted.wants("empty, body read"):
        yield from _cells("empty", {"": "get", "body read": "put"}, starter.empty(ours), wanted)


def _likewise(
    stack: ExitStack, starter: Starter, folder: Path, private_key: bytes, cores: Cores, wanted: Wanted
) -> Iterator[Rival]:
    for engine in wanted.engines:
        place = _postgres(stack, private_key, cores) if engine == "postgres" else None
        for workers in wanted.workers:
            service = f"{engine}-{workers}"
            name = _suffix(engine, workers)
            if not any(wanted.wants(each) for mix in MIXES for each in _names("", mix, wanted, name)):
                continue
            here = place or Place(f"sqlite:///{_copied(folder, service)}")
            yield from _cells("", MIXES, starter.likewise(here.url, workers), wanted, suffix=name, pid=here.pid)


def _postgres(stack: ExitStack, private_key: bytes, cores: Cores) -> Place:
    url, pid = stack.enter_context(postgres_on(cores.database))
    asyncio.run(seed(url, private_key))
    return Place(url, pid)


def _starlette(starter: Starter, folder: Path, wanted: Wanted) -> Iterator[Rival]:
    asked = {mix: MIXES[mix] for mix in (GET_ONE, PUT, GET_100)}
    if not any(wanted.wants(name) for mix in asked for name in _names("Starlette", mix, wanted)):
        return
    # Both are asked to write before they are compared, so the one it is compared with has a file of its own too.
    ours = starter.likewise(f"sqlite:///{_copied(folder, 'starlette-ours')}", 1)
    started = starter.starlette(f"sqlite:///{_copied(folder, 'starlette')}", ours)
    if started is not None:
        yield from _cells("Starlette", asked, started, wanted)


def _usual(starter: Starter, folder: Path, private_key: bytes, wanted: Wanted) -> Iterator[Rival]:
    asked = {mix: MIXES[mix] for mix in (GET_ONE, PUT, GET_100, MIXED, COLD)}
    write_state(folder / "state.json", private_key)
    for workers in wanted.workers:
        suffix = _suffix("sqlite", workers)
        if not any(wanted.wants(name) for mix in asked for name in _names("FastAPI", mix, wanted, suffix)):
            continue
        ours = starter.likewise(f"sqlite:///{_copied(folder, f'usual-ours-{workers}')}", 1)
        started = starter.usual_stack(folder / "state.json", workers, ours)
        if started is not None:
            yield from _cells("FastAPI", asked, started, wanted, suffix=suffix)


def _prism(starter: Starter, ours: Started, wanted: Wanted) -> Iterator[Rival]:
    if any(wanted.wants(name) for name in _names("Prism", GET_ONE, wanted)) and (prism := starter.prism(ours)):
        yield from _cells("Prism", {GET_ONE: "get"}, prism, wanted)


def _cells(
    service: str, mixes: dict[str, str], started: Started, wanted: Wanted, *, suffix: str = "", pid: int = 0
) -> Iterator[Rival]:
    for mix, requests in mixes.items():
        for connections, name in zip(wanted.connections, _names(service, mix, wanted, suffix), strict=True):
            who = f"{service or 'likewise'}{suffix}".replace(" ", "-").replace(",", "")
            yield Rival(name, requests, started.port, started.pid, connections, who, pid)


def _names(service: str, mix: str, wanted: Wanted, suffix: str = "") -> list[str]:
    name = ", ".join(filter(None, (service, mix))) + suffix
    return [name if number == CONNECTIONS else f"{name}, {_counted(number)}" for number in wanted.connections]


def _counted(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"


def _suffix(engine: str, workers: int) -> str:
    return (", PostgreSQL" if engine == "postgres" else "") + (f", {workers} workers" if workers > 1 else "")


if __name__ == "__main__":
    main()
