"""What Apple's API has: ratings, favorites, the library, storefronts."""

from likewise.api.description.documents import ANY_ID, LIBRARY_TYPES, RATABLE_TYPES
from likewise.api.description.parts import (
    LANGUAGE,
    PERSONAL,
    Operation,
    Part,
    Who,
    answer,
    document,
    in_path,
    in_query,
    joined,
    json_body,
    one_of,
    schema,
    text,
    whole,
)
from likewise.api.parameters import OFFSET_MAX, PAGE_MAX
from likewise.domain import KINDS, LIBRARY_KINDS, TWINS
from likewise.errors import BadParameter, BadPathValue, NoRelatedResources, NotFound
from likewise.storefronts import STOREFRONTS

SONG, LIBRARY_SONG = "907242702", "i.7PJNkmbT0a1xE2"

TYPE = in_path("type", one_of(*RATABLE_TYPES), "what is rated", example="songs")
ID = in_path("id", text(ANY_ID), "its id, of its type: digits for songs, `i.…` for library-songs …", example=SONG)
LANGUAGE_TAG = in_query(
    "l",
    text(r"[\s\S]*_[\s\S]*|(?:[A-Za-z]{2}(?:-[A-Za-z0-9]{1,8})*)?"),
    "A language tag of the storefront. What it lacks is ignored; empty, or with `_` in it, it counts as absent.",
    example="en-US",
)
IDS = joined(
    "ids",
    {"type": "string"},
    "Joined by commas, or repeated. Empty pieces and duplicates are dropped. What is malformed is left out.",
    contains=text(says="What is only commas is no id.", pattern=r"[\s\S]*[^,][\s\S]*"),
    example=[SONG, "1440833098"],
)
INCLUDE = joined(
    "include", {"type": "string"}, "`content` adds what is rated; all else is ignored.", example=["content"]
)
LIMIT = in_query("limit", whole(1, PAGE_MAX), "The most items on the page.")
OFFSET = in_query("offset", whole(0, OFFSET_MAX), "How many items come before the page.")

_LIBRARY_TYPE = in_path("type", one_of(*LIBRARY_TYPES), "what it is", example="songs")
_LIBRARY_ID = in_path("id", text("[^/]+"), "its id in the library", example=LIBRARY_SONG)
_STOREFRONT = in_path("storefront", one_of(*STOREFRONTS), "the listener's; any other is 404", example="us")


def _ids_by_type(types: list[str], says: str) -> Part:
    ids = {"type": "string", "description": "ids, joined by commas"}
    members: Part = {"type": "object", "properties": dict.fromkeys(types, ids), "additionalProperties": ids}
    no_ids = {"additionalProperties": {"pattern": "^,*$"}}
    shown = {types[0]: f"{SONG},1440833098" if types[0] in KINDS and not KINDS[types[0]].is_library else LIBRARY_SONG}
    more = {"style": "deepObject", "explode": True, "required": True, "example": shown}
    return in_query("ids", {**members, "minProperties": 1, "not": no_ids}, says, **more)


_ADDABLE = _ids_by_type(
    [kind.type for kind in TWINS if not kind.is_library], "By type: `ids[songs]=1,2&ids[albums]=3`."
)
_RATABLE = _ids_by_type(RATABLE_TYPES, "By type: `ids[songs]=1,2&ids[albums]=3`. What cannot be rated is ignored.")
_IN_LIBRARY = _ids_by_type([kind.type for kind in LIBRARY_KINDS.values()], "By type: `ids[library-songs]=i.1,i.2`.")

