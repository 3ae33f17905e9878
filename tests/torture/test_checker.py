"""The checker accepts what some order explains, and nothing else."""

import random
from typing import Any

import pytest

from tests.torture.checker import Unexplained, check
from tests.torture.model import UNANSWERED, Fresh, Operation, Rated, State, Verb, outcomes

SONG = "1000"
OTHER_SONG = "1001"
UPLOAD = "i.a"
PUT, DELETE, GET, LINK, UNLINK = Verb.PUT, Verb.DELETE, Verb.GET, Verb.LINK, Verb.UNLINK
NONE: tuple[()] = ()


def history(*rows: Any) -> list[Operation]:
    """Number operations, each a tuple: verb, ids, begun, returned, answer, and the value that is put."""
    return [
        Operation(number, verb, tuple(ids.split()), begun, returned, answer, value[0] if value else None)
        for number, (verb, ids, begun, returned, answer, *value) in enumerate(rows)
    ]


def told(id, value):
    return ((id, value),)


EXPLAINED: dict[str, list[Any]] = {
    "nothing happened": [],
    "one after another": [
        (PUT, SONG, 0, 1, True, 1),
        (GET, SONG, 2, 3, told(SONG, 1)),
        (DELETE, SONG, 4, 5, True),
        (DELETE, SONG, 6, 7, False),
        (GET, SONG, 8, 9, NONE),
    ],
    "a read beside a write sees it": [(PUT, SONG, 0, 9, True, 1), (GET, SONG, 1, 2, told(SONG, 1))],
    "a read beside a write does not see it": [(PUT, SONG, 0, 9, True, 1), (GET, SONG, 1, 2, NONE)],
    "the write that began first is the last": [
        (PUT, SONG, 0, 5, True, 1),
        (PUT, SONG, 1, 4, True, -1),
        (GET, SONG, 6, 7, told(SONG, 1)),
    ],
    "an unanswered write that happened": [(PUT, SONG, 0, 2, UNANSWERED, 1), (GET, SONG, 3, 4, told(SONG, 1))],
    "an unanswered write that did not": [(PUT, SONG, 0, 2, UNANSWERED, 1), (GET, SONG, 3, 4, NONE)],
    "an unanswered write that happened late": [
        (PUT, SONG, 0, 9, UNANSWERED, 1),
        (GET, SONG, 1, 2, NONE),
        (GET, SONG, 3, 4, told(SONG, 1)),
    ],
    "a link shows the catalog's rating": [
        (PUT, SONG, 0, 1, True, 1),
        (LINK, f"{UPLOAD} {SONG}", 2, 3, True),
        (GET, UPLOAD, 4, 5, told(UPLOAD, 1)),
    ],
    "the newer of two ratings wins": [
        (PUT, SONG, 0, 1, True, 1),
        (PUT, UPLOAD, 2, 3, True, -1),
        (LINK, f"{UPLOAD} {SONG}", 4, 5, True),
        (GET, SONG, 6, 7, told(SONG, -1)),
    ],
    "of two ratings put at once any may be the newer": [
        (PUT, SONG, 0, 3, True, 1),
        (PUT, UPLOAD, 1, 2, True, -1),
        (LINK, f"{UPLOAD} {SONG}", 4, 5, True),
        (GET, SONG, 6, 7, told(SONG, 1)),
    ],
    "an id is minted, told, and used": [
        (Verb.ADD, SONG, 0, 1, None),
        (Verb.FIND_TWIN, SONG, 2, 3, "i.new"),
        (PUT, "i.new", 4, 5, True, 1),
        (GET, SONG, 6, 7, told(SONG, 1)),
        (UNLINK, "i.new", 8, 9, True),
        (PUT, "i.new", 10, 11, False, 1),
    ],
    "unfavorite beside favorite": [
        (Verb.UNFAVORITE, SONG, 0, 3, None),
        (Verb.FAVORITE, f"{SONG} {OTHER_SONG}", 1, 2, None),
        (GET, f"{SONG} {OTHER_SONG}", 4, 5, told(OTHER_SONG, 1)),
    ],
}

