"""What Apple's API does not have: all of one's ratings, what changed since, many at once, all as lines."""

from likewise.api.description.apple import INCLUDE, LANGUAGE_TAG
from likewise.api.description.documents import PLACE, RATABLE_TYPES
from likewise.api.description.parts import (
    LANGUAGE,
    PERSONAL,
    Operation,
    Part,
    Who,
    document,
    in_query,
    joined,
    json_body,
    lines,
    one_of,
    schema,
    text,
    whole,
)
from likewise.api.lists import CHANGES_PAGE_DEFAULT, CHANGES_PAGE_MAX, PAGE_DEFAULT
from likewise.api.lists.bulk import BULK_BYTES_MAX, BULK_RATINGS_MAX
from likewise.api.parameters import PAGE_MAX
from likewise.domain import Value
from likewise.errors import BadParameter, CursorGone

_CURSOR_HEADERS: Part = {
    "Likewise-Cursor": {"$ref": "#/components/headers/Cursor"},
    "Access-Control-Expose-Headers": {"$ref": "#/components/headers/Exposed"},
}
_LIST_PARAMETERS = (
    LANGUAGE_TAG,
    INCLUDE,
    in_query("since", schema("Cursor"), "A cursor: answers with what changed after it, in order, instead of the list."),
    in_query(
        "limit",
        whole(1, CHANGES_PAGE_MAX),
        f"The most on the page: up to {PAGE_MAX}, {PAGE_DEFAULT} without it; with `since` up to {CHANGES_PAGE_MAX}, "
        f"{CHANGES_PAGE_DEFAULT} without it.",
    ),
    in_query("offset", text(PLACE), "Where the page begins, as `next` has it. Not with `since`."),
    joined(
        "filter[type]",
        one_of(*RATABLE_TYPES, ""),
        "Only these types. Not with `since`.",
        contains=one_of(*RATABLE_TYPES),
    ),
    in_query(
        "filter[value]",
        {"type": "integer", "enum": [int(value) for value in Value]},
        "Only likes (1), or only dislikes (-1). Not with `since`.",
    ),
)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("/v1/me/ratings", "GET"): Operation(
        "listRatings",
        "List all ratings, or what changed since",
        Who.LISTENER,
        {200: document("A page of ratings, newest first, or of changes.", schema("ListedRatings"), PERSONAL, LANGUAGE)},
        (BadParameter, CursorGone),
        _LIST_PARAMETERS,
    ),
    ("/v1/me/ratings", "POST"): Operation(
        "writeRatings",
        "Set and clear many ratings at once",
        Who.LISTENER,
        {200: document("What came of each, in their order.", schema("Outcomes"), PERSONAL, LANGUAGE)},
        (BadParameter,),
        (LANGUAGE_TAG,),
        json_body(
            schema("ManyRatings"),
            f"Up to {BULK_RATINGS_MAX} ratings and {BULK_BYTES_MAX} bytes. The good ones go down in one transaction.",
            {"data": [{"type": "songs", "id": "907242702", "attributes": {"value": 1}}]},
        ),
    ),
    ("/v1/me/ratings.ndjson", "GET"): Operation(
        "streamRatings",
        "Get all ratings as lines",
        Who.LISTENER,
        {
            200: lines(
                "One rating a line, by type and id. A connection that breaks in the middle means that this is not all.",
                PERSONAL,
                LANGUAGE,
                _CURSOR_HEADERS,
                example='{"type":"songs","id":"907242702","value":1,"time":"2026-11-22T16:46:39.042Z"}\n',
            )
        },
        (BadParameter,),
        (LANGUAGE_TAG,),
    ),
}