_RATINGS = document(
    "The ratings, under the ids that were asked for.",
    schema("Ratings"),
    PERSONAL,
    LANGUAGE,
    example={
        "data": [{"id": SONG, "type": "ratings", "href": f"/v1/me/ratings/songs/{SONG}", "attributes": {"value": 1}}]
    },
)
_ACCEPTED = answer("It is done.", PERSONAL)
_DELETED = answer("It is gone.", PERSONAL)
_LIBRARY_ITEMS = document("Library items.", schema("LibraryItems"), PERSONAL, LANGUAGE)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("/v1/me/ratings/{type}/{id}", "GET"): Operation(
        "getRating",
        "Get one rating",
        Who.LISTENER,
        {200: _RATINGS},
        (BadPathValue, BadParameter, NotFound),
        (TYPE, ID, LANGUAGE_TAG, INCLUDE),
        says="Where nothing is rated the answer is 404: that is an answer, not a failure.",
    ),
    ("/v1/me/ratings/{type}/{id}", "PUT"): Operation(
        "putRating",
        "Set a rating",
        Who.LISTENER,
        {200: _RATINGS},
        (BadPathValue, BadParameter, NotFound),
        (TYPE, ID, LANGUAGE_TAG),
        json_body(
            schema("RatingRequest"),
            "Read as JSON whatever its Content-Type.",
            {"type": "rating", "attributes": {"value": 1}},
        ),
        "It replaces what was there; the same again is harmless. A library id that has been removed is 404.",
    ),
    ("/v1/me/ratings/{type}/{id}", "DELETE"): Operation(
        "deleteRating",
        "Clear a rating",
        Who.LISTENER,
        {204: _DELETED},
        (BadPathValue, BadParameter, NotFound),
        (TYPE, ID, LANGUAGE_TAG),
        says="Where nothing is rated the answer is 404.",
    ),
    ("/v1/me/ratings/{type}", "GET"): Operation(
        "getRatings",
        "Get the ratings of many items",
        Who.LISTENER,
        {200: _RATINGS},
        (BadPathValue, BadParameter),
        (TYPE, {**IDS, "required": True}, LANGUAGE_TAG, INCLUDE),
        says="In the order of `ids`. What is not rated is left out; where nothing is, `data` is empty.",
    ),
    ("/v1/me/favorites", "POST"): Operation(
        "addFavorites",
        "Like many items",
        Who.LISTENER,
        {202: _ACCEPTED},
        (BadParameter,),
        (_RATABLE, LANGUAGE_TAG),
        says="Over a dislike too.",
    ),
    ("/v1/me/favorites", "DELETE"): Operation(
        "deleteFavorites",
        "Clear the likes of many items",
        Who.LISTENER,
        {202: _ACCEPTED},
        (BadParameter,),
        (_RATABLE, LANGUAGE_TAG),
        says="Dislikes stay.",
    ),
    ("/v1/me/library", "POST"): Operation(
        "addToLibrary",
        "Add catalog items to the library",
        Who.LISTENER,
        {202: _ACCEPTED},
        (BadParameter,),
        (_ADDABLE, LANGUAGE_TAG),
        says="What is there keeps its library id. What cannot be added is ignored.",
    ),
    ("/v1/me/library", "GET"): Operation(
        "getLibraryResources",
        "Get library items of several types",
        Who.LISTENER,
        {200: _LIBRARY_ITEMS},
        (BadParameter,),
        (_IN_LIBRARY, LANGUAGE_TAG),
        says="Those that exist.",
    ),
    ("/v1/me/library/{type}", "GET"): Operation(
        "getLibraryItems",
        "Get library items: all in pages, or many by id",
        Who.LISTENER,
        {200: document("The page, or the items.", schema("LibraryPage"), PERSONAL, LANGUAGE)},
        (BadPathValue, BadParameter),
        (_LIBRARY_TYPE, {**IDS, "example": [LIBRARY_SONG]}, LANGUAGE_TAG, LIMIT, OFFSET),
        says="Newest first, 25 on a page without `limit`; with `ids` those that exist, in that order, without `meta`.",
    ),
    ("/v1/me/library/{type}/{id}", "GET"): Operation(
        "getLibraryItem",
        "Get one library item",
        Who.LISTENER,
        {200: _LIBRARY_ITEMS},
        (BadPathValue, BadParameter, NotFound),
        (_LIBRARY_TYPE, _LIBRARY_ID, LANGUAGE_TAG),
    ),
    ("/v1/me/library/{type}/{id}", "DELETE"): Operation(
        "removeFromLibrary",
        "Remove an item from the library",
        Who.LISTENER,
        {204: _DELETED},
        (BadPathValue, BadParameter, NotFound),
        (_LIBRARY_TYPE, _LIBRARY_ID, LANGUAGE_TAG),
        says="Its library id is dead for ever. The rating of its catalog item stays; an upload's goes with it.",
    ),
    ("/v1/me/library/{type}/{id}/catalog", "GET"): Operation(
        "getCatalogItem",
        "Find the catalog item of a library item",
        Who.LISTENER,
        {200: document("Its identifier.", schema("Identifiers"), PERSONAL, LANGUAGE)},
        (BadPathValue, BadParameter, NoRelatedResources),
        (_LIBRARY_TYPE, _LIBRARY_ID, LANGUAGE_TAG),
    ),
    ("/v1/catalog/{storefront}/{type}/{id}/library", "GET"): Operation(
        "getLibraryItemOfCatalogItem",
        "Find the library item of a catalog item",
        Who.LISTENER,
        {200: _LIBRARY_ITEMS},
        (BadPathValue, BadParameter, NotFound, NoRelatedResources),
        (
            _STOREFRONT,
            _LIBRARY_TYPE,
            {**_LIBRARY_ID, "description": "its id in the catalog", "example": SONG},
            LANGUAGE_TAG,
        ),
    ),
    ("/v1/me/storefront", "GET"): Operation(
        "getMyStorefront",
        "Get the listener's storefront",
        Who.LISTENER,
        {200: document("The storefront.", schema("Storefronts"), PERSONAL, LANGUAGE)},
        (BadParameter,),
        (LANGUAGE_TAG,),
    ),
    ("/v1/storefronts", "GET"): Operation(
        "getStorefronts",
        "Get storefronts: all, or many by id",
        Who.DEVELOPER,
        {200: document("The storefronts.", schema("StorefrontPage"), LANGUAGE)},
        (BadParameter,),
        ({**IDS, "example": ["us", "jp"]}, LANGUAGE_TAG, LIMIT, OFFSET),
        says="All of them on one page without `limit`; with `ids` those that exist, in that order.",
    ),
    ("/v1/storefronts/{id}", "GET"): Operation(
        "getStorefront",
        "Get one storefront",
        Who.DEVELOPER,
        {200: document("The storefront.", schema("Storefronts"), LANGUAGE)},
        (BadParameter, NotFound),
        (in_path("id", text("[^/]+"), "two letters in lower case", example="us"), LANGUAGE_TAG),
    ),
    ("/v1/test", "GET"): Operation(
        "testDeveloperToken",
        "Test a developer token",
        Who.DEVELOPER,
        {200: answer("The token is good. No body.")},
    ),
}
