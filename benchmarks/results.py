"""What was measured, kept in benchmarks/results as JSON, so that tables and charts can be made again."""

import json
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import HERE, Run

RESULTS = HERE / "results"

Round = dict[str, Run]
"""Runs by the name of who was measured."""


class Measured(NamedTuple):
    machine: str
    seconds: int
    rounds: list[Round]


def save(name: str, measured: Measured) -> None:
    runs = {row: [_rounded(each[row]) for each in measured.rounds] for row in measured.rounds[0]}
    keep(name, {"machine": measured.machine, "seconds": measured.seconds, "columns": Run._fields, "runs": runs})


def load(name: str) -> Measured:
    kept = json.loads(_file(name).read_text("utf-8"))
    runs = {row: [Run(*run) for run in rounds] for row, rounds in kept["runs"].items()}
    number = len(next(iter(runs.values())))
    return Measured(
        kept["machine"], kept["seconds"], [{row: runs[row][turn] for row in runs} for turn in range(number)]
    )


def keep(name: str, results: dict[str, object]) -> None:
    """Write results; a list of numbers stands on one line, so that a change of it is one."""
    RESULTS.mkdir(exist_ok=True)
    lines = [f'"{key}": {_lines(value)}' for key, value in results.items()]
    _file(name).write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def _lines(value: object) -> str:
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {json.dumps(each)}" for key, each in value.items()) + "\n}"


def _rounded(run: Run) -> list[float]:
    return [float(f"{value:.5g}") for value in run]


def _file(name: str) -> Path:
    return RESULTS / f"{name}.json"
