"""Whether the memory of Likewise grows with the requests that it has answered.

One worker over a SQLite file with 1000 listeners and a million ratings, more than the page cache holds, answers a
million requests to fill what it remembers, its caches and its heap, and then a million that count: 90/10 mostly, cold
tokens and GET 100 ids in between, 64 connections. Its resident memory is noted after every few seconds. Growth is from
the median of the first fifth of those that count to the median of the last fifth.
"""

import argparse
import asyncio
import itertools
import shutil
import signal
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks import documents
from benchmarks.measuring import (
    INSTALL,
    Rival,
    allotted,
    fail,
    machine,
    port_of,
    positive,
    run_wrk,
    running_on,
    stderr,
    sync_milliseconds,
    workplace,
)
from benchmarks.results import keep
from benchmarks.seeding import Crowd, seed, write_requests
from benchmarks.tables import judged
from rich.progress import Progress

CROWD = Crowd(1_000, 1_000)
REQUESTS = 1_000_000
WARM_UP_PART = 1.0
"""So much more is asked before memory counts: the heap took 600 000 requests until it was as large as it gets."""
GROWTH_MB_MAX = 1.0
TURNS = (("mixed", 4), ("cold", 1), ("get-100", 1))
"""What is asked, and for how many seconds."""


class Sample(NamedTuple):
    requests: int
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=positive, default=REQUESTS, help="how many (default: 1000000)")
    parser.add_argument("--write", action="store_true", help="keep the results, and renew the documents")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where to put the database (default: here)")
    arguments = parser.parse_args()
    # So that processes and folders are cleared away after a `kill` too, not only after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if shutil.which("wrk") is None:
        fail("wrk is not installed; it sends the requests", f"install it with {INSTALL}")
    try:
        described, samples = _measure(arguments.folder, arguments.requests)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    text = _text(described, samples, arguments.requests)
    print(text)
    if arguments.write:
        keep("lasting", {"machine": described, "samples": [[each.requests, each.megabytes] for each in samples]})
        documents.renew("lasting", text)


def _measure(parent: Path, requests: int) -> tuple[str, list[Sample]]:
    cores = allotted()
    total = round(requests * (1 + WARM_UP_PART))
    with workplace(parent) as folder, Progress(console=stderr) as progress:
        described = machine(sync_milliseconds(folder))
        private_key = write_requests(folder, CROWD, has_cold=True)
        asyncio.run(seed(f"sqlite:///{folder}/likewise.db", private_key, CROWD))
        command = [sys.executable, "-m", "benchmarks.server", "likewise", f"sqlite:///{folder}/likewise.db"]
        with running_on(cores.of(1), command) as process:
            rival = Rival("Likewise", "", port_of(process, "likewise"), process.pid, service="likewise")
            task = progress.add_task("Asking …", total=total)
            samples: list[Sample] = []
            answered = 0
            for number, (asked, seconds) in enumerate(itertools.cycle(TURNS)):
                run = run_wrk(rival._replace(requests=asked), folder, seconds=seconds, seed=number, core=cores.wrk)
                answered += round(run.requests_per_second * seconds)
                samples.append(Sample(answered, round(run.memory_megabytes, 2)))
                progress.update(task, completed=answered)
                if answered >= total:
                    break
    return described, samples


def _text(described: str, samples: list[Sample], requests: int) -> str:
    counted = [each for each in samples if each.requests > requests * WARM_UP_PART] or samples[-1:]
    fifth = max(1, len(counted) // 5)
    first, last = (statistics.median(each.megabytes for each in some) for some in (counted[:fifth], counted[-fifth:]))
    target, verdict = judged([last - first], most=GROWTH_MB_MAX)
    answered = counted[-1].requests - (samples[-len(counted) - 1].requests if len(samples) > len(counted) else 0)
    return (
        f"{described.replace('; Python', chr(10) + 'Python')}\n\n"
        f"{samples[0].megabytes:.1f} MB after the first {samples[0].requests:,} requests, {first:.1f} MB once warm, "
        f"{last:.1f} MB after {answered:,} more\n"
        f"growth {last - first:+.2f} MB, target {target} MB: {verdict}"
    )


if __name__ == "__main__":
    main()
