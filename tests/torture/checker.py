"""Is there an order of these operations that explains all their answers? (Linearizability, Herlihy and Wing 1990.)

Each operation must take effect at one moment between its beginning and its end. The search walks through time and
keeps every way in which things may stand (Lowe's just-in-time linearization, 2017): a state, with those of the
operations under way that have taken effect in it. Where no way is left, no order explains what was told.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.torture.model import UNANSWERED, Operation, State, outcomes

WAYS_MAX = 50_000


class Unexplained(Exception):
    """No order of the operations explains what was told; the text is what was under way at that moment."""


class _Way(NamedTuple):
    state: State
    done: frozenset[Operation]


def check(operations: Sequence[Operation]) -> None:
    """Raise `Unexplained` for a history of one listener's related items that no order explains."""
    moments = [(operation.begun, 1, operation) for operation in operations]
    moments += [(operation.returned, 0, operation) for operation in operations]
    # What returns at the very moment at which another begins was not before it, so beginnings come first.
    moments.sort(key=lambda moment: (moment[0], -moment[1], moment[2].number))
    under_way: dict[int, Operation] = {}
    ways = {_Way(State(), frozenset())}
    for _, is_beginning, operation in moments:
        if is_beginning:
            under_way[operation.number] = operation
            continue
        following = _ways_past(operation, ways, under_way.values())
        if not following:
            raise Unexplained(_told(operation, ways, under_way.values(), operations))
        if len(following) > WAYS_MAX:
            raise AssertionError(f"more than {WAYS_MAX} ways to explain this history: it has too much at once")
        ways = following
        del under_way[operation.number]


def _ways_past(operation: Operation, ways: Iterable[_Way], under_way: Iterable[Operation]) -> set[_Way]:
    """Find how things may stand when this operation is over: it has taken effect, or was unanswered and never will."""
    past: set[_Way] = set()
    to_visit = [_settled(way, under_way) for way in ways]
    seen = set(to_visit)
    while to_visit:
        way = to_visit.pop()
        if operation in way.done:
            past.add(_Way(way.state, way.done - {operation}))
            continue
        if operation.answer is UNANSWERED:
            past.add(way)
        for other in under_way:
            if other not in way.done:
                for state in _states_after(way.state, other):
                    following = _settled(_Way(state, way.done | {other}), under_way)
                    if following not in seen:
                        seen.add(following)
                        to_visit.append(following)
    return past


def _states_after(state: State, operation: Operation) -> list[State]:
    """Tell the states that this operation may leave, given its answer."""
    is_open = operation.answer is UNANSWERED
    left = [after for answer, after in outcomes(state, operation) if is_open or answer == operation.answer]
    return [after for after in left if after is not state] if is_open else left


def _settled(way: _Way, under_way: Iterable[Operation]) -> _Way:
    """Let what only looks take effect as soon as its answer is right: waiting could only harm."""
    settled = {
        operation
        for operation in under_way
        if operation.only_looks
        and operation not in way.done
        and any(after is way.state for after in _states_after(way.state, operation))
    }
    return _Way(way.state, way.done | settled) if settled else way


def _told(
    operation: Operation, ways: Iterable[_Way], under_way: Iterable[Operation], operations: Iterable[Operation]
) -> str:
    before = sorted((each for each in operations if each.returned < operation.returned), key=lambda each: each.returned)
    return "\n".join(
        [
            f"no order explains: {operation}",
            "under way with it:",
            *(f"  {each}" for each in under_way if each is not operation),
            "before it:",
            *(f"  {each}" for each in before[-12:]),
            "as things may stand:",
            *(f"  {dict(way.state.ratings)} {dict(way.state.library)}" for way in list(ways)[:5]),
        ]
    )
