"""Where a list goes on: the offset of a page, and the cursor of the changes. Opaque to clients, and no secret.

A place in a list is of no listener: whoever brings another's finds their own ratings after it. A cursor is of one
listener's era, so that another's, or one from before a move to another database, is not taken for one's own.
"""

import re

from likewise.domain import KINDS_BY_NUMBER, Item, Place
from likewise.errors import BadParameter

_PLACE = re.compile(r"(-?[0-9]{1,15})\.([1-9])\.(.{1,64})", re.DOTALL)
_CURSOR = re.compile(r"([0-9]{1,16})\.([0-9]{1,18})")


def offset_of(place: Place) -> str:
    """Write the place after which a page begins."""
    return f"{place.time}.{place.item.kind.number}.{place.item.id}"


def place_of(offset: str) -> Place:
    """Read what `offset_of` has written; raise `BadParameter`."""
    found = _PLACE.fullmatch(offset)
    if found and found[0].isascii():
        kind = KINDS_BY_NUMBER[int(found[2])]
        if kind.has_id(found[3]):
            return Place(int(found[1]), Item(kind, found[3]))
    raise BadParameter("offset", f"There is no such place in the list: {offset}")


def cursor_of(era: int, number: int) -> str:
    """Write down which change was seen last."""
    return f"{era}.{number}"


def moment_of(cursor: str) -> tuple[int, int]:
    """Read era and number of a cursor; raise `BadParameter`."""
    found = _CURSOR.fullmatch(cursor)
    if not found or not cursor.isascii():
        raise BadParameter("since", f"This is no cursor: {cursor}")
    return int(found[1]), int(found[2])
