"""What is counted, and where: a row of numbers for each worker, in memory that all workers share.

A worker writes to its own row alone, so nothing is locked, and whoever is asked adds up all rows. A worker that takes a
dead one's seat goes on with its row, so no sum ever falls. Counting a request takes 0.3 µs; `exposition.py` does all
the rest when somebody looks.
"""

import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple

from likewise.asgi import METHODS, OTHER, UNKNOWN
from likewise.store import BATCH_SIZES, Statistics
from likewise.wire import PROBLEMS

CLIENT_GONE = 499
"""Counts as the status of a request whose client hung up before it was whole; nginx's number for that."""
_ANSWERS = {200, 201, 202, 204, 401, CLIENT_GONE, *(problem.status for problem in PROBLEMS.values())}
STATUSES = (*map(str, sorted(_ANSWERS)), OTHER)

SECONDS = (
    *(0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""The bounds of the histogram of times."""

CELLS_MAX = 32_768
"""The most numbers of one worker, 256 KiB; enough for about 100 endpoints."""
_KEY_BYTES = 16

# A row: who writes it and how the store is, …
_PID, _STARTS, _COMMITS, _WRITES, _WAITING, _IN_USE, _IDLE, _CONNECTIONS_MAX, _BATCHES = range(9)
_SERIES = _BATCHES + len(BATCH_SIZES)
# … then for each endpoint and method a count by status, a sum of seconds and a count by time.
_SECONDS_SUM = len(STATUSES)
_BY_SECONDS = _SECONDS_SUM + 1
_SERIES_CELLS = _BY_SECONDS + len(SECONDS) + 1

_CELL_OF_STATUS = {int(status): number for number, status in enumerate(STATUSES) if status != OTHER}
_CELL_OF_OTHER = len(STATUSES) - 1


class Seat(NamedTuple):
    """Which of how many workers this is, and what they share: cells to count in, a row for each, and a secret key.

    It can be handed to a process as that starts.
    """

    cells: Any
    key: bytes
    workers: int = 1
    number: int = 0


def own_seat(random_bytes: Callable[[int], bytes] = os.urandom) -> Seat:
    """Make the seat of a worker that is alone."""
    return Seat(array("d", bytes(8 * CELLS_MAX)), random_bytes(_KEY_BYTES))


def shared_seats(workers: int, context: BaseContext, random_bytes: Callable[[int], bytes] = os.urandom) -> list[Seat]:
    """Make the seats of several workers. The last of their processes to end gives the memory back."""
    cells, key = context.RawArray("d", workers * CELLS_MAX), random_bytes(_KEY_BYTES)
    return [Seat(cells, key, workers, number) for number in range(workers)]


class Metrics:
    """One worker's numbers, and the sums of all. `endpoints` are documented paths, the same in every worker."""

    def __init__(self, endpoints: Sequence[str], seat: Seat, *, engine: str) -> None:
        self.engine = engine
        cells = memoryview(seat.cells).cast("B").cast("d")
        self._rows = [cells[number * CELLS_MAX : (number + 1) * CELLS_MAX] for number in range(seat.workers)]
        self._row = row = self._rows[seat.number]
        self._series = {
            series: _SERIES + number * _SERIES_CELLS
            for number, series in enumerate(product([*endpoints, UNKNOWN], [*METHODS, OTHER]))
        }
        # What a worker that died was doing, it does no more; what it has done stays.
        for cell in (_WAITING, _IN_USE, _IDLE, _CONNECTIONS_MAX):
            row[cell] = 0
        row[_PID] = os.getpid()
        row[_STARTS] += 1
        self._commits_before, self._writes_before = row[_COMMITS], row[_WRITES]
        self._batches_before = row[_BATCHES:_SERIES].tolist()

    def count(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count a request to one of the endpoints; any other is `UNKNOWN`, and other methods are `OTHER`."""
        series = self._series
        first = series.get((endpoint, method)) or series.get((endpoint, OTHER)) or series[UNKNOWN, OTHER]
        row = self._row
        row[first + _CELL_OF_STATUS.get(status, _CELL_OF_OTHER)] += 1
        row[first + _SECONDS_SUM] += seconds
        row[first + _BY_SECONDS + bisect_left(SECONDS, seconds)] += 1

    def note(self, statistics: Statistics) -> None:
        """Note what the store says of itself since this worker opened it."""
        row = self._row
        row[_COMMITS] = self._commits_before + statistics.commits
        row[_WRITES] = self._writes_before + statistics.writes
        for number, (before, batches) in enumerate(zip(self._batches_before, statistics.batches, strict=True)):
            row[_BATCHES + number] = before + batches
        row[_WAITING] = statistics.waiting
        row[_IN_USE] = statistics.connections_in_use
        row[_IDLE] = statistics.connections_idle
        row[_CONNECTIONS_MAX] = statistics.connections_max

    def totals(self) -> "Totals":
        """Add up the numbers of all workers."""
        used = _SERIES + len(self._series) * _SERIES_CELLS
        rows = (row[:used].tolist() for row in self._rows)
        return Totals(self._series, [sum(cells) for cells in zip(*rows, strict=True)])

    def workers(self) -> Iterator["Worker"]:
        """Say of each worker that has begun how it is."""
        for number, row in enumerate(self._rows):
            if row[_PID]:
                pid, waiting, in_use, idle, most = (
                    int(row[cell]) for cell in (_PID, _WAITING, _IN_USE, _IDLE, _CONNECTIONS_MAX)
                )
                yield Worker(number, pid, waiting, in_use, idle, most)


class Worker(NamedTuple):
    """How a worker is: a process, how many writes wait in it, and its connections to the database."""

    number: int
    pid: int
    waiting: int
    connections_in_use: int
    connections_idle: int
    connections_max: int


class Series(NamedTuple):
    """Requests to one endpoint by one method. `by_seconds` counts those up to each of `SECONDS`, then the slower."""

    endpoint: str
    method: str
    by_status: dict[str, float]
    by_seconds: list[float]
    seconds: float


class Totals:
    """The sums of all workers."""

    def __init__(self, series: dict[tuple[str, str], int], cells: list[float]) -> None:
        self._series = series
        self._cells = cells
        self.starts = cells[_STARTS]
        self.commits = cells[_COMMITS]
        self.writes = cells[_WRITES]
        self.batches = cells[_BATCHES:_SERIES]

    def requests(self) -> Iterator[Series]:
        """Return what has been asked at least once."""
        for (endpoint, method), first in self._series.items():
            cells = self._cells[first : first + _SERIES_CELLS]
            by_status = {status: count for status, count in zip(STATUSES, cells[:_SECONDS_SUM], strict=True) if count}
            if by_status:
                yield Series(endpoint, method, by_status, cells[_BY_SECONDS:], cells[_SECONDS_SUM])
