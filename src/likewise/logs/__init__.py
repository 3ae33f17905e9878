"""Logs: a line for people, or a JSON object a line for machines.

Whatever stands in a line, it stays one line: control characters, line breaks of every kind and what turns text around
are escaped. The lines of a traceback alone are lines of their own for people, and indented, so that none passes for
another entry.

The fields of an entry come as `extra=fields(request_id=…)`.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

AUTO, CONSOLE, JSON = "auto", "console", "json"

SILENCE_SECONDS = 10.0
"""How long what has been said is not said again, see `Repeats`."""
_REMEMBERED_MAX = 100


_encode = json.JSONEncoder(default=str).encode


def configure(*, format: str = CONSOLE, level: str = "info") -> None:
    """Log to stderr; `auto` is for people on a terminal, and JSON elsewhere. Whoever configures last is right."""
    # Whoever closed stderr before the start has none.
    is_for_people = (sys.stderr is not None and sys.stderr.isatty()) if format == AUTO else format == CONSOLE
    handler = _Stderr()
    handler.setFormatter(Lines() if is_for_people else JsonLines())
    root = logging.getLogger()
    for each in [each for each in root.handlers if isinstance(each, _Stderr)]:
        root.removeHandler(each)
    root.addHandler(handler)
    root.setLevel(level.upper())


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever is stderr at that moment."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def fields(**named: Any) -> Mapping[str, Any]:
    """Give an entry fields: `logger.info("…", extra=fields(status=200))`. One that is None or empty is left out."""
    return {"fields": named}


def _fields_of(entry: logging.LogRecord) -> dict[str, Any]:
    named = getattr(entry, "fields", {})
    if entry.name != "likewise":
        named = {"logger": entry.name, **named}
    return {name: value for name, value in named.items() if value is not None and value != ""}


def _time(entry: logging.LogRecord) -> str:
    return datetime.fromtimestamp(entry.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(entry.msecs):03d}Z"


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII: `time`, `level`, `message`, the fields, `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {"time": _time(record), "level": record.levelname.lower(), "message": record.getMessage()}
        entry |= _fields_of(record)
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return _encode(entry)


class Lines(logging.Formatter):
    """Time, level, message, and the fields as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        named = (f" {name}={_word(str(value))}" for name, value in _fields_of(record).items())
        line = f"{_time(record)} {record.levelname} {printable(record.getMessage())}{''.join(named)}"
        if record.exc_info:
            traceback = self.formatException(record.exc_info).split("\n")
            line += "".join(f"\n    {printable(each)}" for each in traceback)
        return line


def _word(text: str) -> str:
    """Write a value so that one sees where it ends."""
    return text if text.isprintable() and not set(text) & set(' "=') else json.dumps(text)


def printable(text: str) -> str:
    """Escape, as Python does, whatever is no printable character: what would break a line, or turn it around."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode() for each in text
    )


class Repeats:
    """Keeps one thing from being said more often than every 10 seconds, and counts how often it was kept back.

    So what anybody can make us say, again and again, neither fills a disk nor hides the rest. `seconds` only ever goes
    forward. At most 100 things are remembered.
    """

    def __init__(self, *, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._said: dict[str, tuple[float, int]] = {}

    def due(self, what: str) -> int | None:
        """Say how often `what` was kept back since it was said last; None when that was a moment ago."""
        now = self._seconds()
        said, kept_back = self._said.pop(what, (-SILENCE_SECONDS, 0))
        if now - said < SILENCE_SECONDS:
            self._said[what] = (said, kept_back + 1)
            return None
        if len(self._said) >= _REMEMBERED_MAX:
            del self._said[next(iter(self._said))]
        self._said[what] = (now, 0)
        return kept_back
