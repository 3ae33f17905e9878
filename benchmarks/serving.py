"""How fast Likewise serves, next to nginx and to an empty application on the same server.

    nginx         `return 200` with the bytes of our GET one, one worker
    empty         an ASGI application that does nothing but answer those bytes, on `likewise.serving.serve`
    body read     the same, sent PUTs, whose bodies it reads: what a PUT costs before anybody looks at it
    GET one       the rating of one song: a random listener, a random song that they rated
    PUT           a like or a dislike, in turn, on disk before it is answered; every tenth song is new to its listener
    GET 100 ids   all ratings of a random listener in one request

The server has one core and `wrk -t1 -c64 --latency` another. There are 1000 listeners with 100 ratings each, with real
tokens, in a SQLite file on a real disk; nginx and the empty application get the requests of GET one. After a warm-up,
the rivals take turns, a few seconds each, for several rounds. Of each run are taken the requests per second, the
processor time that the server spent per request (user and system, all threads and children), the latencies that wrk
saw, and the resident memory afterwards. Shown are the medians over the rounds, with the least and the most. The ratios
are computed within each round, for what else goes on in the machine touches its neighbours alike; on a busy machine,
the ratios of processor time are the steadier ones.

An answer that is not 2xx ends the benchmark with exit status 1. A missed target is shown, no more.
"""

import argparse
import asyncio
import http.client
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, NoReturn

import apsw
from rich.console import Console
from rich.progress import track
from rich.table import Table

from likewise.app import now
from likewise.domain import Change, DeveloperKey, Item, Kind, Listener, UserToken, Value
from likewise.serving import free_address
from likewise.store import Store
from likewise.stores import open_store
from likewise.tokens import (
    digest_of,
    generate_private_key,
    mint_developer_token,
    mint_token_id,
    mint_user_token,
    read_public_key,
    user_token_expiry,
)

LISTENERS = 1_000
RATINGS_PER_LISTENER = 100
SEEDED_AT_ONCE = 20
CONNECTIONS = 64
WARM_UP_SECONDS = 1

HOST = "127.0.0.1"
HERE = Path(__file__).parent
TEAM_ID, KEY_ID = "DEF123GHIJ", "ABC123DEFG"
SET_BY_SERVER = {"content-length", "date", "server"}
INSTALL = "`apt-get install nginx-light wrk`"

NGINX, EMPTY, EMPTY_PUT = "nginx", "empty", "empty, body read"
GET_ONE, PUT, GET_100 = "GET one", "PUT", "GET 100 ids"
OURS = (GET_ONE, PUT, GET_100)

