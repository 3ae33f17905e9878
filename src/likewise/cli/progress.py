"""How far long work has come: bars on stderr, when a person sits before it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Bars:
    """A bar for each thing that is done; without `progress`, nobody looks."""

    def __init__(self, progress: Any = None) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def advance(self, what: str, done: int, total: int | None) -> None:
        """Show that so much more is done, of a total that may be unknown."""
        self._update(what, total, advance=done)

    def reach(self, what: str, done: int, total: int) -> None:
        """Show how much is done in all."""
        self._update(what, total, completed=done)

    def _update(self, what: str, total: int | None, **change: int) -> None:
        if self._progress is None:
            return
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(f"{what} …", total=total)
        self._progress.update(self._tasks[what], total=total, **change)


@contextmanager
def bars() -> Iterator[Bars]:
    """Show bars on stderr until the block ends, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield Bars()
        return
    from rich.console import Console  # noqa: PLC0415 - costs every other command its start
    from rich.progress import Progress  # noqa: PLC0415 - see above

    with Progress(console=Console(stderr=True), transient=True) as progress:
        yield Bars(progress)
