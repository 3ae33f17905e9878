"""Every refusal and failure as clients see it, and which of several refusals comes first."""

import logging
from typing import Any, NamedTuple

import httpx2
import pytest

from likewise import errors
from likewise.app import App
from likewise.config import Settings
from likewise.wire import PROBLEMS, answer_to
from tests.house import (
    DISLIKE_BODY,
    FORBIDDEN,
    LIKE_BODY,
    NOT_RATED,
    PATH_NOT_FOUND,
    House,
    ask,
    error_of,
    is_empty_401,
    raw_headers,
)

SONG_PATH = "/v1/me/ratings/songs/907242702"
INTERNAL_ERROR = {"title": "Internal Server Error", "status": "500", "code": "50000"}
UNAVAILABLE = {
    "title": "Service Unavailable",
    "detail": "The ratings are unavailable for the moment",
    "status": "503",
    "code": "50300",
}
METHOD_NOT_ALLOWED = {"title": "Method Not Allowed", "status": "405", "code": "40500"}
SECRET = "postgres://likewise:hunter2@db.internal/likewise"


# The table of problems


def family_of(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(descendant for child in kind.__subclasses__() for descendant in family_of(child))]


REFUSALS = [kind for kind in family_of(errors.Refused) if kind is not errors.Refused]


@pytest.mark.parametrize("kind", [*REFUSALS, errors.StoreUnavailable], ids=lambda kind: kind.__name__)
def test_every_refusal_has_its_row_in_the_table_of_problems(kind):
    nearest = next(each for each in kind.__mro__ if each in PROBLEMS or each is errors.BadDeveloperToken)

    assert nearest is not Exception