NGINX_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen {host}:{port} backlog=1024;
        default_type "{content_type}";
        {headers}
        location / {{ return 200 '{body}'; }}
    }}
}}
"""

stderr = Console(stderr=True)


class Rival(NamedTuple):
    """Somebody to measure; `requests` names the kind of requests in requests.lua."""

    name: str
    requests: str
    port: int
    pid: int


class Run(NamedTuple):
    requests_per_second: float
    processor_microseconds: float
    p50_milliseconds: float
    p99_milliseconds: float
    memory_megabytes: float


Round = dict[str, Run]


class Answer(NamedTuple):
    headers: list[tuple[str, str]]
    body: str


def main() -> None:
    arguments = _arguments()
    # So that processes and folders are cleared away after a `kill` too, not only after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if shutil.which("wrk") is None:
        fail("wrk is not installed; it sends the requests", f"install it with {INSTALL}")
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        fail("there is one core only, and the server and wrk need one each", "run it on a machine with two cores")
    try:
        rounds, disk_milliseconds = _measure(arguments.folder, arguments.rounds, arguments.seconds, *cores)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    _show(rounds, seconds=arguments.seconds, disk_milliseconds=disk_milliseconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive, default=5, help="how often each rival has its turn (default: 5)")
    parser.add_argument("--seconds", type=positive, default=3, help="how long a turn lasts (default: 3)")
    parser.add_argument(
        "--folder", type=Path, default=Path.cwd(), help="where to put the database; on a real disk (default: here)"
    )
    return parser.parse_args()


def positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError("a whole number from 1 up")
    return int(text)


def fail(sentence: str, hint: str) -> NoReturn:
    sys.exit(f"error: {sentence}\n\nhint: {hint}")


# Measuring


def _measure(parent: Path, rounds: int, seconds: int, server_core: int, wrk_core: int) -> tuple[list[Round], float]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="likewise-benchmark-", dir=parent)))
        disk_milliseconds = sync_milliseconds(folder)
        stderr.print(f"Writing {LISTENERS * RATINGS_PER_LISTENER:,} ratings …")
        database = f"sqlite:///{folder}/likewise.db"
        asyncio.run(seed(database, folder / "listeners"))
        rivals = _start(stack, database, folder, server_core)

        def run(rival: Rival, seconds: int, seed: int) -> Run:
            return run_wrk(rival, folder / "listeners", seconds=seconds, seed=seed, core=wrk_core)

        for rival in track(rivals, "Warming up …", console=stderr):
            run(rival, WARM_UP_SECONDS, 0)
        turns = [(number, rival) for number in range(rounds) for rival in rivals]
        measured: list[Round] = [{} for _ in range(rounds)]
        for number, rival in track(turns, "Measuring …", console=stderr):
            measured[number][rival.name] = run(rival, seconds, number + 1)
    return measured, disk_milliseconds


def run_wrk(rival: Rival, listeners: Path, *, seconds: int, seed: int, core: int) -> Run:
    wrk = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    script = ["-s", str(HERE / "requests.lua"), f"http://{HOST}:{rival.port}", "--"]
    before = processor_seconds(rival.pid)
    done = subprocess.run(
        [*wrk, *script, rival.requests, str(listeners), str(seed)], capture_output=True, text=True, check=False
    )
    spent = processor_seconds(rival.pid) - before
    if done.returncode != 0:
        fail(f"wrk failed on {rival.name}: {done.stdout}{done.stderr}", f"is it 4.1 or newer? {INSTALL}")
    said = json.loads(done.stdout.splitlines()[-1])
    if said["failures"] or not said["requests"]:
        fail(
            f"{rival.name}: of {said['requests']} requests, {said['failures']} failed or were not answered with 2xx",
            "what the server had to say about it stands above",
        )
    return Run(
        said["requests"] / said["microseconds"] * 1e6,
        spent / said["requests"] * 1e6,
        said["p50"] / 1e3,
        said["p99"] / 1e3,
        _memory_bytes(rival.pid) / 1e6,
    )


def processor_seconds(pid: int) -> float:
    # user, system, and both of those children that have ended (proc(5))
    ticks = sum(sum(map(int, _stat(each)[11:15])) for each in _family(pid))
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_bytes(pid: int) -> int:
    pages = sum(int(_stat(each)[21]) for each in _family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE")


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text("ascii").split():
            yield from _family(int(child))


def _stat(pid: int) -> list[str]:
    """Read /proc/<pid>/stat from the third field on: the second is a name in parentheses, with anything in it."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()


def sync_milliseconds(folder: Path) -> float:
    """Say how long the disk takes to make one page durable: what no PUT can do without."""
    seconds = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(4096))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1e3


# Listeners with ratings and tokens


async def seed(database: str, listeners_file: Path) -> None:
    """Make a database with everything that is asked for, and write what requests.lua wants to know about it."""
    private_key = generate_private_key()
    developer_token = mint_developer_token(
        private_key, key_id=KEY_ID, team_id=TEAM_ID, now_seconds=now() // 1000, seconds=86_400
    )
    store = await open_store(database)
    try:
        await store.add_developer_key(DeveloperKey(KEY_ID, TEAM_ID, read_public_key(private_key), now()))
        lines: list[str] = []
        for first in range(0, LISTENERS, SEEDED_AT_ONCE):
            numbers = range(first, first + SEEDED_AT_ONCE)
            lines += await asyncio.gather(*(_seed_listener(store, number) for number in numbers))
    finally:
        await store.close()
    text = "\n".join([developer_token, *lines]) + "\n"
    listeners_file.write_text(text, "ascii")  # noqa: ASYNC240 - nothing else is waiting


