"""The operator's API: listeners, their tokens and libraries, developer keys."""

from likewise.api.description.documents import LIBRARY_TYPES, LINK_PLACE
from likewise.api.description.parts import (
    PERSONAL,
    Operation,
    Part,
    Who,
    answer,
    document,
    in_path,
    in_query,
    json_body,
    lines,
    one_of,
    schema,
    text,
    whole,
)
from likewise.api.operators.libraries import BULK_BYTES_MAX, BULK_LINES_MAX
from likewise.api.parameters import PAGE_MAX
from likewise.domain import APPLE_ID, LISTENER_NAME
from likewise.errors import AlreadyExists, BadParameter, BadPathValue, NotFound

_LISTENERS = "/_likewise/listeners"
_LISTENER = f"{_LISTENERS}/{{name}}"
_KEYS = "/_likewise/keys"

_NAME = in_path("name", text("[^/]+"), "the listener's name", example="ada")
_LIMIT = in_query("limit", whole(1, PAGE_MAX), f"The most items on the page, {PAGE_MAX} without it.")
_DELETED = answer("It is gone.", PERSONAL)
_REVOKED = answer("It is revoked, for ever; again is 204 again.", PERSONAL)
_LINK = {"type": "songs", "library_id": "i.7PJNkmbT0a1xE2", "catalog_id": "907242702"}


def _after(pattern: str) -> Part:
    return in_query("after", text(pattern), "The last item that was seen, as `next` has it.")


def _found(name: str) -> dict[int, Part]:
    return {200: document("Here it is.", schema(name), PERSONAL)}


def _made(name: str) -> dict[int, Part]:
    return {201: document("It is made.", schema(name), PERSONAL)}


def _links_body() -> Part:
    body = json_body(
        schema("NewLink"),
        f"One link or, as `application/x-ndjson`, one a line: up to {BULK_LINES_MAX} lines and {BULK_BYTES_MAX} bytes.",
        _LINK,
    )
    lines_of_links = {
        "schema": {},
        "example": '{"type":"albums","library_id":"l.1","catalog_id":"1"}\n',
    }
    return {**body, "content": body["content"] | {"application/x-ndjson": lines_of_links}}


OPERATIONS: dict[tuple[str, str], Operation] = {
    (_LISTENERS, "GET"): Operation(
        "getListeners",
        "List listeners, by name",
        Who.OPERATOR,
        _found("ListenerPage"),
        (BadParameter,),
        (_after(f"(?:{LISTENER_NAME})?"), _LIMIT),
    ),
    (_LISTENERS, "POST"): Operation(
        "addListener",
        "Create a listener",
        Who.OPERATOR,
        _made("Listeners"),
        (AlreadyExists,),
        body=json_body(schema("NewListener"), "Who it is to be.", {"name": "ada", "storefront": "us"}),
    ),
    (_LISTENER, "GET"): Operation(
        "getListener", "Get one listener", Who.OPERATOR, _found("Listeners"), (NotFound,), (_NAME,)
    ),
    (_LISTENER, "DELETE"): Operation(
        "removeListener",
        "Erase a listener",
        Who.OPERATOR,
        {204: _DELETED},
        (NotFound,),
        (_NAME,),
        says="With ratings, library and tokens. It cannot be undone.",
    ),
    (f"{_LISTENER}/ratings", "GET"): Operation(
        "getRatingsOfListener",
        "Get all ratings of a listener, as lines",
        Who.OPERATOR,
        {
            200: lines(
                "One rating a line, by type and id. A connection that breaks in the middle means that this is not all.",
                PERSONAL,
                example='{"type":"songs","id":"907242702","value":1,"time":"2026-11-22T16:46:39.042Z"}\n',
            )
        },
        (NotFound,),
        (_NAME,),
    ),
    (f"{_LISTENER}/tokens", "GET"): Operation(
        "getUserTokens",
        "List the music user tokens of a listener, oldest first",
        Who.OPERATOR,
        _found("UserTokenPage"),
        (BadParameter, NotFound),
        (_NAME, _after(".*"), _LIMIT),
    ),
    (f"{_LISTENER}/tokens", "POST"): Operation(
        "issueUserToken",
        "Issue a music user token",
        Who.OPERATOR,
        _made("IssuedUserTokens"),
        (NotFound,),
        (_NAME,),
        json_body(schema("NewUserToken"), "For which team.", {"team_id": "DEF123GHIJ"}),
    ),
    (f"{_LISTENER}/tokens/{{id}}", "DELETE"): Operation(
        "revokeUserToken",
        "Revoke a music user token",
        Who.OPERATOR,
        {204: _REVOKED},
        (NotFound,),
        (_NAME, in_path("id", text("[^/]+"), "the token's id, not its text")),
    ),
    (f"{_LISTENER}/links", "GET"): Operation(
        "getLinks",
        "List the library of a listener, by type and library id",
        Who.OPERATOR,
        _found("LinkPage"),
        (BadParameter, NotFound),
        (_NAME, _after(f"(?:{LINK_PLACE})?"), _LIMIT),
    ),
    (f"{_LISTENER}/links", "POST"): Operation(
        "link",
        "Link library ids to catalog items",
        Who.OPERATOR,
        {
            **_made("MadeLinks"),
            200: lines("Of lines: what came of each.", PERSONAL, example='{"line":1,"status":"linked"}\n'),
        },
        (AlreadyExists, NotFound),
        (_NAME,),
        _links_body(),
        "The newer of their ratings stays. Linking the same again changes nothing.",
    ),
    (f"{_LISTENER}/links/{{type}}/{{id}}", "DELETE"): Operation(
        "unlink",
        "Remove an item from a library",
        Who.OPERATOR,
        {204: _DELETED},
        (BadPathValue, NotFound),
        (
            _NAME,
            in_path("type", one_of(*LIBRARY_TYPES), "what it is", example="songs"),
            in_path("id", text("[^/]+"), "its id in the library", example=_LINK["library_id"]),
        ),
    ),
    (_KEYS, "GET"): Operation(
        "getKeys",
        "List developer keys, oldest first",
        Who.OPERATOR,
        _found("KeyPage"),
        (BadParameter,),
        (_after(f"(?:{APPLE_ID})?"), _LIMIT),
    ),
    (_KEYS, "POST"): Operation(
        "registerKey",
        "Register a developer key",
        Who.OPERATOR,
        _made("Keys"),
        (AlreadyExists,),
        body=json_body(
            schema("NewKey"),
            "The public half of a P-256 key, with the ids it goes by.",
            {
                "key_id": "ABC123DEFG",
                "team_id": "DEF123GHIJ",
                "jwk": {
                    "kty": "EC",
                    "crv": "P-256",
                    "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
                    "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
                },
            },
        ),
    ),
    (f"{_KEYS}/{{id}}", "DELETE"): Operation(
        "revokeKey",
        "Revoke a developer key",
        Who.OPERATOR,
        {204: _REVOKED},
        (NotFound,),
        (in_path("id", text("[^/]+"), "the key's id", example="ABC123DEFG"),),
    ),
}