UNEXPLAINED: dict[str, list[Any]] = {
    "an acknowledged write is lost": [(PUT, SONG, 0, 1, True, 1), (GET, SONG, 2, 3, NONE)],
    "a refused write has happened": [
        (PUT, UPLOAD, 0, 1, True, 1),
        (UNLINK, UPLOAD, 2, 3, True),
        (PUT, UPLOAD, 4, 5, False, 1),
        (GET, UPLOAD, 6, 7, told(UPLOAD, 1)),
    ],
    "a write is refused for no reason": [(PUT, SONG, 0, 1, False, 1)],
    "a stale read": [
        (PUT, SONG, 0, 1, True, 1),
        (PUT, SONG, 2, 3, True, -1),
        (GET, SONG, 4, 5, told(SONG, 1)),
    ],
    "two readers see two orders": [
        (PUT, SONG, 0, 9, True, 1),
        (PUT, SONG, 0, 9, True, -1),
        (GET, SONG, 1, 2, told(SONG, 1)),
        (GET, SONG, 3, 4, told(SONG, -1)),
        (GET, SONG, 5, 6, told(SONG, 1)),
    ],
    "what was seen is gone again": [
        (PUT, SONG, 0, 9, UNANSWERED, 1),
        (GET, SONG, 1, 2, told(SONG, 1)),
        (GET, SONG, 3, 4, NONE),
    ],
    "an unanswered write happens after its end": [
        (PUT, SONG, 0, 2, UNANSWERED, 1),
        (GET, SONG, 3, 4, NONE),
        (GET, SONG, 5, 6, told(SONG, 1)),
    ],
    "half of a write is seen": [
        (Verb.FAVORITE, f"{SONG} {OTHER_SONG}", 0, 9, None),
        (GET, f"{SONG} {OTHER_SONG}", 1, 2, told(SONG, 1)),
    ],
    "a link loses the rating": [
        (PUT, UPLOAD, 0, 1, True, 1),
        (LINK, f"{UPLOAD} {SONG}", 2, 3, True),
        (GET, UPLOAD, 4, 5, NONE),
    ],
    "the older of two ratings wins": [
        (PUT, SONG, 0, 1, True, 1),
        (PUT, UPLOAD, 2, 3, True, -1),
        (LINK, f"{UPLOAD} {SONG}", 4, 5, True),
        (GET, SONG, 6, 7, told(SONG, 1)),
    ],
    "the two addresses differ": [
        (LINK, f"{UPLOAD} {SONG}", 0, 1, True),
        (PUT, SONG, 2, 3, True, 1),
        (GET, UPLOAD, 4, 5, NONE),
    ],
    "a song has two library ids": [
        (LINK, f"{UPLOAD} {SONG}", 0, 1, True),
        (LINK, f"i.b {SONG}", 2, 3, True),
    ],
    "a minted id changes": [
        (Verb.ADD, SONG, 0, 1, None),
        (Verb.FIND_TWIN, SONG, 2, 3, "i.new"),
        (Verb.FIND_TWIN, SONG, 4, 5, "i.newer"),
    ],
    "a dead id lives again": [(UNLINK, UPLOAD, 0, 1, True)],
    "an added song is not there": [(Verb.ADD, SONG, 0, 1, None), (Verb.FIND_TWIN, SONG, 2, 3, None)],
    "an upload has a twin": [(PUT, UPLOAD, 0, 1, True, 1), (Verb.FIND_ITEM, UPLOAD, 2, 3, SONG)],
}


@pytest.mark.parametrize("rows", EXPLAINED.values(), ids=EXPLAINED)
def test_a_history_that_some_order_explains_is_accepted(rows):
    check(history(*rows))


@pytest.mark.parametrize("rows", UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_a_history_that_no_order_explains_is_rejected(rows):
    with pytest.raises(Unexplained, match="no order explains"):
        check(history(*rows))


IDS = [SONG, OTHER_SONG, UPLOAD, "i.b"]


def drawn(chance: random.Random) -> list[Operation]:
    """Draw a history that is right by the way it is made: each operation takes effect at a moment within its bounds."""
    state = State()
    operations = []
    for number in range(40):
        verb = chance.choice(list(Verb))
        song, upload = chance.choice(IDS[:2]), chance.choice(IDS[2:])
        ids = {LINK: (upload, song), Verb.ADD: (song,), Verb.FIND_TWIN: (song,)}.get(verb)
        if ids is None:
            ids = (upload,) if verb in {UNLINK, Verb.FIND_ITEM} else (chance.choice(IDS),)
        begun, returned = number - chance.random() * 3, number + chance.random() * 3
        asked = Operation(number, verb, ids, begun, returned, None, chance.choice([1, -1]))
        answer, after = chance.choice([*outcomes(state, asked)])
        if isinstance(answer, Fresh):
            continue  # what it is called, nobody can be told
        state = after
        is_told = chance.random() < 0.9
        operations.append(Operation(number, verb, ids, begun, returned, answer if is_told else UNANSWERED, asked.value))
    return operations


@pytest.mark.parametrize("seed", range(40))
def test_whatever_some_order_made_is_accepted(seed):
    check(drawn(random.Random(seed)))


def test_a_rating_that_is_lost_is_told_with_what_led_to_it():
    with pytest.raises(Unexplained) as refusal:
        check(history(*UNEXPLAINED["a stale read"]))

    assert str(refusal.value).splitlines()[:1] == [
        "no order explains: #2 [4.0000 … 5.0000] get 1000: told (('1000', 1),)"
    ]
    assert "#1 [2.0000 … 3.0000] put 1000 = -1: told True" in str(refusal.value)
    assert str(Rated(-1, 2, 3)) in str(refusal.value)
