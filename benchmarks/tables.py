"""What was measured, as tables of plain text: for a terminal, and for the documents."""

import io
import re
import statistics
from collections.abc import Callable

from benchmarks.measuring import CONNECTIONS, spread
from benchmarks.results import Measured, Round
from rich.console import Console
from rich.table import Column, Table

_MEMORY_MB_MAX = 90
_WIDTH = 250

_ending = re.compile(r", (\d+) connections?$")


def tables(measured: Measured) -> str:
    rounds = measured.rounds
    usual = [name for name in rounds[0] if not _ending.search(name)]
    others = len(usual) < len(rounds[0])
    return "\n\n".join(
        [
            measured.machine.replace("; Python", "\nPython"),
            f"{len(rounds)} rounds of {measured.seconds} s each, {CONNECTIONS} connections; median (least … most)",
            *([rendered(_runs_table(rounds, usual))] if usual else []),
            *([rendered(_connections_table(rounds))] if others else []),
            *([rendered(table)] if (table := _ratios_table(rounds)).row_count else []),
        ]
    )


def rendered(table: Table) -> str:
    console = Console(file=io.StringIO(), width=_WIDTH, highlight=False, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def table_of(*titles: str) -> Table:
    """Make a table whose first column has names, and the others numbers."""
    columns = [Column(title, justify="right", no_wrap=True) for title in titles[1:]]
    return Table(Column(titles[0], no_wrap=True), *columns, box=None, padding=(0, 2, 0, 0))


def _runs_table(rounds: list[Round], names: list[str]) -> Table:
    has_database = any(each[name].database_microseconds for each in rounds for name in names)
    titles = ["requests/s", "processor µs/request", "p50 ms", "p99 ms", "memory MB", "PostgreSQL's µs"]
    table = table_of("", *titles[: None if has_database else -1])
    for name in names:
        columns = zip(*(each[name] for each in rounds), strict=True)
        cells = [spread(column, digits) for column, digits in zip(columns, (0, 1, 2, 2, 1, 1), strict=True)]
        table.add_row(name, *(cells if rounds[0][name].database_microseconds else cells[:-1]))
    return table


def _connections_table(rounds: list[Round]) -> Table:
    """Show what is asked over various numbers of connections: requests a second, and the 99th percentile in ms."""
    numbers = sorted({_connections(name) for name in rounds[0]})
    table = table_of("requests/s (p99 ms), connections", *map(str, numbers))
    for row in dict.fromkeys(_ending.sub("", name) for name in rounds[0]):
        by_number = {_connections(name): name for name in rounds[0] if _ending.sub("", name) == row}
        table.add_row(row, *(_speed_and_tail(rounds, by_number.get(number)) for number in numbers))
    return table


def _connections(name: str) -> int:
    found = _ending.search(name)
    return int(found[1]) if found else CONNECTIONS


def _speed_and_tail(rounds: list[Round], name: str | None) -> str:
    if name is None:
        return ""
    speed = statistics.median(each[name].requests_per_second for each in rounds)
    tail = statistics.median(each[name].p99_milliseconds for each in rounds)
    return f"{speed:,.0f} ({tail:,.{2 if tail < 10 else 0}f})"


def _ratios_table(rounds: list[Round]) -> Table:
    table = table_of("\nratio", "\nmeasured", "\ntarget", "\n", "\nby processor time")

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
        by_processor_shown = spread([by_processor(each) for each in rounds], digits) if by_processor else ""
        table.add_row(name, spread(ratios, digits), *judged(ratios, least=least, most=most), by_processor_shown)

    def compare(name: str, other: str, *, times: int = 1, digits: int = 2, least: float = 0, label: str = "") -> None:
        if name in rounds[0] and other in rounds[0]:
            row(label or f"{name} / {other}", *_speed(name, other, times=times), digits=digits, least=least)

    compare("GET one", "empty", least=0.80)
    compare("PUT", "empty", least=0.55)
    compare("PUT", "empty, body read")
    compare("GET 100 ids", "GET one", times=100, digits=1, least=15, label="ids per second, GET 100 ids / GET one")
    compare("GET one", "FastAPI, GET one", digits=1, least=20)
    compare("PUT", "FastAPI, PUT", digits=1, least=15)
    for mix in ("GET 100 ids", "90/10", "cold tokens"):
        compare(mix, f"FastAPI, {mix}", digits=1)
    for mix in ("GET one", "PUT", "GET 100 ids"):
        compare(mix, f"Starlette, {mix}")
    compare("GET one", "Prism, GET one", digits=1)
    compare("GET one", "nginx")
    ours = [name for name in ("GET one", "PUT", "GET 100 ids", "90/10", "cold tokens") if name in rounds[0]]
    # Of two kinds of requests mixed, the slower one is the tail whoever serves them: that has no target.
    alike = {*ours} - {"90/10"}
    for name in rounds[0]:
        if not _ending.search(name) and ", PostgreSQL" not in name and ", 2 workers" not in name:
            row(f"p99 / p50 of {name}", _tail(name), most=2 if name in alike else 0)
    if ours:
        row(
            "memory of Likewise, MB",
            lambda each: max(each[name].memory_megabytes for name in ours),
            digits=1,
            most=_MEMORY_MB_MAX,
        )
    return table


def judged(values: list[float], *, least: float = 0, most: float = 0) -> tuple[str, str]:
    """Say what was the target, and whether the median met it; nothing where there is none."""
    if not least and not most:
        return "", ""
    median = statistics.median(values)
    is_met = median >= least and (not most or median <= most)
    return f"≥ {least:g}" if least else f"≤ {most:g}", "met" if is_met else "missed"


def _speed(name: str, other: str, *, times: int) -> tuple[Callable[[Round], float], Callable[[Round], float]]:
    """Compare requests per second, and requests per second of processor time."""
    return (
        lambda each: times * each[name].requests_per_second / each[other].requests_per_second,
        lambda each: times * each[other].processor_microseconds / each[name].processor_microseconds,
    )


def _tail(name: str) -> Callable[[Round], float]:
    return lambda each: each[name].p99_milliseconds / each[name].p50_milliseconds
