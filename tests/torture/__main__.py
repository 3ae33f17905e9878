"""`make torture`: rounds without end, or 200, on both engines, with one worker and two; see `rounds.py`."""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tests.contract.postgres_server import running_servers
from tests.torture.broken import FAULTS
from tests.torture.clients import Work
from tests.torture.rounds import Failed, Plan, Run
from tests.torture.service import ENGINES

ROUNDS_IN_RUN = 5
_BITES_MAX = 30

console = Console(stderr=True)


def _plans(seed: int, rounds: int, engines: list[str], workers: list[int]) -> Iterator[Plan]:
    chance = random.Random(seed)
    kinds = [(engine, number) for number in workers for engine in engines]
    run = 0
    while rounds > 0:
        engine, number = kinds[run % len(kinds)]
        own_seed = seed if rounds <= ROUNDS_IN_RUN and run == 0 else chance.randrange(1_000_000)
        yield Plan(own_seed, engine, number, min(rounds, ROUNDS_IN_RUN))
        rounds -= ROUNDS_IN_RUN
        run += 1


def _biting(fault: str, seed: int) -> Plan:
    """Plan what shows that the torture finds this fault."""
    plan = Plan(seed, rounds=_BITES_MAX, fault=fault, is_gentle=fault != "acknowledges_before_the_commit")
    if fault == "serves_stale_reads":
        return replace(plan, workers=2, groups=1, work=Work.MOSTLY_READS)
    return plan


def _torture(plan: Plan, progress: Progress, bar: TaskID) -> Run:
    """Do one run; raise `Failed`."""

    def tell(what: str) -> None:
        progress.update(bar, description=f"{plan.engine}, {plan.workers} worker(s), seed {plan.seed}: {what}")

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        run = Run(plan, Path(folder), tell, lambda: progress.advance(bar))
        asyncio.run(run.go())
    return run


@click.command()
@click.option("--rounds", default=200, show_default=True, help="How many times something is killed.")
@click.option("--seed", type=int, help="What everything is drawn from; by default a new one.")
@click.option("--engine", type=click.Choice(list(ENGINES)), help="Only this engine.")
@click.option("--workers", type=click.IntRange(1, 8), help="Only with so many workers.")
@click.option("--bite/--no-bite", default=False, help="First show that broken likenesses of the service are found out.")
def main(rounds: int, seed: int | None, engine: str | None, workers: int | None, *, bite: bool) -> None:
    """Kill the service and its database again and again, and check everything that any client was told."""
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    plans = list(_plans(seed, rounds, [engine] if engine else list(ENGINES), [workers] if workers else [1, 2]))
    begun, operations, unanswered = time.monotonic(), 0, 0
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    console.print(f"seed {seed}")
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        for fault in FAULTS if bite else ():
            bar = progress.add_task(fault, total=None)
            try:
                _torture(_biting(fault, seed), progress, bar)
            except Failed:
                console.print(f"found out: a service that {fault.replace('_', ' ')}")
            else:
                raise Failed(f"nobody noticed a service that {fault.replace('_', ' ')}")
            progress.remove_task(bar)
        bar = progress.add_task("", total=rounds)
        for plan in plans:
            try:
                run = _torture(plan, progress, bar)
            except Failed as failure:
                raise Failed(f"{failure}\n\nhint: once more: make torture ARGS='{plan}'") from failure
            except Exception as error:
                error.add_note(f"in the run of make torture ARGS='{plan}'")
                raise
            operations += run.history.size
            unanswered += run.history.unanswered
    print(  # noqa: T201 - the result
        f"{rounds} rounds, {operations} operations, {unanswered} of them unanswered: every answer stayed true "
        f"({time.monotonic() - begun:.0f} s, seed {seed})"
    )


if __name__ == "__main__":
    try:
        # Closed while Python is whole: a server that ends with it can no longer clear away what it made.
        with running_servers:
            main(standalone_mode=False)
    except Failed as failure:
        sys.exit(f"error: {failure}")
    except (KeyboardInterrupt, click.Abort):
        sys.exit("interrupted")
    except click.ClickException as refusal:
        refusal.show()
        sys.exit(refusal.exit_code)
