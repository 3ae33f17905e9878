"""How a rival is measured: wrk on one core, the rival on another; and what the machine is.

Of each run are taken the requests per second, the processor time that the server spent per request (user and system,
all threads and children), the latencies that wrk saw, and the resident memory afterwards.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, NoReturn

import apsw
from rich.console import Console
from tests.contract.postgres_server import embedded_server

CONNECTIONS = 64
WARM_UP_SECONDS = 1
WAIT_SECONDS_MAX = 30
"""What wrk takes for no answer at all; with 512 connections some wait long for their turn."""

HOST = "127.0.0.1"
HERE = Path(__file__).parent
ROOT = HERE.parent
INSTALL = "`apt-get install nginx-light wrk`"

CORES_FOR_OTHERS_MIN = 4
"""With so many cores, PostgreSQL has one that it shares with nobody."""

stderr = Console(stderr=True)


class Rival(NamedTuple):
    """Somebody to measure; `requests` names the kind of requests in requests.lua, `service` whose tokens are cold."""

    name: str
    requests: str
    port: int
    pid: int
    connections: int = CONNECTIONS
    service: str = ""
    database_pid: int = 0


class Run(NamedTuple):
    requests_per_second: float
    processor_microseconds: float
    p50_milliseconds: float
    p99_milliseconds: float
    memory_megabytes: float
    database_microseconds: float = 0.0
    """What PostgreSQL spent per request, 0 where there is none or nobody knows."""


class Cores(NamedTuple):
    """Who has which, as taskset(1) names them."""

    services: list[int]
    database: int
    wrk: int

    def of(self, workers: int) -> str:
        return ",".join(map(str, self.services[:workers]))


def allotted() -> Cores:
    """Deal the cores out: one for wrk, one for PostgreSQL where there are four, the rest for the services."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        fail("there is one core only, and the service and wrk need one each", "run it on a machine with two cores")
    *services, last = cores
    if len(cores) >= CORES_FOR_OTHERS_MIN:
        *services, database = services
        return Cores(services, database, last)
    return Cores(services, last, last)


def fail(sentence: str, hint: str) -> NoReturn:
    sys.exit(f"error: {sentence}\n\nhint: {hint}")


def positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError("a whole number from 1 up")
    return int(text)


@contextmanager
def workplace(parent: Path) -> Iterator[Path]:
    """Make a folder on this disk, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="likewise-benchmark-", dir=parent) as folder:
        yield Path(folder)


@contextmanager
def postgres_on(core: int) -> Iterator[tuple[str, int]]:
    """Run PostgreSQL on one core; give its URL and first process."""
    # It inherits the core from this process, which then has its own back.
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    with embedded_server() as server:
        os.sched_setaffinity(0, before)
        yield server.get_uri("postgres"), server.get_pid()


@contextmanager
def running_on(
    core: int | str, command: Sequence[str], *, talks: bool = True, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a server on one core, or on several as taskset(1) names them, and end it, whatever happens.

    It has its own session, so Ctrl-C is ours alone; what of that session outlives it is ended too. What it prints can
    be read when it `talks`.
    """
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        stdout=subprocess.PIPE if talks else subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def port_of(process: subprocess.Popen[str], name: str) -> int:
    """Wait for the port that a server prints when it listens."""
    port = process.stdout.readline() if process.stdout else ""
    if not port:
        fail(f"the server ({name}) did not start", "what it had to say about it stands above")
    return int(port)


def run_wrk(rival: Rival, folder: Path, *, seconds: int, seed: int, core: int) -> Run:
    """Send requests to a rival; `folder` has what seeding.py wrote."""
    wrk = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{rival.connections}", f"-d{seconds}s", "--latency"]
    script = ["--timeout", f"{WAIT_SECONDS_MAX}s", "-s", str(HERE / "requests.lua"), f"http://{HOST}:{rival.port}"]
    asked = ["--", rival.requests, str(folder), str(seed), rival.service]
    before, database_before = processor_seconds(rival.pid), database_seconds(rival)
    done = subprocess.run([*wrk, *script, *asked], capture_output=True, text=True, check=False)
    spent, database_spent = processor_seconds(rival.pid) - before, database_seconds(rival) - database_before
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
        memory_bytes(rival.pid) / 1e6,
        database_spent / said["requests"] * 1e6,
    )


def database_seconds(rival: Rival) -> float:
    return processor_seconds(rival.database_pid) if rival.database_pid else 0.0


def processor_seconds(pid: int) -> float:
    # user, system, and both of those children that have ended (proc(5))
    ticks = sum(sum(map(int, _stat(each)[11:15])) for each in _family(pid))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int:
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


def processor_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def first_words(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.partition("\n")[0]


def spread(values: Sequence[float], digits: int) -> str:
    least, median, most = (f"{value:,.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{median} ({least} … {most})"


def machine(disk_milliseconds: float) -> str:
    """Describe what is measured on and with, in one line."""
    return (
        f"{processor_model()}, {os.cpu_count()} cores; Linux {platform.release()}; "
        f"a durable page takes the disk {disk_milliseconds:.2f} ms; Python {platform.python_version()}, "
        f"granian {version('granian')}, apsw {apsw.apsw_version()} (SQLite {apsw.sqlite_lib_version()})"
    )
