"""Apple's documents, in and out, and the table that turns an error into an answer.

The only room that knows what Apple's JSON looks like. Documents are compact, with members in Apple's order.
"""

import base64
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import ceil, inf
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Struct, UnsetType

from likewise import errors
from likewise.domain import Item, ItemName, LibraryItem, LibraryPage, Rating, Storefront, Time, Value

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


# The rating: https://developer.apple.com/documentation/applemusicapi/ratings


class _Resource(Struct):
    id: str
    type: str
    href: str


class _NameAttributes(Struct):
    name: str | UnsetType
    artistName: str | UnsetType  # noqa: N815 - Apple's spelling


class _NamedResource(_Resource):
    attributes: _NameAttributes


class _Relationship(Struct):
    data: list[_Resource]


class _RatingAttributes(Struct, gc=False):
    value: int


class _RatingRelationships(Struct):
    content: _Relationship


class _Rating(Struct, gc=False):
    id: str
    type: str
    href: str
    attributes: _RatingAttributes
    relationships: _RatingRelationships | UnsetType = UNSET


class _Data(Struct):
    data: Sequence[Struct]


_RATINGS_PATH = "/v1/me/ratings/"

_NO_NAMES: Mapping[Item, ItemName] = {}

_ATTRIBUTES = {value: _RatingAttributes(int(value)) for value in Value}


def encode_ratings(ratings: Sequence[Rating]) -> bytes:
    """Write a RatingsResponse; each rating under the id it was asked for."""
    return encode(_Data(_documents(ratings)))


def encode_ratings_with_content(
    ratings: Sequence[Rating], storefront_id: str, names: Mapping[Item, ItemName] = _NO_NAMES
) -> bytes:
    """Write a RatingsResponse for `include=content`: with the identifier of what is rated, and its name if known."""
    documents = _documents(ratings)
    for document, (item, _, _) in zip(documents, ratings, strict=True):
        content = identifier(item, storefront_id, names.get(item))
        document.relationships = _RatingRelationships(_Relationship([content]))
    return encode(_Data(documents))


def _documents(ratings: Sequence[Rating]) -> list[_Rating]:
    # All in one place, for a call for each costs half as much again.
    return [
        _Rating(id, "ratings", f"{_RATINGS_PATH}{kind.type}/{id}", _ATTRIBUTES[value])
        for (kind, id), value, _ in ratings
    ]


def rating_href(item: Item) -> str:
    return f"{_RATINGS_PATH}{item.kind.type}/{item.id}"


def identifier(item: Item, storefront_id: str, name: ItemName | None = None) -> _Resource:
    """Make the identifier of an item, fit to be encoded, with what is known of its name."""
    kind, id = item
    href = _library_href(item) if kind.is_library else f"/v1/catalog/{storefront_id}/{kind.type}/{id}"
    if name is None or not (name.title or name.artist):
        return _Resource(id, kind.type, href)
    return _NamedResource(id, kind.type, href, _NameAttributes(name.title or UNSET, name.artist or UNSET))


def _library_href(item: Item) -> str:
    return f"/v1/me/library/{item.kind.type.removeprefix('library-')}/{item.id}"


_VALUE_POINTER = "/attributes/value"
_VALUE_TEXT = "The value of a rating is the integer 1 (like) or -1 (dislike)"

VALUES: Mapping[int, Value] = {int(value): value for value in Value}


def decode_rating_request(body: bytes) -> Value:
    """Read a RatingRequest, whatever its Content-Type; raise `BadBody` pointing at the fault.

    `type` is `rating` (Apple's samples), `ratings` (Apple's schema) or absent. Of a repeated member the last counts.
    """
    request = decode_any_object(body)
    if request.get("type", "rating") not in ("rating", "ratings"):  # a tuple, for a list has no hash
        raise errors.BadBody("/type", "The type of a rating request is 'rating'")
    attributes = request.get("attributes")
    if not isinstance(attributes, dict):
        raise errors.BadBody("/attributes", "The attributes of a rating request are an object with a value")
    value = attributes.get("value")
    # 1.0 and true equal 1 in Python, but are no integers in JSON.
    if type(value) is not int or value not in VALUES:
        raise errors.BadBody(_VALUE_POINTER, _VALUE_TEXT)
    return VALUES[value]


