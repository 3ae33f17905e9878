"""How a call comes by its answer: requests and answers as values, and when a request is sent again.

Nothing here touches a socket or waits. `exchange` says what to do next, and the two clients do it, each in its way.
"""

import random
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeAlias, TypeVar

from likewise.client.refusals import refusal_of
from likewise.errors import BadSetting, NotFound, ResourceNotFound, ServerUnreachable

Result = TypeVar("Result")

_RETRY_AFTER_DIGITS_MAX = 9
_DOUBLINGS_MAX = 30  # a wait has long reached its limit by then
_STATUSES_TO_TRY_AGAIN = (429, 503)


class Request(NamedTuple):
    """What is asked. `target` is path and query, escaped; `absent` is what 404 means here.

    Only what is `is_repeatable` is ever sent again: what does the same however often it is done.
    """

    method: str
    target: str
    body: bytes | None = None
    absent: type[NotFound] = ResourceNotFound
    is_repeatable: bool = True


class Answer(NamedTuple):
    """What came back, whole. Names of headers are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Plan: TypeAlias = Generator[Request, Answer, Result]
"""A call, described once: it yields requests, is sent the good answers to them, and returns what they mean."""


@dataclass(frozen=True)
class Limits:
    """What a client is willing to bear; each holds for one request and what is sent again of it."""

    tries_max: int = 4
    seconds_max: float = 30.0
    """For all tries and the waiting between them."""
    silence_seconds_max: float = 10.0
    """For connecting, and for each piece that is sent or received."""
    wait_seconds_first: float = 0.25
    """Before the second try, at most; twice as long before each one after."""
    wait_seconds_max: float = 8.0
    answer_bytes_max: int = 8 * 1024 * 1024
    per_second_max: float | None = None
    """Of requests, tries that follow the first included; None for as many as there are."""

    def __post_init__(self) -> None:
        per_second = 1 if self.per_second_max is None else self.per_second_max
        if not (self.tries_max >= 1 and self.answer_bytes_max >= 1 and per_second > 0):
            raise BadSetting("the limits of a client leave it no try or no answer", "allow at least one of each")
        if not (self.seconds_max > 0 and self.silence_seconds_max > 0):
            raise BadSetting("the limits of a client leave it no time", "allow more than no seconds")
        if not (self.wait_seconds_first >= 0 and self.wait_seconds_max >= 0):
            raise BadSetting("the limits of a client have it wait for less than no time", "0 is no wait at all")


class Pace:
    """Keeps to so many requests a second, whoever makes them."""

    def __init__(self, per_second_max: float | None, monotonic: Callable[[], float]) -> None:
        self._seconds_each = 0.0 if per_second_max is None else 1 / per_second_max
        self._monotonic = monotonic
        self._next = float("-inf")
        self._lock = threading.Lock()

    def wait_seconds(self) -> float:
        """Take the next turn; return how long it is until then."""
        if not self._seconds_each:
            return 0.0
        with self._lock:
            now = self._monotonic()
            turn = max(now, self._next)
            self._next = turn + self._seconds_each
        return turn - now


@dataclass(frozen=True)
class Surroundings:
    """What a client takes from the world around it; tests hand in their own."""

    now: Callable[[], float] = time.time
    """Seconds since 1970."""
    monotonic: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    """From 0 to 1; spreads the tries of many clients that failed together."""


class Send(NamedTuple):
    """Send this, and report the answer, or that there was none."""

    request: Request
    seconds_left: float


class Wait(NamedTuple):
    seconds: float


Step: TypeAlias = Send | Wait
Outcome: TypeAlias = Answer | ServerUnreachable


def exchange(
    plan: Plan[Result], limits: Limits, around: Surroundings, pace: Pace
) -> Generator[Step, Outcome | None, Result]:
    """Walk through a call: yield what to do next, take what came of it; return the call's result or raise its error."""
    try:
        request = next(plan)
        while True:
            answer = yield from _ask(request, limits, around, pace)
            request = plan.send(answer)
    except StopIteration as done:
        result: Result = done.value
        return result


def _ask(request: Request, limits: Limits, around: Surroundings, pace: Pace) -> Generator[Step, Outcome | None, Answer]:
    """Get one good answer, asking again where that may help and does no harm."""
    yield from _take_turn(pace)
    deadline = around.monotonic() + limits.seconds_max
    is_in_doubt = False
    tries = 0
    while True:
        tries += 1
        outcome = yield Send(request, max(deadline - around.monotonic(), 0.0))
        if isinstance(outcome, Answer):
            status, headers, body = outcome
            if 200 <= status < 300:
                return outcome
            retry_after = _retry_after(headers, around.now())
            error = refusal_of(request.absent, status, headers, body, retry_after)
            if is_in_doubt and request.method == "DELETE" and isinstance(error, NotFound):
                return outcome  # an earlier try did it, and only its answer was lost
            if status not in _STATUSES_TO_TRY_AGAIN:
                raise error
            is_in_doubt |= status == 503
        else:
            retry_after, error = None, outcome or ServerUnreachable("there was no answer")
            is_in_doubt = True
        wait = _wait_seconds(tries, retry_after, limits, around.jitter())
        is_last = tries >= limits.tries_max or around.monotonic() + wait >= deadline
        if is_last or not request.is_repeatable:
            raise error
        yield Wait(wait)
        yield from _take_turn(pace)


def _take_turn(pace: Pace) -> Generator[Step, Outcome | None, None]:
    wait = pace.wait_seconds()
    if wait > 0:
        yield Wait(wait)


def _wait_seconds(tries: int, retry_after: float | None, limits: Limits, jitter: float) -> float:
    backoff = min(limits.wait_seconds_max, limits.wait_seconds_first * 2 ** min(tries - 1, _DOUBLINGS_MAX))
    return jitter * backoff if retry_after is None else retry_after + jitter * limits.wait_seconds_first


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read Retry-After (RFC 9110, section 10.2.3): seconds, or a date; None where it is absent or makes no sense."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:_RETRY_AFTER_DIGITS_MAX])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now, 0.0)
