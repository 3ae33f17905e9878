"""How fast ratings come in and go out, and how much memory that takes.

A file of our own lines, each a rating of one of many songs with its own time, in the order of an export of ours, goes
into a new SQLite database through `likewise import` and comes out through `likewise export`, as people would call them.
The memory is the most that the process had at any time. On a machine that has other things to do, the processor time
tells more than the rate.
"""

import argparse
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import apsw

from likewise.ndjson import moment

IMPORTED_MIN = 60_000
EXPORTED_MIN = 200_000
MEMORY_MB_MAX = 150

_LINE = '{{"type":"songs","id":"{id}","value":{value},"time":"{time}"}}\n'
_IDS = 1_000_000_000
# Shares no divisor with the number of ids, so it meets each once before any twice.
_JUMP = 618_033_989
_YEAR_2020 = 1_577_836_800_000


class Run(NamedTuple):
    seconds: float
    processor_seconds: float
    memory_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=int, default=1_000_000, help="how many (default: 1000000)")
    parser.add_argument("--shuffled", action="store_true", help="in random order, as other services' exports are")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where to put the files (default: here)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="likewise-benchmark-", dir=arguments.folder) as name:
        folder = Path(name)
        _write_lines(folder / "in.ndjson", arguments.ratings, is_shuffled=arguments.shuffled)
        os.environ["LIKEWISE_DATABASE"] = f"sqlite:///{folder}/likewise.db"
        _run("listener", "add", "ada")
        imported = _run("import", str(folder / "in.ndjson"))
        again = _run("import", str(folder / "in.ndjson"))
        exported = _run("export", "--out", str(folder / "out.ndjson"))
    print(f"Python {platform.python_version()}, apsw {apsw.apsw_version()} (SQLite {apsw.sqlite_lib_version()})")
    _tell("imported", imported, arguments.ratings, IMPORTED_MIN)
    _tell("imported again", again, arguments.ratings, IMPORTED_MIN)
    _tell("exported", exported, arguments.ratings, EXPORTED_MIN)


def _write_lines(path: Path, ratings: int, *, is_shuffled: bool) -> None:
    chance = random.Random(1)
    step = _JUMP if is_shuffled else _IDS // ratings
    with path.open("w") as file:
        for number in range(ratings):
            id = _IDS + number * step % _IDS
            file.write(_LINE.format(id=id, value=chance.choice((1, -1)), time=moment(_YEAR_2020 + id)))


def _run(*arguments: str) -> Run:
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "likewise", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"likewise {' '.join(arguments)} failed")
    return Run(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _tell(what: str, run: Run, ratings: int, each_second_min: int) -> None:
    each_second = ratings / run.seconds
    is_met = each_second >= each_second_min and run.memory_mb <= MEMORY_MB_MAX
    print(
        f"{what:15}{each_second:12,.0f} ratings/s"
        f"{1e6 * run.processor_seconds / ratings:8.1f} processor µs each{run.memory_mb:8.0f} MB, "
        f"target ≥ {each_second_min:,} and ≤ {MEMORY_MB_MAX} MB: {'met' if is_met else 'missed'}"
    )


if __name__ == "__main__":
    main()