async def _seed_listener(store: Store, number: int) -> str:
    listener = await store.add_listener(f"listener-{number}", "us")
    token = mint_user_token(os.urandom)
    known = UserToken(mint_token_id(os.urandom), listener, TEAM_ID, now(), user_token_expiry(now()))
    await store.add_user_token(digest_of(token.encode()), known)
    return f"{token}\t{','.join(await _seed_ratings(store, listener))}"


async def _seed_ratings(store: Store, listener: Listener) -> list[str]:
    ids = [str(number) for number in random.sample(range(100_000_000, 2_000_000_000), RATINGS_PER_LISTENER)]
    changes = [Change(Item(Kind.SONG, id), random.choice(list(Value))) for id in ids]
    await store.write(listener, changes, now=now())
    return ids


# Rivals


def _start(stack: ExitStack, database: str, folder: Path, core: int) -> list[Rival]:
    """Start the servers on one core; the stack stops them."""
    ours, our_pid = _start_server(stack, core, "likewise", database)
    answer = _our_answer(ours, folder / "listeners")
    (folder / "answer.json").write_text(json.dumps(answer._asdict()), "utf-8")
    empty, empty_pid = _start_server(stack, core, "empty", str(folder / "answer.json"))
    rivals = [
        Rival(EMPTY, "get", empty, empty_pid),
        Rival(EMPTY_PUT, "put", empty, empty_pid),
        Rival(GET_ONE, "get", ours, our_pid),
        Rival(PUT, "put", ours, our_pid),
        Rival(GET_100, "get-100", ours, our_pid),
    ]
    if shutil.which("nginx") is None:
        stderr.print(f"nginx is not installed and is left out; install it with {INSTALL}", style="bold yellow")
        return rivals
    return [_start_nginx(stack, core, folder, answer), *rivals]


def _start_server(stack: ExitStack, core: int, *arguments: str) -> tuple[int, int]:
    process = stack.enter_context(running_on(core, [sys.executable, "-m", "benchmarks.server", *arguments]))
    port = process.stdout.readline() if process.stdout else ""
    if not port:
        fail(f"the server ({arguments[0]}) did not start", "what it had to say about it stands above")
    return int(port), process.pid


def _start_nginx(stack: ExitStack, core: int, folder: Path, answer: Answer) -> Rival:
    port = free_address(HOST, 0).port
    headers = dict(answer.headers)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        NGINX_CONFIGURATION.format(
            folder=folder,
            host=HOST,
            port=port,
            content_type=headers.pop("content-type"),
            headers="".join(f'add_header {name} "{value}"; ' for name, value in headers.items()),
            body=answer.body,
        ),
        "ascii",
    )
    command = ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(configuration)]
    process = stack.enter_context(running_on(core, command))
    for _ in range(500):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/") as response:
                if response.read().decode() == answer.body:
                    return Rival(NGINX, "get", port, process.pid)
        except urllib.error.URLError:
            time.sleep(0.01)
    fail("nginx did not start, or does not answer as we do", "what it had to say about it stands above")


