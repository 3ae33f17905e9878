"""What one listener's songs and their library ids do, said once more, for histories whose order nobody knows.

The model of `tests/contract/test_histories.py` follows operations one after another. Here several are under way at
once, some are never answered, and nobody outside knows the server's clock or the ids it mints. So a step gives each
answer that was possible with the state that it leaves, and a state cannot be changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Any, NamedTuple, TypeAlias


class Verb(Enum):
    PUT = "put"
    DELETE = "delete"
    GET = "get"
    FAVORITE = "favorite"
    UNFAVORITE = "unfavorite"
    ADD = "add"
    LINK = "link"
    UNLINK = "unlink"
    FIND_TWIN = "find the library id of"
    FIND_ITEM = "find the library item"


QUESTIONS = {Verb.GET, Verb.FIND_TWIN, Verb.FIND_ITEM}


class Unanswered(Enum):
    """Nobody was told whether this happened: it may have, or may not."""

    UNANSWERED = "unanswered"


UNANSWERED = Unanswered.UNANSWERED
CLOCK_SECONDS = 0.005
"""By how much later something must have begun to be sure of a later time: times are whole milliseconds, read early."""


@dataclass(frozen=True, eq=False)
class Operation:
    """What a client asked for, what it was told, and between which moments (seconds) that was.

    Answers: True done, False refused (404, 409), None for what is accepted without a word; `GET` tells pairs of id and
    value, `FIND_TWIN` a library id or None, `FIND_ITEM` «the twin's id», None for an upload, False for nothing there.
    What is unanswered may take effect until `returned`, for ever if need be.
    """

    number: int
    verb: Verb
    ids: tuple[str, ...]
    begun: float
    returned: float
    answer: Any
    value: int | None = None

    @property
    def only_looks(self) -> bool:
        """Say whether this changed nothing, in whatever state it was: it asked, or was refused."""
        return self.answer is not UNANSWERED and (self.verb in QUESTIONS or self.answer is False)

    def __str__(self) -> str:
        what = f"{self.verb.value} {', '.join(self.ids)}" + ("" if self.value is None else f" = {self.value:+d}")
        told = "unanswered" if self.answer is UNANSWERED else f"told {self.answer!r}"
        return f"#{self.number} [{self.begun:.4f} … {self.returned:.4f}] {what}: {told}"


class Rated(NamedTuple):
    """A rating, and between which moments it was handed in."""

    value: int
    begun: float
    returned: float


class Fresh(NamedTuple):
    """A library id that was minted and not told to anybody yet."""

    number: int


LibraryId: TypeAlias = str | Fresh


class Entry(NamedTuple):
    """A library item that was ever met; an upload has no twin."""

    twin: str | None
    is_dead: bool = False


@dataclass(frozen=True)
class State:
    """Ratings by the id they are stored under, and the library."""

    ratings: frozenset[tuple[str, Rated]] = field(default_factory=frozenset)
    library: frozenset[tuple[LibraryId, Entry]] = field(default_factory=frozenset)


class _Draft:
    """A state while a step changes it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.ratings: dict[str, Rated] = dict(state.ratings)
        self.library: dict[LibraryId, Entry] = dict(state.library)

    def done(self) -> State:
        state = State(frozenset(self.ratings.items()), frozenset(self.library.items()))
        return self._state if state == self._state else state

    def home(self, id: str) -> str | None:
        """Find where the rating of an id is stored; a dead id has none."""
        entry = self.library.get(id)
        if entry is None:
            return id
        return None if entry.is_dead else entry.twin or id

    def get(self, id: str) -> int | None:
        home = self.home(id)
        rated = None if home is None else self.ratings.get(home)
        return None if rated is None else rated.value

    def put(self, id: str, rated: Rated) -> bool:
        home = self.home(id)
        if home is None:
            return False
        if is_library_id(id) and id not in self.library:
            self.library[id] = Entry(None)
        self.ratings[home] = rated
        return True

    def delete(self, id: str, *, only: int | None = None) -> bool:
        home, value = self.home(id), self.get(id)
        if home is None or value is None or only not in {None, value}:
            return False
        del self.ratings[home]
        return True

    def address(self, catalog_id: str) -> LibraryId | None:
        return next((id for id, entry in self.library.items() if entry == Entry(catalog_id)), None)


def is_library_id(id: str) -> bool:
    return id.startswith("i.")


def outcomes(state: State, operation: Operation) -> Iterator[tuple[Any, State]]:
    """Tell each answer that the operation could have had in this state, with the state it leaves."""
    draft = _Draft(state)
    now = Rated(operation.value or 1, operation.begun, inf if operation.answer is UNANSWERED else operation.returned)
    [id, *others] = operation.ids
    match operation.verb:
        case Verb.PUT:
            yield draft.put(id, now), draft.done()
        case Verb.DELETE:
            yield draft.delete(id), draft.done()
        case Verb.GET:
            yield tuple((id, value) for id in operation.ids if (value := draft.get(id)) is not None), state
        case Verb.FAVORITE:
            for each in operation.ids:
                draft.put(each, now)
            yield None, draft.done()
        case Verb.UNFAVORITE:
            for each in operation.ids:
                draft.delete(each, only=1)
            yield None, draft.done()
        case Verb.ADD:
            if draft.address(id) is None:
                draft.library[Fresh(operation.number)] = Entry(id)
            yield None, draft.done()
        case Verb.LINK:
            yield from _link(draft, id, *others)
        case Verb.UNLINK:
            entry = draft.library.get(id)
            is_there = entry is not None and not entry.is_dead
            if is_there:
                draft.ratings.pop(id, None)
                draft.library[id] = Entry(None, is_dead=True)
            yield is_there, draft.done()
        case Verb.FIND_TWIN:
            yield from _find_twin(draft, id, operation.answer)
        case Verb.FIND_ITEM:
            entry = draft.library.get(id)
            yield (False if entry is None or entry.is_dead else entry.twin), state


def _link(draft: _Draft, library_id: str, catalog_id: str) -> Iterator[tuple[bool, State]]:
    entry = draft.library.get(library_id)
    if (entry is not None and entry.is_dead) or draft.address(catalog_id) not in {None, library_id}:
        yield False, draft.done()
        return
    draft.library[library_id] = Entry(catalog_id)
    own = draft.ratings.pop(library_id, None)
    if own is None:
        yield True, draft.done()
        return
    for winner in _newer(own, draft.ratings.get(catalog_id)):
        draft.ratings[catalog_id] = winner
        yield True, draft.done()


def _newer(own: Rated, catalog: Rated | None) -> Iterator[Rated]:
    """Tell which of two ratings may be the newer one; the catalog's, when they are of one millisecond."""
    if catalog is None or own.returned + CLOCK_SECONDS >= catalog.begun:
        yield own
    if catalog is not None and catalog.returned + CLOCK_SECONDS >= own.begun:
        yield catalog


def _find_twin(draft: _Draft, catalog_id: str, answer: Any) -> Iterator[tuple[LibraryId | None, State]]:
    address = draft.address(catalog_id)
    if isinstance(address, Fresh) and isinstance(answer, str) and answer not in draft.library:
        # Now this id has been told, and from now on it is asked for.
        draft.library[answer] = draft.library.pop(address)
        address = answer
    yield address, draft.done()