@pytest.mark.parametrize(
    ("error", "status", "code", "title", "detail"),
    [
        (errors.BadParameter("x", "text"), 400, "40005", "Invalid Parameter Value", "text"),
        (errors.BadBody(None, "text"), 400, "40007", "Invalid Request Body", "text"),
        (
            errors.UnknownResourceType("song"),
            400,
            "40008",
            "Invalid Path Value",
            "Unknown resource type 'song'",
        ),
        (
            errors.UnknownLibraryResourceType("library-songs"),
            400,
            "40008",
            "Invalid Path Value",
            "Unknown library resource type 'library-songs'",
        ),
        (
            errors.RatingsNotAllowed("songs"),
            400,
            "40008",
            "Invalid Path Value",
            "Ratings not allowed for resource type 'songs'",
        ),
        (errors.BadName("text", "hint"), 400, "40007", "Invalid Request Body", "text"),
        (errors.BadKey("text", "hint"), 400, "40007", "Invalid Request Body", "text"),
        (errors.BadAdminToken("a reason for the log"), 401, "40100", "Unauthorized", "Invalid authentication"),
        (errors.BadUserToken("a reason for the log"), 403, "40300", "Forbidden", "Invalid authentication"),
        (errors.NotRated(), 404, "40400", "Resource Not Found", "Resource with requested id was not found"),
        (errors.ResourceNotFound(), 404, "40400", "Resource Not Found", "Resource with requested id was not found"),
        (errors.PathNotFound(), 404, "40401", "Path Not Found", None),
        (
            errors.NoRelatedResources("catalog"),
            404,
            "40403",
            "No related resources",
            "No related resources found for catalog",
        ),
        (errors.MethodNotAllowed(["GET"]), 405, "40500", "Method Not Allowed", None),
        (errors.NoSuchThing("text", "hint"), 404, "40400", "Resource Not Found", "text"),
        (errors.AlreadyExists("text", "hint"), 409, "40900", "Conflict", "text"),
        (errors.LinkRefused("text", "hint"), 409, "40900", "Conflict", "text"),
        (errors.BodyTooSlow(10.0), 408, "40800", "Request Timeout", "The body must arrive within 10 seconds"),
        (errors.BodyTooLarge(5), 413, "41300", "Request Entity Too Large", "The body may have 5 bytes"),
        (errors.UrlTooLong(5), 414, "41400", "Request-URI Too Long", "The path and query of a URL may have 5 bytes"),
        (ValueError(SECRET), 500, "50000", "Internal Server Error", None),
        (errors.LikewiseError(SECRET), 500, "50000", "Internal Server Error", None),
        (errors.StoreUnusable(SECRET, SECRET), 500, "50000", "Internal Server Error", None),
        (
            errors.StoreUnavailable(SECRET, SECRET),
            503,
            "50300",
            "Service Unavailable",
            "The ratings are unavailable for the moment",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_becomes_apples_document(error, status, code, title, detail):
    answer = answer_to(error)

    document = error_of(
        httpx2.Response(
            answer.status, headers=[*answer.headers, (b"access-control-allow-origin", b"*")], content=answer.body
        )
    )
    del document["status"]
    source = document.pop("source", None)
    assert answer.status == status
    assert document == {"title": title, "code": code} | ({"detail": detail} if detail else {})
    assert source == ({"parameter": "x"} if status == 400 and code == "40005" else None)


async def test_each_occurrence_of_an_error_has_its_own_id(client):
    ids = {(await client.get(SONG_PATH)).json()["errors"][0]["id"] for _ in range(20)}

    assert len(ids) == 20


# 404: paths


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"",
        b"*",
        b"//",
        b"/v1",
        b"/v1/",
        b"/v2/test",
        b"/V1/test",
        b"/v1/me",
        b"/v1/me/",
        b"/v1/me/rating/songs/1",
        b"/v1/me/Ratings/songs/1",
        b"/v1/me/ratings/songs/1/2",
        b"/v1/me/ratings/songs/1//",
        b"//v1/me/ratings/songs/1",
        b"/v1//me/ratings/songs/1",
        b"/v1/me/favorites/songs",
        b"/v1/me/library/songs/i.a/catalog/1",
        b"/v1/me/library/songs/i.a/artists",
        b"/v1/catalog",
        b"/v1/catalog/us/songs/1",
        b"/v1/catalog/us/songs/1/albums",
        b"/v1/me/storefront/us",
        b"/v1/storefronts/us/songs",
        b"/v1/test/1",
        b"/v1/me/ratings/songs/1;x=1/y",
        b"/health",
        b"/%00",
        b"/\xff",
        b"/v1/me/../test",
        b"/v1/./test",
    ],
)
async def test_an_unknown_path_is_404_to_every_method_and_to_strangers_too(house, path):
    for method in ("GET", "PUT", "POST", "DELETE", "OPTIONS"):
        response = await ask(house.app, method, path)

        assert response.status_code == 404
        assert error_of(response) == PATH_NOT_FOUND


@pytest.mark.parametrize("query", ["", "?ids[songs]=1", "?ids=1"])
async def test_favorites_cannot_be_read_as_if_there_were_no_such_path(client, query):
    response = await client.get(f"/v1/me/favorites{query}")

    assert response.status_code == 404
    assert error_of(response) == PATH_NOT_FOUND


# 405: methods

ALLOWED = {
    "/v1/me/ratings/songs/1": "GET, HEAD, PUT, DELETE, OPTIONS",
    "/v1/me/ratings/songs": "GET, HEAD, OPTIONS",
    "/v1/me/ratings/songs/": "GET, HEAD, OPTIONS",
    "/v1/me/favorites": "POST, DELETE, OPTIONS",
    "/v1/me/library": "GET, HEAD, POST, OPTIONS",
    "/v1/me/library/songs": "GET, HEAD, OPTIONS",
    "/v1/me/library/songs/i.a": "GET, HEAD, DELETE, OPTIONS",
    "/v1/me/library/songs/i.a/catalog": "GET, HEAD, OPTIONS",
    "/v1/catalog/us/songs/1/library": "GET, HEAD, OPTIONS",
    "/v1/me/storefront": "GET, HEAD, OPTIONS",
    "/v1/storefronts": "GET, HEAD, OPTIONS",
    "/v1/storefronts/us": "GET, HEAD, OPTIONS",
    "/v1/test": "GET, HEAD, OPTIONS",
}
METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "TRACE", "CONNECT", "get", "put", "LIKE", ""]


