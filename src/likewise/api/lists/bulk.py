"""Many ratings in one body, each with an outcome of its own."""

from collections.abc import Sequence
from typing import Any

from likewise.domain import KINDS, Change, Item
from likewise.errors import BadBody, BodyTooLarge, LikewiseError, ResourceNotFound
from likewise.wire import VALUES, decode_any_object, encode, error_object, rating_href

BULK_BYTES_MAX = 1024 * 1024
BULK_RATINGS_MAX = 1_000
BULK_AT_ONCE_MAX = 64
BULK_EACH_MAX = 16
"""Bodies in bulk at once in a worker, all listeners' together and one's."""


def changes_of(body: bytes) -> list[Change | BadBody]:
    """Read `{"data":[{"type":…,"id":…,"attributes":{"value":…}},…]}`: of each entry a change, or what is wrong with it.

    Raise `BadBody` where that cannot be said, `BodyTooLarge` for over 1 000 entries.
    """
    entries = decode_any_object(body).get("data")
    if not isinstance(entries, list):
        raise BadBody("/data", "The data of many ratings is an array")
    if len(entries) > BULK_RATINGS_MAX:
        raise BodyTooLarge(BULK_RATINGS_MAX, "ratings")
    return [_change_or_fault(f"/data/{number}", entry) for number, entry in enumerate(entries)]


def _change_or_fault(pointer: str, entry: Any) -> Change | BadBody:
    try:
        return _change_of(pointer, entry)
    except BadBody as fault:
        return fault


def _change_of(pointer: str, entry: Any) -> Change:
    if not isinstance(entry, dict):
        raise BadBody(pointer, "A rating is an object with type, id and attributes")
    name, id, attributes = entry.get("type"), entry.get("id"), entry.get("attributes")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise BadBody(f"{pointer}/type", f"The type is one of {', '.join(KINDS)}")
    if not isinstance(id, str) or not kind.has_id(id):
        raise BadBody(f"{pointer}/id", f"Ratings not allowed for resource type '{kind.type}'")
    if not isinstance(attributes, dict):
        raise BadBody(f"{pointer}/attributes", "The attributes of a rating are an object with a value")
    value = attributes.get("value", "")
    # 1.0 and true equal 1 in Python, but are no integers in JSON.
    if value is not None and (type(value) is not int or value not in VALUES):
        raise BadBody(
            f"{pointer}/attributes/value", "The value is the integer 1 (like) or -1 (dislike), or null (none)"
        )
    return Change(Item(kind, id), None if value is None else VALUES[value])


def encode_outcomes(wanted: Sequence[Change | BadBody], done: Sequence[bool]) -> bytes:
    """Write what came of each entry, in their order: the rating as it was set or cleared, or `errors`."""
    outcomes = iter(done)
    return encode({"data": [_outcome(each, outcomes) for each in wanted]})


def _outcome(wanted: Change | BadBody, outcomes: Any) -> dict[str, Any]:
    if isinstance(wanted, LikewiseError):
        return {"errors": [error_object(wanted)]}
    is_done = next(outcomes)
    if wanted.value is not None and not is_done:  # a library id that is dead
        return {"errors": [error_object(ResourceNotFound())]}
    item, value = wanted.item, wanted.value
    return {"id": item.id, "type": "ratings", "href": rating_href(item), "attributes": {"value": value}}