@contextmanager
def running_on(core: int | str, command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a server on one core, or on several as taskset(1) names them, and end it, whatever happens.

    It has its own session, so Ctrl-C is ours alone.
    """
    command = ["taskset", "-c", str(core), *command]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=HERE.parent)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _our_answer(port: int, listeners: Path) -> Answer:
    """Ask Likewise once, so that the others can answer the same."""
    with listeners.open(encoding="ascii") as file:
        developer_token = file.readline().strip()
        user_token, ids = file.readline().strip().split("\t")
    connection = http.client.HTTPConnection(HOST, port)
    connection.request(
        "GET",
        f"/v1/me/ratings/songs/{ids.split(',')[0]}",
        headers={"Authorization": f"Bearer {developer_token}", "Music-User-Token": user_token},
    )
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    if response.status != 200:
        fail(f"Likewise answers {response.status} to GET one: {body}", "mend that first")
    return Answer([(name, value) for name, value in response.getheaders() if name not in SET_BY_SERVER], body)


# Showing


def _show(rounds: list[Round], *, seconds: int, disk_milliseconds: float) -> None:
    stdout = Console(highlight=False)
    stdout.width = max(stdout.width, 140)  # rows stay in one piece, in a file too
    stdout.print(_described(disk_milliseconds))
    turns = f"{len(rounds)} rounds of {seconds} s each"
    stdout.print(f"\n{turns}, {CONNECTIONS} connections; median (least … most)\n")
    stdout.print(_runs_table(rounds))
    stdout.print(_ratios_table(rounds))


def _described(disk_milliseconds: float) -> str:
    nginx = first_words("nginx", "-v").removeprefix("nginx version: ") if shutil.which("nginx") else "no nginx"
    return (
        f"{processor_model()}, {os.cpu_count()} cores; Linux {platform.release()}; "
        f"a durable page takes the disk {disk_milliseconds:.2f} ms\n"
        f"Python {platform.python_version()}, granian {version('granian')}, apsw {apsw.apsw_version()} "
        f"(SQLite {apsw.sqlite_lib_version()}), {nginx}, {first_words('wrk', '-v').partition(' [')[0]}"
    )


def processor_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def first_words(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.partition("\n")[0]


def _runs_table(rounds: list[Round]) -> Table:
    table = Table("", box=None, padding=(0, 2, 0, 0))
    for title in ("requests/s", "processor µs/request", "p50 ms", "p99 ms", "memory MB"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in rounds[0]:
        columns = zip(*(each[name] for each in rounds), strict=True)
        digits = (0, 1, 2, 2, 1)
        table.add_row(name, *(spread(column, digits) for column, digits in zip(columns, digits, strict=True)))
    return table


def _ratios_table(rounds: list[Round]) -> Table:
    table = Table("\nratio", box=None, padding=(0, 2, 0, 0))
    for title in ("\nmeasured", "\ntarget", "\n", "\nby processor time"):
        table.add_column(title, justify="right", no_wrap=True)

    def row(
        name: str,
        ratio: Callable[[Round], float],
        by_processor: Callable[[Round], float] | None = None,
        *,
        digits: int = 2,
        least: float = 0,
        most: float = 0,
    ) -> None:
        ratios = [ratio(each) for each in rounds]
        median = statistics.median(ratios)
        target = f"≥ {least:g}" if least else f"≤ {most:g}" if most else ""
        is_met = median >= least and (not most or median <= most)
        by_processor_shown = spread([by_processor(each) for each in rounds], digits) if by_processor else ""
        table.add_row(
            name, spread(ratios, digits), target, ("met" if is_met else "missed") if target else "", by_processor_shown
        )

    row("GET one / empty", *_speed(GET_ONE, EMPTY), least=0.70)
    row("PUT / empty", *_speed(PUT, EMPTY), least=0.45)
    row("PUT / empty, body read", *_speed(PUT, EMPTY_PUT))
    row("ids per second, GET 100 ids / GET one", *_speed(GET_100, GET_ONE, times=100), digits=1, least=12)
    if NGINX in rounds[0]:
        row("GET one / nginx", *_speed(GET_ONE, NGINX))
    for name in rounds[0]:
        row(f"p99 / p50 of {name}", _tail(name), most=2.5 if name in OURS else 0)
    row("memory of Likewise, MB", lambda each: max(each[name].memory_megabytes for name in OURS), digits=1, most=90)
    return table


def _speed(name: str, other: str, *, times: int = 1) -> tuple[Callable[[Round], float], Callable[[Round], float]]:
    """Compare requests per second, and requests per second of processor time."""
    return (
        lambda each: times * each[name].requests_per_second / each[other].requests_per_second,
        lambda each: times * each[other].processor_microseconds / each[name].processor_microseconds,
    )


def _tail(name: str) -> Callable[[Round], float]:
    return lambda each: each[name].p99_milliseconds / each[name].p50_milliseconds


def spread(values: Sequence[float], digits: int) -> str:
    least, median, most = (f"{value:,.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{median} ({least} … {most})"


if __name__ == "__main__":
    main()