def decode_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object; raise `BadBody`."""
    try:
        # The parser passes over bad UTF-8 in members that it skips, so we decode first.
        document = _decode(body.decode())
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise errors.BadBody(None, "The body is no JSON document in UTF-8") from error
    if not isinstance(document, dict):
        raise errors.BadBody(None, "The body is no JSON object")
    return document


def decode_any_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object, with numbers and escapes too that `decode_object` does not take; raise `BadBody`.

    For who writes nothing of it anywhere: a text may hold half a surrogate pair, and a number may be infinite.
    """
    try:
        return decode_object(body)
    except errors.BadBody:
        document = _decode_slowly(body)
        if document is None:
            raise
        return document


def _decode_slowly(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body.decode(), parse_int=_number_of, parse_float=_number_of, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


_NUMBER_CHARACTERS_MAX = 300


def _number_of(text: str) -> int | float:
    if len(text) > _NUMBER_CHARACTERS_MAX:
        return inf  # no rating's value, and nothing that anybody would ask for
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are no JSON


# The library: https://developer.apple.com/documentation/applemusicapi/librarysongs


class _PlayParams(Struct):
    id: str
    kind: str
    isLibrary: bool  # noqa: N815 - Apple's spelling
    catalogId: str | UnsetType = UNSET  # noqa: N815 - Apple's spelling


class _LibraryAttributes(Struct):
    playParams: _PlayParams  # noqa: N815 - Apple's spelling
    dateAdded: str  # noqa: N815 - Apple's spelling


class _LibraryResource(Struct):
    id: str
    type: str
    href: str
    attributes: _LibraryAttributes


class _Meta(Struct):
    total: int


class _Page(Struct):
    next: str | UnsetType
    data: Sequence[Struct]
    meta: _Meta | UnsetType = UNSET


def encode_library_items(items: Iterable[LibraryItem]) -> bytes:
    return encode(_Data([_library_resource(item) for item in items]))


def encode_library_page(page: LibraryPage, next_href: str | None) -> bytes:
    documents = [_library_resource(item) for item in page.items]
    return encode(_Page(next_href or UNSET, documents, _Meta(page.total)))


def encode_resource(item: Item, storefront_id: str) -> bytes:
    """Write a document of one bare identifier, as `…/catalog` answers it."""
    return encode(_Data([identifier(item, storefront_id)]))


def _library_resource(item: LibraryItem) -> _LibraryResource:
    (kind, id), twin, added = item
    play_params = _PlayParams(id, kind.singular, isLibrary=True, catalogId=twin.id if twin else UNSET)
    return _LibraryResource(id, kind.type, _library_href(item.item), _LibraryAttributes(play_params, apple_time(added)))


def apple_time(time: Time) -> str:
    """Write a time as Apple does: UTC, whole seconds, `2016-07-20T04:01:33Z`."""
    return datetime.fromtimestamp(time // 1000, UTC).isoformat().removesuffix("+00:00") + "Z"


def next_href(path: str, *, limit: int | None, offset: int, language_tag: str | None) -> str:
    """Write the path of the page that follows, with what the client had asked for; `path` is ours, not the client's."""
    href = f"{path}?offset={offset}"
    if limit is not None:
        href += f"&limit={limit}"
    if language_tag:
        href += f"&l={quote(language_tag)}"
    return href


# Storefronts: https://developer.apple.com/documentation/applemusicapi/storefronts-uc5


class _StorefrontAttributes(Struct):
    name: str
    defaultLanguageTag: str  # noqa: N815 - Apple's spelling
    supportedLanguageTags: Sequence[str]  # noqa: N815 - Apple's spelling
    explicitContentPolicy: str  # noqa: N815 - Apple's spelling


class _Storefront(Struct):
    id: str
    type: str
    href: str
    attributes: _StorefrontAttributes


def encode_storefronts(storefronts: Iterable[Storefront]) -> bytes:
    return encode(_Data([_storefront(storefront) for storefront in storefronts]))


def encode_storefront_page(storefronts: Iterable[Storefront], next_href: str | None) -> bytes:
    return encode(_Page(next_href or UNSET, [_storefront(storefront) for storefront in storefronts]))


def _storefront(storefront: Storefront) -> _Storefront:
    id, name, default_tag, supported_tags, policy = storefront
    attributes = _StorefrontAttributes(name, default_tag, supported_tags, policy)
    return _Storefront(id, "storefronts", f"/v1/storefronts/{id}", attributes)


# Errors: https://developer.apple.com/documentation/applemusicapi/errorsresponse


class _Source(Struct, omit_defaults=True):
    parameter: str | None = None
    pointer: str | None = None


class _Error(Struct):
    id: str
    title: str
    detail: str | UnsetType
    status: str
    code: str
    source: _Source | UnsetType


class _Errors(Struct):
    errors: list[Struct]


class Problem(NamedTuple):
    """How a class of errors looks on the wire. `detail` replaces the error's own text where that is not for clients."""

    status: int
    code: str
    title: str
    detail: str | None = None


PROBLEMS: dict[type[Exception], Problem] = {
    errors.BadParameter: Problem(400, "40005", "Invalid Parameter Value"),
    errors.BadBody: Problem(400, "40007", "Invalid Request Body"),
    errors.BadFile: Problem(400, "40007", "Invalid Request Body"),
    errors.BadKey: Problem(400, "40007", "Invalid Request Body"),
    errors.BadName: Problem(400, "40007", "Invalid Request Body"),
    errors.BadPathValue: Problem(400, "40008", "Invalid Path Value"),
    errors.BadAdminToken: Problem(401, "40100", "Unauthorized", "Invalid authentication"),
    errors.BadUserToken: Problem(403, "40300", "Forbidden", "Invalid authentication"),
    errors.NotFound: Problem(404, "40400", "Resource Not Found"),
    errors.NoSuchThing: Problem(404, "40400", "Resource Not Found"),
    errors.PathNotFound: Problem(404, "40401", "Path Not Found"),
    errors.NoRelatedResources: Problem(404, "40403", "No related resources"),
    errors.MethodNotAllowed: Problem(405, "40500", "Method Not Allowed"),
    errors.BodyTooSlow: Problem(408, "40800", "Request Timeout"),
    errors.AlreadyExists: Problem(409, "40900", "Conflict"),
    errors.NotEmpty: Problem(409, "40900", "Conflict"),
    errors.LinkRefused: Problem(409, "40900", "Conflict"),
    errors.CursorGone: Problem(410, "41000", "Gone"),
    errors.BodyTooLarge: Problem(413, "41300", "Request Entity Too Large"),
    errors.UrlTooLong: Problem(414, "41400", "Request-URI Too Long"),
    errors.TooManyRequests: Problem(429, "42900", "Too Many Requests", ""),
    # Whatever we did not foresee; the cause is for the log.
    Exception: Problem(500, "50000", "Internal Server Error", ""),
    # The database's own words may name hosts and files.
    errors.StoreUnavailable: Problem(503, "50300", "Service Unavailable", "The ratings are unavailable for the moment"),
}
"""What each error becomes, by its class or the nearest class above it. `BadDeveloperToken` alone has no document."""

_RETRY_AFTER = (b"retry-after", b"1")
_BEARER = (b"www-authenticate", b"Bearer")
_JSON = (b"content-type", b"application/json;charset=utf-8")
_NO_STORE = (b"cache-control", b"no-store")


class Answer(NamedTuple):
    """An error as it goes out: status, body and the headers that only it has."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]]


def answer_to(error: Exception) -> Answer:
    """Render an error as Apple would: the table above, or an empty 401 for the developer token."""
    if isinstance(error, errors.BadDeveloperToken):
        return Answer(401, b"", [(b"content-type", b"application/json; charset=utf-8")])
    problem = _problem_of(error)
    headers = [_JSON, _NO_STORE]
    match error:
        case errors.MethodNotAllowed(allowed=allowed):
            headers.append((b"allow", ", ".join(allowed).encode()))
        case errors.BadAdminToken():
            headers.append(_BEARER)
        case errors.TooManyRequests(retry_after=float() | int() as seconds):
            headers.append((b"retry-after", b"%d" % ceil(seconds)))
        case errors.StoreUnavailable():
            headers.append(_RETRY_AFTER)
    return Answer(problem.status, encode(_Errors([error_object(error)])), headers)


def error_object(error: Exception) -> Struct:
    """Make Apple's error object of an error, fit to be encoded: one of `errors` in an error document."""
    problem = _problem_of(error)
    detail = str(error) if problem.detail is None else problem.detail
    return _Error(_error_id(), problem.title, detail or UNSET, str(problem.status), problem.code, _source_of(error))


def _problem_of(error: Exception) -> Problem:
    return next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)


def _source_of(error: Exception) -> _Source | UnsetType:
    match error:
        case errors.BadParameter(parameter=parameter):
            return _Source(parameter=parameter)
        case errors.BadBody(pointer=str(pointer)):
            return _Source(pointer=pointer)
        case errors.BadName(about=str(about)) if about:
            return _Source(pointer=f"/{about}")
        case _:
            return UNSET


def _error_id() -> str:
    """Make 26 characters of `A-Z2-7`: 16 random bytes in base32 (RFC 4648) without padding."""
    return base64.b32encode(os.urandom(16))[:26].decode()
