"""Workers: how many processes serve one address, and who looks after them.

One worker runs in this process. Several are processes of their own, each with its own event loop and database
connections, on the one address; this process watches them, replaces one that dies, and passes signals on.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple

from likewise.app import App
from likewise.config import Settings
from likewise.errors import LikewiseError, StoreUnavailable
from likewise.logs import configure
from likewise.metrics import Seat, own_seat, shared_seats
from likewise.serving import SAME_SIGNAL_SECONDS, Address, leave, run, serve
from likewise.serving.numbers import numbers_served, open_listener, url_of

_START_SECONDS_MAX = 60.0
# One that dies sooner than this after its start is not replaced at once, for the next may die of the same.
_SHORT_LIFE_SECONDS = 5.0
_PAUSE_SECONDS = 1.0

logger = logging.getLogger("likewise")


def workers_for(settings: Settings) -> int:
    """Choose how many workers serve: as many as was said, else what is right for the database.

    SQLite has one writer at a time, so a second worker would spend its time waiting for the first; a PostgreSQL server
    is asked by as many as there are processors to ask it.
    """
    if settings.workers:
        return settings.workers
    return 1 if settings.database.startswith("sqlite:") else os.cpu_count() or 1


def run_workers(settings: Settings, address: Address, *, on_listening: Callable[[], None]) -> bool:
    """Serve with all workers until SIGTERM or SIGINT; raise `StoreUnavailable` when workers cannot start.

    A second signal ends the wait for what is in flight. Return what `serve` returns. Raise `BadSetting` when the
    metrics cannot have their address.
    """
    workers = workers_for(settings)
    with open_listener(settings) as metrics_listener:
        if metrics_listener is not None:
            logger.info("the metrics are on %s", url_of(metrics_listener))
        task = _Task(settings, address, metrics_listener)
        if workers == 1:
            return run(_work(task, own_seat(), on_listening))
        _Supervisor(task).run(workers, on_listening)
        return True


class _Task(NamedTuple):
    """What all workers do."""

    settings: Settings
    address: Address
    metrics_listener: socket.socket | None


async def _work(task: _Task, seat: Seat, on_listening: Callable[[], None], *, is_supervised: bool = False) -> bool:
    # Loaded before serving, for whoever looks at the metrics first must hold nobody up.
    import likewise.metrics.exposition  # noqa: F401, PLC0415 - see above

    settings, address, metrics_listener = task
    async with App(settings, seat=seat) as app:
        with numbers_served(metrics_listener, app.numbers) if metrics_listener else nullcontext():
            return await serve(
                app,
                address,
                shutdown_seconds_max=settings.shutdown_seconds_max,
                on_listening=on_listening,
                is_supervised=is_supervised,
            )


def _run_worker(task: _Task, seat: Seat, parent: "Connection[str, Any]", life: Any) -> None:
    """Be a worker: say through `parent` when it listens, and stop when the other end of `life` is closed."""
    # Ctrl-C reaches every process of a terminal; until the worker can stop properly, the supervisor's word counts.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    configure(format=task.settings.log_format, level=task.settings.log_level)

    def stop() -> None:
        asyncio.get_running_loop().remove_reader(life.fileno())
        os.kill(os.getpid(), signal.SIGTERM)

    def on_listening() -> None:
        # Readable means closed: the supervisor is gone, however it went.
        asyncio.get_running_loop().add_reader(life.fileno(), stop)
        parent.send("listening")

    try:
        is_finished = run(_work(task, seat, on_listening, is_supervised=True))
    except LikewiseError as error:
        logger.error("the worker cannot serve: %s", error)  # noqa: TRY400 - it is said in full
        raise SystemExit(1) from error
    if not is_finished:
        leave()


class _Worker(NamedTuple):
    process: SpawnProcess
    seat: Seat
    pipe: "Connection[Any, str]"
    started: float


class _Supervisor:
    def __init__(self, task: _Task) -> None:
        self._task = task
        self._context = multiprocessing.get_context("spawn")
        self._is_stopping = False
        self._is_hurried = False
        self._told = 0.0
        self._life, self._hold = self._context.Pipe(duplex=False)

    def run(self, number: int, on_listening: Callable[[], None]) -> None:
        woken_by_signals, wake = self._context.Pipe(duplex=False)

        def stop(_signal_number: int, _frame: object) -> None:
            if not self._is_stopping:
                self._is_stopping, self._told = True, time.monotonic()
            elif time.monotonic() > self._told + SAME_SIGNAL_SECONDS:
                self._is_hurried = True
            wake.send("stop")

        before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
        workers: list[_Worker] = []
        try:
            workers += [self._start(seat) for seat in shared_seats(number, self._context)]
            for worker in workers:
                self._await_listening(worker)
            if not self._is_stopping:
                on_listening()
            while not self._is_stopping:
                wait([woken_by_signals, *(worker.process.sentinel for worker in workers)])
                if any(self._died_young(worker) for worker in workers):
                    wait([woken_by_signals], timeout=_PAUSE_SECONDS)
                workers = [self._kept(worker) for worker in workers]
        finally:
            self._stop(workers, woken_by_signals)
            for each, handler in before.items():
                signal.signal(each, handler)

    def _start(self, seat: Seat) -> _Worker:
        pipe, childs_end = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_run_worker, args=(self._task, seat, childs_end, self._life))
        # Blocked from its first moment on, which the worker ends when it is ready to be interrupted. The tracker that
        # multiprocessing would start with the first worker would unblock it.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        childs_end.close()
        return _Worker(process, seat, pipe, time.monotonic())

    def _await_listening(self, worker: _Worker) -> None:
        deadline = time.monotonic() + _START_SECONDS_MAX
        while not self._is_stopping:
            if worker.pipe.poll(0.1):
                try:
                    worker.pipe.recv()
                except EOFError as error:
                    if self._is_stopping:
                        return
                    raise StoreUnavailable("a worker could not start", "the lines above say why") from error
                return
            if time.monotonic() > deadline:  # pragma: no cover - a minute of waiting
                raise StoreUnavailable("a worker did not start in time", "is the database slow, or the machine?")

    def _died_young(self, worker: _Worker) -> bool:
        return not worker.process.is_alive() and time.monotonic() - worker.started < _SHORT_LIFE_SECONDS

    def _kept(self, worker: _Worker) -> _Worker:
        """Return the worker, or the one that replaces it when it has died."""
        if self._is_stopping or worker.process.is_alive():
            return worker
        worker.pipe.close()
        logger.error("a worker died (exit code %s); another takes its place", worker.process.exitcode)
        return self._start(worker.seat)

    def _stop(self, workers: list[_Worker], woken_by_signals: "Connection[Any, str]") -> None:
        self._task.address.withdraw()
        for worker in workers:
            if worker.process.is_alive():  # pragma: no branch - it may die in this very moment
                worker.process.terminate()
        # A second more than each worker gives itself, so that killing is for those that hang.
        deadline = time.monotonic() + self._task.settings.shutdown_seconds_max + 1
        while alive := [worker for worker in workers if worker.process.is_alive()]:
            seconds = deadline - time.monotonic()
            if self._is_hurried or seconds <= 0:
                break
            wait([woken_by_signals, *(worker.process.sentinel for worker in alive)], timeout=seconds)
            while woken_by_signals.poll():
                woken_by_signals.recv()
        for worker in alive:
            logger.error(
                "a worker %s and was killed", "was told twice to stop" if self._is_hurried else "did not stop in time"
            )
            worker.process.kill()
        for worker in workers:
            worker.process.join()
            worker.pipe.close()