@pytest.mark.parametrize(("path", "allow"), ALLOWED.items(), ids=ALLOWED)
async def test_a_method_that_a_path_does_not_have_is_405_and_the_others_are_named(house, path, allow):
    # To GET and HEAD, `/v1/me/favorites` is no path at all.
    refused = set(METHODS) - set(allow.split(", ")) - ({"GET", "HEAD"} if path.endswith("favorites") else set())
    for method in refused:
        response = await ask(house.app, method, path.encode())

        assert response.status_code == 405
        assert response.headers["allow"] == allow
        assert method == "HEAD" or error_of(response) == METHOD_NOT_ALLOWED


@pytest.mark.parametrize("path", ALLOWED)
async def test_every_path_answers_options_without_a_token(house, path):
    response = await ask(house.app, "OPTIONS", path.encode())

    assert response.status_code == 204


# Which refusal comes first


class Fault(NamedTuple):
    """One thing wrong with a request that is otherwise a good PUT of a rating or GET of many."""

    method: str | None = None
    path: str | None = None
    query: str = ""
    lacks: str = ""
    body: bytes | None = None


LONG_QUERY = "&x=" + "x" * 33_000


async def refusal(house: House, method: str, path: str, *faults: Fault) -> httpx2.Response:
    """Ask with all these faults at once."""
    headers = house.headers(house.ada_token)
    query, body = "x=1", LIKE_BODY
    for fault in faults:
        method = fault.method or method
        path = fault.path or path
        query += fault.query
        body = body if fault.body is None else fault.body
        headers.pop(fault.lacks, None)
    return await ask(house.app, method, f"{path}?{query}".encode(), raw_headers(headers), body)


PUT_FAULTS = {
    "414": Fault(query=LONG_QUERY),
    "40401": Fault(path="/v1/me/rating/songs/907242702"),
    "40500": Fault(method="PATCH"),
    "401": Fault(lacks="Authorization"),
    "40300": Fault(lacks="Music-User-Token"),
    "40008 type": Fault(path="/v1/me/ratings/song/907242702"),
    "40008 id": Fault(path="/v1/me/ratings/songs/i.a"),
    "40005 l": Fault(query="&l=x"),
    "41300": Fault(body=b" " * 65_537),
    "40007": Fault(body=b"{}"),
    "40400 dead id": Fault(path="/v1/me/ratings/library-songs/{dead}"),
}
GET_MANY_FAULTS = {
    "414": Fault(query=LONG_QUERY),
    "40401": Fault(path="/v1/me/rating/songs"),
    "40500": Fault(method="PUT"),
    "401": Fault(lacks="Authorization"),
    "40300": Fault(lacks="Music-User-Token"),
    "40008 type": Fault(path="/v1/me/ratings/song"),
    "40005 l": Fault(query="&l=x"),
    "40005 ids": Fault(query="&ids="),
}
CODES = {"414": "41400"}


def pairs_of(faults: dict[str, Fault]) -> list[tuple[str, str]]:
    """Return all pairs (earlier refusal, later one) of faults that one request can have both."""
    names = list(faults)
    return [
        (earlier, later)
        for place, earlier in enumerate(names)
        for later in names[place + 1 :]
        if not (faults[earlier].path and faults[later].path)
        and not (faults[earlier].body is not None and faults[later].body is not None)
    ]


def assert_is_refused_as(response: httpx2.Response, name: str) -> None:
    if name == "401":
        assert is_empty_401(response)
        return
    code, _, about = name.partition(" ")
    error = error_of(response)
    assert error["code"] == CODES.get(code, code)
    assert error.get("source", {}).get("parameter") == (about if code == "40005" else None)


async def dead_library_id(house: House) -> str:
    """Add a song to ada's library, remove it, and return the library id it had."""
    async with house.client(house.ada_token) as client:
        await client.post("/v1/me/library?ids[songs]=1")
        [item] = (await client.get("/v1/me/library/songs")).json()["data"]
        await client.delete(item["href"])
    return str(item["id"])


@pytest.mark.parametrize("name", PUT_FAULTS)
async def test_each_fault_of_a_put_alone_has_its_refusal(house, name):
    fault = PUT_FAULTS[name]
    if fault.path and "{dead}" in fault.path:
        fault = fault._replace(path=fault.path.format(dead=await dead_library_id(house)))

    response = await refusal(house, "PUT", SONG_PATH, fault)

    assert_is_refused_as(response, name)


@pytest.mark.parametrize(("earlier", "later"), pairs_of(PUT_FAULTS))
async def test_of_two_faults_of_a_put_the_earlier_is_answered(house, earlier, later):
    faults = [PUT_FAULTS[earlier], PUT_FAULTS[later]]
    if "dead" in later:
        faults[1] = Fault(path=f"/v1/me/ratings/library-songs/{await dead_library_id(house)}")

    response = await refusal(house, "PUT", SONG_PATH, *faults)

    assert_is_refused_as(response, earlier)


@pytest.mark.parametrize("name", GET_MANY_FAULTS)
async def test_each_fault_of_a_get_of_many_alone_has_its_refusal(house, name):
    response = await refusal(house, "GET", "/v1/me/ratings/songs", Fault(query="&ids=1"), GET_MANY_FAULTS[name])

    # The parameter repeated is one list, so an empty `ids` is a fault only where there is no other.
    if name == "40005 ids":
        response = await refusal(house, "GET", "/v1/me/ratings/songs", GET_MANY_FAULTS[name])
    assert_is_refused_as(response, name)


@pytest.mark.parametrize(("earlier", "later"), pairs_of(GET_MANY_FAULTS))
async def test_of_two_faults_of_a_get_of_many_the_earlier_is_answered(house, earlier, later):
    response = await refusal(house, "GET", "/v1/me/ratings/songs", GET_MANY_FAULTS[earlier], GET_MANY_FAULTS[later])

    assert_is_refused_as(response, earlier)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_malformed_language_is_refused_before_the_lack_of_a_rating(house, method):
    response = await refusal(house, method, SONG_PATH, PUT_FAULTS["40005 l"])

    assert_is_refused_as(response, "40005 l")


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/v1/me/library/library-songs?l=x&limit=0", "40008"),
        ("/v1/me/library/songs?l=x&limit=0", "40005 l"),
        ("/v1/me/library/songs?l=x&ids=", "40005 l"),
        ("/v1/me/library/songs?offset=x&limit=0&ids=", "40005 ids"),
        ("/v1/me/library/songs?ids=i.a&limit=0", "40005 limit"),
        ("/v1/me/library/songs?limit=0&offset=x", "40005 limit"),
        ("/v1/me/library/songs?offset=x", "40005 offset"),
        ("/v1/me/library?l=x", "40005 l"),
        ("/v1/me/library", "40005 ids"),
        ("/v1/me/library/songs/i.a?l=x", "40005 l"),
        ("/v1/me/library/songs/i.a/catalog?l=x", "40005 l"),
        ("/v1/me/library/songs/i.a/catalog", "40403"),
        ("/v1/catalog/zz/song/1/library?l=x", "40008"),
        ("/v1/catalog/zz/songs/1/library?l=x", "40005 l"),
        ("/v1/catalog/zz/songs/1/library", "40400"),
        ("/v1/catalog/us/songs/1/library", "40403"),
        ("/v1/storefronts?l=x&limit=0", "40005 l"),
        ("/v1/storefronts?l=x&ids=", "40005 l"),
        ("/v1/storefronts?offset=x&limit=0&ids=", "40005 ids"),
        ("/v1/storefronts?ids=us&limit=0", "40005 limit"),
        ("/v1/storefronts?limit=0&offset=x", "40005 limit"),
        ("/v1/storefronts/zz?l=x", "40005 l"),
        ("/v1/storefronts/zz", "40400"),
    ],
)
async def test_the_neighbours_refuse_in_the_same_order(client, target, name):
    assert_is_refused_as(await client.get(target), name)


async def test_the_body_is_read_only_after_the_gate(house):
    async def receive() -> Any:
        raise AssertionError("the body was read")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    for lacks, status in (("Authorization", 401), ("Music-User-Token", 403)):
        headers = house.headers(house.ada_token)
        del headers[lacks]
        scope = {
            "type": "http",
            "method": "PUT",
            "raw_path": SONG_PATH.encode(),
            "query_string": b"",
            "headers": raw_headers(headers),
        }

        await house.app(scope, receive, send)

        assert sent[0]["status"] == status
        sent.clear()


# 500 and 503


def broken_by(error: Exception) -> Any:
    async def broken(*_arguments: Any, **_more: Any) -> Any:
        raise error

    return broken


async def test_an_unexpected_failure_is_answered_500_without_its_cause_and_logged_with_it(
    house, client, monkeypatch, caplog
):
    monkeypatch.setattr(house.app.store, "get", broken_by(RuntimeError(SECRET)))

    with caplog.at_level(logging.INFO, logger="likewise"):
        response = await client.get(SONG_PATH)

    assert response.status_code == 500
    assert error_of(response) == INTERNAL_ERROR
    assert "hunter2" not in response.text
    [record] = caplog.records
    assert (record.name, record.levelno) == ("likewise", logging.ERROR)
    assert record.exc_info is not None
    assert SECRET in str(record.exc_info[1])


@pytest.mark.parametrize(
    ("method", "call"), [("GET", "get"), ("PUT", "write"), ("DELETE", "write")], ids=["get", "put", "delete"]
)
async def test_a_store_that_does_not_answer_is_503_with_retry_after(house, client, monkeypatch, caplog, method, call):
    await client.put(SONG_PATH, content=DISLIKE_BODY)
    with monkeypatch.context() as broken:
        broken.setattr(house.app.store, call, broken_by(errors.StoreUnavailable(SECRET, "a hint")))

        with caplog.at_level(logging.INFO, logger="likewise"):
            response = await client.request(method, SONG_PATH, content=LIKE_BODY)

    assert response.status_code == 503
    assert error_of(response) == UNAVAILABLE
    assert int(response.headers["retry-after"]) > 0
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert (await client.get(SONG_PATH)).json()["data"][0]["attributes"] == {"value": -1}


@pytest.mark.parametrize("call", ["developer_key", "user_token"])
async def test_a_gate_that_cannot_ask_the_store_answers_503_and_admits_nobody(house, client, monkeypatch, call):
    monkeypatch.setattr(house.app.store, call, broken_by(errors.StoreUnavailable(SECRET)))

    response = await client.get(SONG_PATH)

    assert error_of(response) == UNAVAILABLE


async def test_an_application_that_is_not_open_answers_503(house, client):
    closed = App(Settings(database=house.app._settings.database))

    response = await ask(closed, "GET", SONG_PATH.encode(), raw_headers(client.headers))

    assert error_of(response) == UNAVAILABLE
    with pytest.raises(RuntimeError, match="not open"):
        _ = closed.store


async def test_a_refusal_at_the_gate_is_logged_without_the_token(house, caplog):
    token = house.sign({"iss": "XYZ123GHIJ"})

    with caplog.at_level(logging.INFO, logger="likewise"):
        await ask(house.app, "GET", b"/v1/test", [(b"authorization", f"Bearer {token}".encode())])

    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert token not in record.getMessage()
    assert "issuer" in record.getMessage()


async def test_what_a_client_did_wrong_is_not_logged(client, caplog):
    with caplog.at_level(logging.DEBUG, logger="likewise"):
        unrated = await client.get(SONG_PATH)
        unknown = await client.get("/v1/nothing")

    assert [error_of(unrated), error_of(unknown)] == [NOT_RATED, PATH_NOT_FOUND]
    assert [record for record in caplog.records if record.name == "likewise"] == []


async def test_a_403_says_the_same_whatever_the_reason(house):
    async with house.client(developer_token=house.sign()) as client:
        missing = await client.get(SONG_PATH)
        unknown = await client.get(SONG_PATH, headers={"Music-User-Token": "nonsense"})

    assert error_of(missing) == error_of(unknown) == FORBIDDEN


@pytest.mark.parametrize(
    "target",
    [SONG_PATH, "/v1/nothing", "/v1/me/ratings/songs", "/v1/me/ratings/song/1"],
    ids=["40400", "40401", "40005", "40008"],
)
async def test_no_error_is_to_be_kept_by_a_cache(client, target):
    response = await client.get(target)

    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-length"] == str(len(response.content))
