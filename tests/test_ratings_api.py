"""Personal ratings over HTTP: the four operations on the nine types, and everything that can be wrong with them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx2
import pytest

from likewise.app import App
from likewise.config import Settings
from likewise.domain import Item, Kind, Value
from tests.house import (
    DISLIKE_BODY,
    LIKE_BODY,
    NOT_RATED,
    PATH_NOT_FOUND,
    RATABLE,
    ask,
    error_of,
    named_headers,
    raw_headers,
)

SONG_PATH = "/v1/me/ratings/songs/907242702"
MANY_SONGS = "/v1/me/ratings/songs"
BODY_BYTES_MAX = 65_536

INVALID_BODY = {"title": "Invalid Request Body", "status": "400", "code": "40007"}
BAD_VALUE = INVALID_BODY | {
    "detail": "The value of a rating is the integer 1 (like) or -1 (dislike)",
    "source": {"pointer": "/attributes/value"},
}
BAD_ATTRIBUTES = INVALID_BODY | {
    "detail": "The attributes of a rating request are an object with a value",
    "source": {"pointer": "/attributes"},
}
BAD_TYPE = INVALID_BODY | {
    "detail": "The type of a rating request is 'rating'",
    "source": {"pointer": "/type"},
}
NO_JSON = INVALID_BODY | {"detail": "The body is no JSON document in UTF-8"}
NO_OBJECT = INVALID_BODY | {"detail": "The body is no JSON object"}
NO_IDS = {
    "title": "Invalid Parameter Value",
    "detail": "No ids supplied on the request",
    "status": "400",
    "code": "40005",
    "source": {"parameter": "ids"},
}
EMPTY_IDS = NO_IDS | {"detail": "No id(s) supplied in the 'ids' query parameter"}
TOO_LARGE = {
    "title": "Request Entity Too Large",
    "detail": "The body may have 65536 bytes",
    "status": "413",
    "code": "41300",
}

every_type = pytest.mark.parametrize(("type", "id"), RATABLE.items(), ids=RATABLE)


def rating_of(type: str, id: str, value: int) -> bytes:
    return (
        f'{{"id":"{id}","type":"ratings","href":"/v1/me/ratings/{type}/{id}","attributes":{{"value":{value}}}}}'
    ).encode()


def document_of(*ratings: bytes) -> bytes:
    return b'{"data":[' + b",".join(ratings) + b"]}"


def not_allowed(type: str) -> dict[str, Any]:
    return {
        "title": "Invalid Path Value",
        "detail": f"Ratings not allowed for resource type '{type}'",
        "status": "400",
        "code": "40008",
    }


def unknown_type(type: str) -> dict[str, Any]:
    return not_allowed(type) | {"detail": f"Unknown resource type '{type}'"}


def ids_in(response: httpx2.Response) -> list[str]:
    return [rating["id"] for rating in response.json()["data"]]


async def like_songs(client: httpx2.AsyncClient, ids: Iterable[str]) -> None:
    for id in ids:
        response = await client.put(f"/v1/me/ratings/songs/{id}", content=LIKE_BODY)
        assert response.status_code == 200


# The documented sample


async def test_apples_documented_sample_is_answered_to_the_byte(client):
    body = b'{\n    "type":"rating",\n    "attributes":{\n        "value":1\n    }\n}\n'

    response = await client.put("/v1/me/ratings/songs/907242702", content=body)

    assert response.status_code == 200
    assert response.content == (
        b'{"data":[{"id":"907242702","type":"ratings","href":"/v1/me/ratings/songs/907242702",'
        b'"attributes":{"value":1}}]}'
    )


# Nine types, four operations


@every_type
@pytest.mark.parametrize(("body", "value"), [(LIKE_BODY, 1), (DISLIKE_BODY, -1)], ids=["like", "dislike"])
async def test_putting_a_rating_answers_200_with_that_rating(client, type, id, body, value):
    response = await client.put(f"/v1/me/ratings/{type}/{id}", content=body)

    assert response.status_code == 200
    assert response.content == document_of(rating_of(type, id, value))


@every_type
@pytest.mark.parametrize(("body", "value"), [(LIKE_BODY, 1), (DISLIKE_BODY, -1)], ids=["like", "dislike"])
async def test_getting_one_shows_what_was_put(client, type, id, body, value):
    await client.put(f"/v1/me/ratings/{type}/{id}", content=body)

    response = await client.get(f"/v1/me/ratings/{type}/{id}")

    assert response.status_code == 200
    assert response.content == document_of(rating_of(type, id, value))


@every_type
async def test_getting_many_shows_what_was_put(client, type, id):
    await client.put(f"/v1/me/ratings/{type}/{id}", content=DISLIKE_BODY)

    response = await client.get(f"/v1/me/ratings/{type}", params={"ids": id})

    assert response.status_code == 200
    assert response.content == document_of(rating_of(type, id, -1))


@every_type
async def test_deleting_a_rating_answers_204_and_it_is_gone(client, type, id):
    await client.put(f"/v1/me/ratings/{type}/{id}", content=LIKE_BODY)

    deleted = await client.delete(f"/v1/me/ratings/{type}/{id}")

    assert deleted.status_code == 204
    assert deleted.content == b""
    assert error_of(await client.get(f"/v1/me/ratings/{type}/{id}")) == NOT_RATED
    assert (await client.get(f"/v1/me/ratings/{type}", params={"ids": id})).content == b'{"data":[]}'


async def test_a_204_has_neither_content_length_nor_content_type(client):
    await client.put(SONG_PATH, content=LIKE_BODY)

    response = await client.delete(SONG_PATH)

    assert response.status_code == 204
    assert "content-length" not in response.headers
    assert "content-type" not in response.headers


@every_type
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_where_nothing_is_rated_there_is_nothing_to_get_or_delete(client, type, id, method):
    response = await client.request(method, f"/v1/me/ratings/{type}/{id}")

    assert response.status_code == 404
    assert error_of(response) == NOT_RATED


@every_type
async def test_getting_many_where_nothing_is_rated_is_an_empty_list(client, type, id):
    response = await client.get(f"/v1/me/ratings/{type}", params={"ids": id})

    assert response.status_code == 200
    assert response.content == b'{"data":[]}'


async def test_a_rating_is_deleted_once(client):
    await client.put(SONG_PATH, content=LIKE_BODY)
    await client.delete(SONG_PATH)

    response = await client.delete(SONG_PATH)

    assert error_of(response) == NOT_RATED


async def test_the_last_put_wins(client):
    await client.put(SONG_PATH, content=LIKE_BODY)
    await client.put(SONG_PATH, content=DISLIKE_BODY)

    response = await client.get(SONG_PATH)

    assert response.json()["data"][0]["attributes"] == {"value": -1}


async def test_the_same_put_again_is_harmless_and_moves_the_time_of_the_rating(client, house, clock):
    await client.put(SONG_PATH, content=LIKE_BODY)
    clock.advance(1_000)

    again = await client.put(SONG_PATH, content=LIKE_BODY)

    assert again.status_code == 200
    [rating] = await house.app.store.get(house.ada, [Item(Kind.SONG, "907242702")])
    assert (rating.value, rating.time) == (Value.LIKE, clock())


async def test_albums_and_songs_of_one_id_are_rated_apart(client):
    await client.put("/v1/me/ratings/songs/123456", content=LIKE_BODY)
    await client.put("/v1/me/ratings/albums/123456", content=DISLIKE_BODY)

    song = await client.get("/v1/me/ratings/songs/123456")
    album = await client.get("/v1/me/ratings/albums/123456")
    video = await client.get("/v1/me/ratings/music-videos/123456")

    assert song.json()["data"][0]["attributes"] == {"value": 1}
    assert album.json()["data"][0]["attributes"] == {"value": -1}
    assert video.status_code == 404


async def test_ids_are_case_sensitive(client):
    await client.put("/v1/me/ratings/library-songs/i.abc", content=LIKE_BODY)

    response = await client.get("/v1/me/ratings/library-songs/i.ABC")

    assert error_of(response) == NOT_RATED


# Types


@pytest.mark.parametrize(
    "type",
    [
        "artists",
        "library-artists",
        "library-stations",
        "song",
        "Songs",
        "SONGS",
        "librarysongs",
        "",
        "ratings",
        "söngs",
    ],
)
async def test_another_type_is_an_unknown_resource_type(client, type):
    for method in ("GET", "PUT", "DELETE"):
        response = await client.request(method, f"/v1/me/ratings/{type}/907242702", content=LIKE_BODY)

        assert response.status_code == 400
        assert error_of(response) == unknown_type(type)


@pytest.mark.parametrize("type", ["artists", "library-artists", "library-stations", "song", "Songs"])
async def test_getting_many_of_another_type_is_an_unknown_resource_type(client, type):
    response = await client.get(f"/v1/me/ratings/{type}?ids=907242702")

    assert response.status_code == 400
    assert error_of(response) == unknown_type(type)


# Ids


@pytest.mark.parametrize(
    ("type", "id"),
    [
        ("songs", "1"),
        ("songs", "0"),
        ("songs", "1" * 20),
        ("albums", "1" * 20),
        ("music-videos", "1" * 20),
        ("playlists", "pl.u-aZb0kyYsPVvLpeE"),
        ("playlists", "pl.c-1234567"),
        ("playlists", "pl.pm-20e9f373919da080f9b5a3c8b1e5e9f2"),
        ("playlists", "pl.replay@2024.x_y"),
        ("playlists", "pl." + "a" * 61),
        ("stations", "ra.u-0aa43b0c"),
        ("stations", "ra.hit@list-1_2.3"),
        ("stations", "ra." + "a" * 61),
        ("library-songs", "i.A"),
        ("library-songs", "i." + "a" * 62),
        ("library-albums", "l." + "a" * 62),
        ("library-music-videos", "i." + "a" * 62),
        ("library-playlists", "p." + "a" * 62),
    ],
)
async def test_a_well_formed_id_nobody_has_heard_of_can_be_rated(client, type, id):
    put = await client.put(f"/v1/me/ratings/{type}/{id}", content=LIKE_BODY)
    got = await client.get(f"/v1/me/ratings/{type}/{id}")

    assert put.status_code == 200
    assert got.content == document_of(rating_of(type, id, 1))


MALFORMED = [
    ("songs", "1" * 21),
    ("albums", "1" * 21),
    ("music-videos", "1" * 21),
    ("songs", "abc"),
    ("songs", "-1"),
    ("songs", "+1"),
    ("songs", "1.0"),
    ("songs", "12,34"),
    ("songs", "12%2C34"),
    ("songs", "%20123"),
    ("songs", "123%0A"),
    ("songs", "123%00"),
    ("songs", "%D9%A1%D9%A2%D9%A3"),  # Arabic digits are decimal, but not ours
    ("songs", "12%2F34"),
    ("playlists", "pl."),
    ("playlists", "pl"),
    ("playlists", "PL.abc"),
    ("playlists", "pl." + "a" * 62),
    ("playlists", "pl.a%2Fb"),
    ("playlists", "pl.a%20b"),
    ("playlists", "pl.a+b"),
    ("playlists", "pl.%C3%A9"),
    ("stations", "ra."),
    ("stations", "ra." + "a" * 62),
    ("library-songs", "i."),
    ("library-songs", "I.abc"),
    ("library-songs", "i.a-b"),
    ("library-songs", "i." + "a" * 63),
    ("library-albums", "l." + "a" * 63),
    ("library-music-videos", "i." + "a" * 63),
    ("library-playlists", "p." + "a" * 63),
]
WRONG_NAMESPACE = [
    ("songs", "i.7PJN4BYC1WZ8r"),
    ("songs", "pl.cb4d1c09a2df4230a78d0395fe1f8fde"),
    ("albums", "l.oVcmBZH"),
    ("music-videos", "i.7PJN4BYC1WZ8r"),
    ("playlists", "p.MoGJYM3CYXW09B"),
    ("playlists", "907242702"),
    ("stations", "pl.cb4d1c09a2df4230a78d0395fe1f8fde"),
    ("library-songs", "907242702"),
    ("library-songs", "l.oVcmBZH"),
    ("library-albums", "1440933460"),
    ("library-albums", "i.7PJN4BYC1WZ8r"),
    ("library-music-videos", "639322181"),
    ("library-playlists", "pl.cb4d1c09a2df4230a78d0395fe1f8fde"),
    ("library-playlists", "i.7PJN4BYC1WZ8r"),
]


@pytest.mark.parametrize(("type", "id"), MALFORMED + WRONG_NAMESPACE)
async def test_an_id_that_is_not_of_the_paths_type_is_refused(client, type, id):
    for method in ("GET", "PUT", "DELETE"):
        response = await client.request(method, f"/v1/me/ratings/{type}/{id}", content=LIKE_BODY)

        assert response.status_code == 400
        assert error_of(response) == not_allowed(type)


@pytest.mark.parametrize("id", [b"..", b".", b"%2E%2E", b"%2F", b"%2f", b"%FF", b"\xff", b"%", b"%zz", b"a/b"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_id_that_looks_like_a_path_reaches_no_rating(client, house, id, method):
    await client.put(SONG_PATH, content=DISLIKE_BODY)

    response = await ask(
        house.app, method, b"/v1/me/ratings/songs/907242702/" + id, raw_headers(client.headers), LIKE_BODY
    )
    sibling = await ask(house.app, method, b"/v1/me/ratings/songs/" + id, raw_headers(client.headers), LIKE_BODY)

    assert error_of(response) == PATH_NOT_FOUND
    assert sibling.status_code in {400, 404}
    assert (await client.get(SONG_PATH)).content == document_of(rating_of("songs", "907242702", -1))


async def test_an_encoded_slash_never_makes_another_path(client, house):
    await client.put(SONG_PATH, content=LIKE_BODY)

    in_type = await ask(house.app, "GET", b"/v1/me/ratings/songs%2F907242702", raw_headers(client.headers))
    in_prefix = await ask(house.app, "GET", b"/v1/me%2Fratings/songs/907242702", raw_headers(client.headers))

    assert error_of(in_type) == unknown_type("songs/907242702")
    assert error_of(in_prefix) == PATH_NOT_FOUND


async def test_a_percent_encoded_id_is_the_id_it_decodes_to(client, house):
    await client.put(SONG_PATH, content=LIKE_BODY)

    response = await ask(house.app, "GET", b"/v1/me/ratings/%73ongs/%39%3072427%30%32", raw_headers(client.headers))

    assert response.content == document_of(rating_of("songs", "907242702", 1))


# Trailing slashes, HEAD, bodies where none is needed


async def test_a_trailing_slash_is_accepted_and_never_in_the_href(client):
    put = await client.put(f"{SONG_PATH}/", content=LIKE_BODY)
    got = await client.get(f"{SONG_PATH}/")
    many = await client.get(f"{MANY_SONGS}/?ids=907242702")
    deleted = await client.delete(f"{SONG_PATH}/")

    expected = document_of(rating_of("songs", "907242702", 1))
    assert [put.content, got.content, many.content] == [expected] * 3
    assert [put.status_code, got.status_code, many.status_code, deleted.status_code] == [200, 200, 200, 204]


async def test_two_trailing_slashes_are_another_path(client):
    response = await client.get(f"{SONG_PATH}//")

    assert error_of(response) == PATH_NOT_FOUND


@pytest.mark.parametrize("path", [SONG_PATH, f"{MANY_SONGS}?ids=907242702"], ids=["one", "many"])
async def test_head_has_the_headers_of_get_and_no_body(client, path):
    await client.put(SONG_PATH, content=LIKE_BODY)

    head = await client.head(path)
    get = await client.get(path)

    assert head.status_code == 200
    assert head.content == b""
    assert named_headers(head) == named_headers(get)
    assert head.headers["content-length"] == str(len(get.content))


async def test_head_of_what_is_not_rated_is_404_without_a_body(client, house):
    response = await ask(house.app, "HEAD", SONG_PATH.encode(), raw_headers(client.headers))

    assert response.status_code == 404
    assert response.content == b""
    assert int(response.headers["content-length"]) > 0


@pytest.mark.parametrize("body", [DISLIKE_BODY, b"{", b"x" * (BODY_BYTES_MAX + 1)], ids=["rating", "broken", "huge"])
async def test_a_body_on_get_head_and_delete_is_ignored(client, body):
    await client.put(SONG_PATH, content=LIKE_BODY)

    got = await client.request("GET", SONG_PATH, content=body)
    head = await client.request("HEAD", SONG_PATH, content=body)
    many = await client.request("GET", f"{MANY_SONGS}?ids=907242702", content=body)
    deleted = await client.request("DELETE", SONG_PATH, content=body)

    assert got.content == many.content == document_of(rating_of("songs", "907242702", 1))
    assert (head.status_code, deleted.status_code) == (200, 204)


# The body of a PUT


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"rating","attributes":{"value":1}}',
        b'{"type":"ratings","attributes":{"value":1}}',
        b'{"attributes":{"value":1}}',
        b'{"attributes":{"value":1},"type":"rating"}',
        b' \r\n\t{"attributes" : {"value" : 1} } \n',
        b'{"\\u0061ttributes":{"v\\u0061lue":1},"type":"r\\u0061ting"}',
        b'{"id":"1","href":5,"attributes":{"value":1,"loved":true},"relationships":{"a":[null]},"type":"rating"}',
        '{"comment":"größer 🎵","attributes":{"value":1}}'.encode(),
        b'{"data":[{"attributes":{"value":-1}}],"attributes":{"value":1}}',
        b'{"attributes":{"value":-1},"attributes":{"value":1}}',
        b'{"attributes":{"value":-1,"value":1}}',
        b'{"attributes":{"value":"x"},"attributes":{"value":1}}',
        b'{"attributes":null,"attributes":{"value":1}}',
        b'{"type":"songs","type":"rating","attributes":{"value":1}}',
    ],
    ids=[
        "rating",
        "ratings",
        "no type",
        "type last",
        "whitespace",
        "escaped names",
        "unknown members",
        "unknown member in unicode",
        "data beside attributes",
        "last attributes",
        "last value",
        "last attributes after a bad value",
        "last attributes after null",
        "last type",
    ],
)
async def test_a_body_that_likes(client, body):
    response = await client.put(SONG_PATH, content=body)

    assert response.status_code == 200
    assert response.content == document_of(rating_of("songs", "907242702", 1))
    assert (await client.get(SONG_PATH)).content == response.content


BAD_BODIES = {
    # The value
    "0": (b'{"attributes":{"value":0}}', BAD_VALUE),
    "-0": (b'{"attributes":{"value":-0}}', BAD_VALUE),
    "2": (b'{"attributes":{"value":2}}', BAD_VALUE),
    "-2": (b'{"attributes":{"value":-2}}', BAD_VALUE),
    "100": (b'{"attributes":{"value":100}}', BAD_VALUE),
    "a string": (b'{"attributes":{"value":"1"}}', BAD_VALUE),
    "like": (b'{"attributes":{"value":"like"}}', BAD_VALUE),
    "1.5": (b'{"attributes":{"value":1.5}}', BAD_VALUE),
    "1.0": (b'{"attributes":{"value":1.0}}', BAD_VALUE),
    "-1.0": (b'{"attributes":{"value":-1.0}}', BAD_VALUE),
    "1e0": (b'{"attributes":{"value":1e0}}', BAD_VALUE),
    "1E+0": (b'{"attributes":{"value":1E+0}}', BAD_VALUE),
    "true": (b'{"attributes":{"value":true}}', BAD_VALUE),
    "false": (b'{"attributes":{"value":false}}', BAD_VALUE),
    "null": (b'{"attributes":{"value":null}}', BAD_VALUE),
    "a list": (b'{"attributes":{"value":[1]}}', BAD_VALUE),
    "an object": (b'{"attributes":{"value":{"value":1}}}', BAD_VALUE),
    "no value": (b'{"attributes":{}}', BAD_VALUE),
    "Value": (b'{"attributes":{"Value":1}}', BAD_VALUE),
    "2 ** 63": (b'{"attributes":{"value":9223372036854775808}}', BAD_VALUE),
    "2 ** 64 + 1": (b'{"attributes":{"value":18446744073709551617}}', BAD_VALUE),
    "2 ** 32 + 1": (b'{"attributes":{"value":4294967297}}', BAD_VALUE),
    "1 and 400 zeros": (b'{"attributes":{"value":1' + b"0" * 400 + b"}}", BAD_VALUE),
    "the last value is bad": (b'{"attributes":{"value":1,"value":0}}', BAD_VALUE),
    "the last attributes are empty": (b'{"attributes":{"value":1},"attributes":{}}', BAD_VALUE),
    # The attributes
    "an empty object": (b"{}", BAD_ATTRIBUTES),
    "no attributes": (b'{"type":"rating"}', BAD_ATTRIBUTES),
    "value without attributes": (b'{"type":"rating","value":1}', BAD_ATTRIBUTES),
    "attributes null": (b'{"attributes":null}', BAD_ATTRIBUTES),
    "attributes 1": (b'{"attributes":1}', BAD_ATTRIBUTES),
    "attributes a list": (b'{"attributes":[{"value":1}]}', BAD_ATTRIBUTES),
    "attributes a string": (b'{"attributes":"value"}', BAD_ATTRIBUTES),
    "data": (b'{"data":[{"type":"rating","attributes":{"value":1}}]}', BAD_ATTRIBUTES),
    # The type
    "type songs": (b'{"type":"songs","attributes":{"value":1}}', BAD_TYPE),
    "type Rating": (b'{"type":"Rating","attributes":{"value":1}}', BAD_TYPE),
    "type empty": (b'{"type":"","attributes":{"value":1}}', BAD_TYPE),
    "type null": (b'{"type":null,"attributes":{"value":1}}', BAD_TYPE),
    "type 1": (b'{"type":1,"attributes":{"value":1}}', BAD_TYPE),
    "type a list": (b'{"type":["rating"],"attributes":{"value":1}}', BAD_TYPE),
    "type an object": (b'{"type":{},"attributes":{"value":1}}', BAD_TYPE),
    "the last type is bad": (b'{"type":"rating","type":"song","attributes":{"value":1}}', BAD_TYPE),
    # No object
    "an array": (b'[{"type":"rating","attributes":{"value":1}}]', NO_OBJECT),
    "a number": (b"1", NO_OBJECT),
    "true alone": (b"true", NO_OBJECT),
    "null alone": (b"null", NO_OBJECT),
    "a text": (b'"like"', NO_OBJECT),
    # No JSON
    "empty": (b"", NO_JSON),
    "blank": (b" \n", NO_JSON),
    "cut off": (b'{"attributes":{"value":1}', NO_JSON),
    "trailing comma": (b'{"attributes":{"value":1},}', NO_JSON),
    "single quotes": (b"{'attributes':{'value':1}}", NO_JSON),
    "two documents": (b'{"attributes":{"value":1}}{"attributes":{"value":1}}', NO_JSON),
    "text after the document": (b'{"attributes":{"value":1}} x', NO_JSON),
    "NUL after the document": (b'{"attributes":{"value":1}}\x00', NO_JSON),
    "a form": (b"type=rating&value=1", NO_JSON),
    "NaN": (b'{"attributes":{"value":NaN}}', NO_JSON),
    "Infinity": (b'{"attributes":{"value":-Infinity}}', NO_JSON),
    "+1": (b'{"attributes":{"value":+1}}', NO_JSON),
    "01": (b'{"attributes":{"value":01}}', NO_JSON),
    "hexadecimal": (b'{"attributes":{"value":0x1}}', NO_JSON),
    "a comment": (b'{"attributes":{"value":1}/* like */}', NO_JSON),
    "no UTF-8": (b"\xff\xfe", NO_JSON),
    "no UTF-8 in an ignored member": (b'{"x":"\xc3\x28","attributes":{"value":1}}', NO_JSON),
    "a raw surrogate in an ignored member": (b'{"x":"\xed\xa0\x80","attributes":{"value":1}}', NO_JSON),
    "an escaped lone surrogate as the type": (b'{"type":"\\ud800","attributes":{"value":1}}', BAD_TYPE),
    "a control character": (b'{"x":"\x01","attributes":{"value":1}}', NO_JSON),
    "a byte order mark": (b'\xef\xbb\xbf{"attributes":{"value":1}}', NO_JSON),
    "UTF-16": ('{"attributes":{"value":1}}'.encode("utf-16"), NO_JSON),
    "UTF-32": ('{"attributes":{"value":1}}'.encode("utf-32-be"), NO_JSON),
    "deep nesting": (b"[" * 30_000 + b"]" * 30_000, NO_JSON),
    "deep nesting that is not closed": (b"[" * BODY_BYTES_MAX, NO_JSON),
    "deep nesting of objects": (b'{"a":' * 13_000, NO_JSON),
    "deep nesting in an ignored member": (
        b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b',"attributes":{"value":1}}',
        NO_JSON,
    ),
    "an integer larger than the parser takes": (b'{"attributes":{"value":1' + b"0" * 60_000 + b"}}", BAD_VALUE),
    "a number beyond all floats": (b'{"attributes":{"value":1e999}}', BAD_VALUE),
}


@pytest.mark.parametrize(("body", "error"), BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_bad_body_is_refused_and_the_stored_rating_stays(client, body, error):
    await client.put(SONG_PATH, content=DISLIKE_BODY)

    response = await client.put(SONG_PATH, content=body)

    assert response.status_code == 400
    assert error_of(response) == error
    assert (await client.get(SONG_PATH)).content == document_of(rating_of("songs", "907242702", -1))


@pytest.mark.parametrize(
    "body",
    [
        b'{"x":"\\ud800","attributes":{"value":1}}',
        b'{"\\udc00":1,"attributes":{"value":1}}',
        b'{"x":1' + b"0" * 60_000 + b',"attributes":{"value":1}}',
        b'{"x":-1e999,"attributes":{"value":1}}',
    ],
    ids=["a lone surrogate", "a lone surrogate as a name", "a giant integer", "a number beyond all floats"],
)
async def test_what_is_odd_but_json_in_an_ignored_member_does_not_matter(client, body):
    response = await client.put(SONG_PATH, content=body)

    assert response.content == document_of(rating_of("songs", "907242702", 1))


@pytest.mark.parametrize("body", [b'{"attributes":{"value":0}}', b"", b"[]"], ids=["value", "empty", "array"])
async def test_a_bad_body_rates_nothing(client, body):
    await client.put(SONG_PATH, content=body)

    assert error_of(await client.get(SONG_PATH)) == NOT_RATED


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json;charset=utf-8",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=x",
        "nonsense",
        "",
    ],
)
async def test_the_body_is_json_whatever_its_content_type_says(client, content_type):
    response = await client.put(SONG_PATH, content=DISLIKE_BODY, headers={"Content-Type": content_type})

    assert response.status_code == 200
    assert response.content == document_of(rating_of("songs", "907242702", -1))


async def test_the_body_needs_no_content_type(client):
    response = await client.put(SONG_PATH, content=LIKE_BODY)

    assert "content-type" not in response.request.headers
    assert response.status_code == 200


# The size of a body


def padded(body: bytes, size: int) -> bytes:
    return body + b" " * (size - len(body))


async def in_chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def test_a_body_of_65536_bytes_is_read(client):
    response = await client.put(SONG_PATH, content=padded(LIKE_BODY, BODY_BYTES_MAX))

    assert response.status_code == 200


@pytest.mark.parametrize("size", [BODY_BYTES_MAX + 1, 1024 * 1024, 3 * 1024 * 1024])
async def test_a_larger_body_is_refused_and_the_stored_rating_stays(client, size):
    await client.put(SONG_PATH, content=DISLIKE_BODY)

    response = await client.put(SONG_PATH, content=padded(LIKE_BODY, size))

    assert response.status_code == 413
    assert error_of(response) == TOO_LARGE
    assert (await client.get(SONG_PATH)).content == document_of(rating_of("songs", "907242702", -1))


async def test_a_chunked_body_of_65536_bytes_is_read(client):
    response = await client.put(SONG_PATH, content=in_chunks(padded(LIKE_BODY, BODY_BYTES_MAX), 1000))

    assert response.request.headers["transfer-encoding"] == "chunked"
    assert response.status_code == 200


@pytest.mark.parametrize("size", [BODY_BYTES_MAX + 1, 3 * 1024 * 1024])
async def test_a_larger_chunked_body_is_refused_and_the_stored_rating_stays(client, size):
    await client.put(SONG_PATH, content=DISLIKE_BODY)

    response = await client.put(SONG_PATH, content=in_chunks(padded(LIKE_BODY, size), 10_000))

    assert response.status_code == 413
    assert error_of(response) == TOO_LARGE
    assert (await client.get(SONG_PATH)).content == document_of(rating_of("songs", "907242702", -1))


async def test_a_body_in_single_bytes_is_read(client):
    response = await client.put(SONG_PATH, content=in_chunks(LIKE_BODY, 1))

    assert response.status_code == 200


async def test_a_body_that_never_ends_is_not_read_for_ever(client):
    chunks_sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal chunks_sent
        while True:
            chunks_sent += 1
            yield b" " * 65_536

    response = await client.put(SONG_PATH, content=endless())

    assert response.status_code == 413
    assert chunks_sent <= 18  # a little over one mebibyte


# The pace of a body


def put_scope(client: httpx2.AsyncClient) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "PUT",
        "path": SONG_PATH,
        "raw_path": SONG_PATH.encode(),
        "query_string": b"",
        "headers": raw_headers(client.headers),
    }


async def test_a_body_that_does_not_arrive_in_time_is_answered_408(client, house, monkeypatch):
    monkeypatch.setattr("likewise.asgi.BODY_SECONDS_MAX", 0.01)
    messages = [{"type": "http.request", "body": LIKE_BODY, "more_body": True}]
    sent: list[Any] = []

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.Future()

    async def send(message: Any) -> None:
        sent.append(message)

    await house.app(put_scope(client), receive, send)

    start, body = sent
    assert start["status"] == 408
    assert error_of(httpx2.Response(408, headers=start["headers"], content=body["body"])) == {
        "title": "Request Timeout",
        "detail": "The body must arrive within 0.01 seconds",
        "status": "408",
        "code": "40800",
    }
    assert error_of(await client.get(SONG_PATH)) == NOT_RATED


@pytest.mark.parametrize("before", [b"", LIKE_BODY], ids=["at once", "after the whole document"])
async def test_a_body_that_breaks_off_is_refused_and_rates_nothing(client, house, before):
    messages = [
        {"type": "http.request", "body": before, "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await house.app(put_scope(client), receive, send)

    start, body = sent
    assert error_of(httpx2.Response(start["status"], headers=start["headers"], content=body["body"])) == {
        "title": "Invalid Request Body",
        "detail": "The body ended before it was whole",
        "status": "400",
        "code": "40007",
    }
    assert error_of(await client.get(SONG_PATH)) == NOT_RATED


# include and extend


def content_href(type: str, id: str) -> str:
    if type.startswith("library-"):
        return f"/v1/me/library/{type.removeprefix('library-')}/{id}"
    return f"/v1/catalog/us/{type}/{id}"


def rating_with_content(type: str, id: str, value: int) -> bytes:
    content = f'{{"data":[{{"id":"{id}","type":"{type}","href":"{content_href(type, id)}"}}]}}'
    return (
        f'{{"id":"{id}","type":"ratings","href":"/v1/me/ratings/{type}/{id}","attributes":{{"value":{value}}},'
        f'"relationships":{{"content":{content}}}}}'
    ).encode()


@every_type
async def test_include_content_names_what_is_rated(client, type, id):
    await client.put(f"/v1/me/ratings/{type}/{id}", content=LIKE_BODY)

    one = await client.get(f"/v1/me/ratings/{type}/{id}?include=content")
    many = await client.get(f"/v1/me/ratings/{type}?ids={id}&include=content")

    assert one.status_code == many.status_code == 200
    assert one.content == many.content == document_of(rating_with_content(type, id, 1))


async def test_the_catalog_of_include_content_is_that_of_the_listeners_storefront(bens_client):
    await bens_client.put(SONG_PATH, content=LIKE_BODY)

    response = await bens_client.get(f"{SONG_PATH}?include=content")

    [content] = response.json()["data"][0]["relationships"]["content"]["data"]
    assert content["href"] == "/v1/catalog/jp/songs/907242702"


@pytest.mark.parametrize(
    "query", ["include=content,artists", "include=artists%2Ccontent", "include=artists&include=content"]
)
async def test_content_may_be_one_of_several_things_to_include(client, query):
    await client.put(SONG_PATH, content=LIKE_BODY)

    response = await client.get(f"{SONG_PATH}?{query}")

    assert response.content == document_of(rating_with_content("songs", "907242702", 1))


@pytest.mark.parametrize(
    "query",
    [
        "include=",
        "include=contents",
        "include=Content",
        "include=catalog",
        "extend=content",
        "extend=x",
        "relate=content",
    ],
)
async def test_any_other_include_and_every_extend_is_ignored(client, query):
    await client.put(SONG_PATH, content=LIKE_BODY)

    one = await client.get(f"{SONG_PATH}?{query}")
    many = await client.get(f"{MANY_SONGS}?ids=907242702&{query}")

    assert one.content == many.content == document_of(rating_of("songs", "907242702", 1))


async def test_include_content_of_what_is_not_rated_changes_nothing(client):
    one = await client.get(f"{SONG_PATH}?include=content")
    many = await client.get(f"{MANY_SONGS}?ids=907242702&include=content")

    assert error_of(one) == NOT_RATED
    assert many.content == b'{"data":[]}'


async def test_a_put_answers_the_rating_alone_whatever_is_to_be_included(client):
    response = await client.put(f"{SONG_PATH}?include=content&extend=x", content=LIKE_BODY)

    assert response.content == document_of(rating_of("songs", "907242702", 1))


# Many ratings


async def test_many_ratings_come_in_the_order_of_the_ids(client):
    await like_songs(client, ["1", "2", "3"])

    response = await client.get(f"{MANY_SONGS}?ids=3,1,2")

    assert response.content == document_of(*(rating_of("songs", id, 1) for id in ("3", "1", "2")))


@pytest.mark.parametrize(
    "query",
    [
        b"ids=3,1,2",
        b"ids=3%2C1%2C2",
        b"ids=3%2c1,2",
        b"ids=3&ids=1&ids=2",
        b"ids=3,1&ids=2",
        b"ids=3&l=en-US&ids=1,2",
        b"%69ds=3,1,2",
        b"ids=,3,,1,2,",
        b"ids=&ids=3,1,2&ids=",
        b"ids=3,1,3,2,1,2,3",
        b"ids=3,1&ids=3&ids=1,2",
    ],
)
async def test_all_ways_to_write_ids_are_equal(client, house, query):
    await like_songs(client, ["1", "2", "3"])

    response = await ask(house.app, "GET", MANY_SONGS.encode() + b"?" + query, raw_headers(client.headers))

    assert response.status_code == 200
    assert ids_in(response) == ["3", "1", "2"]


async def test_unrated_ids_are_left_out(client):
    await like_songs(client, ["1", "3"])

    response = await client.get(f"{MANY_SONGS}?ids=1,2,3,4")

    assert ids_in(response) == ["1", "3"]


@every_type
async def test_ids_of_another_namespace_and_malformed_ones_are_left_out(client, type, id):
    await client.put(f"/v1/me/ratings/{type}/{id}", content=LIKE_BODY)
    others = ["abc", "i.", "pl.", "1" * 21, "i." + "a" * 63, "é", '"', "]", " ", "a/b", "\0"]
    others += [other for other_type, other in RATABLE.items() if other != id]

    response = await client.get(f"/v1/me/ratings/{type}", params={"ids": ",".join([*others, id, *others])})

    assert response.status_code == 200
    assert id in ids_in(response)
    assert set(ids_in(response)) == {id}


async def test_only_ids_that_cannot_be_rated_are_an_empty_list(client):
    response = await client.get(f"{MANY_SONGS}?ids=i.abc,xyz")

    assert response.status_code == 200
    assert response.content == b'{"data":[]}'


@pytest.mark.parametrize("query", ["", "?", "?l=en-US", "?id=1", "?IDS=1", "?ids[songs]=1"])
async def test_without_ids_there_is_nothing_to_answer(client, query):
    response = await client.get(MANY_SONGS + query)

    assert response.status_code == 400
    assert error_of(response) == NO_IDS


@pytest.mark.parametrize("query", ["ids=", "ids", "ids=,,", "ids=%2C", "ids=&ids=,"])
async def test_empty_ids_are_refused(client, query):
    response = await client.get(f"{MANY_SONGS}?{query}")

    assert response.status_code == 400
    assert error_of(response) == EMPTY_IDS


@pytest.mark.parametrize("number", [1, 25, 100, 200, 299, 300])
async def test_up_to_300_ids_are_answered(client, number):
    await like_songs(client, ["100000", str(100_000 + number - 1)])
    ids = [str(100_000 + index) for index in range(number)]

    response = await client.get(MANY_SONGS, params={"ids": ",".join(ids)})

    assert response.status_code == 200
    assert ids_in(response) == list(dict.fromkeys([ids[0], ids[-1]]))


@pytest.mark.parametrize("number", [301, 1000])
async def test_more_than_300_ids_are_refused_and_the_limit_is_named(client, number):
    response = await client.get(MANY_SONGS, params={"ids": ",".join(map(str, range(number)))})

    assert response.status_code == 400
    assert error_of(response) == NO_IDS | {
        "detail": f"The number of ids must be less than or equal to 300, but was: {number}"
    }


async def test_duplicates_and_empty_pieces_do_not_count_towards_the_limit(client):
    await like_songs(client, ["7"])
    ids = [str(id) for id in range(300)] * 3 + [""] * 50

    response = await client.get(MANY_SONGS, params={"ids": ",".join(ids)})

    assert response.status_code == 200
    assert ids_in(response) == ["7"]


async def test_malformed_ids_count_towards_the_limit(client):
    within = await client.get(MANY_SONGS, params={"ids": ",".join([f"x{id}" for id in range(299)] + ["1"])})
    beyond = await client.get(MANY_SONGS, params={"ids": ",".join([f"x{id}" for id in range(300)] + ["1"])})

    assert within.status_code == 200
    assert error_of(beyond)["source"] == {"parameter": "ids"}


async def test_ids_are_counted_over_all_repetitions_of_the_parameter(client, house):
    within = b"&".join(b"ids=%d" % id for id in range(300))

    answered = await ask(house.app, "GET", MANY_SONGS.encode() + b"?" + within, raw_headers(client.headers))
    refused = await ask(
        house.app, "GET", MANY_SONGS.encode() + b"?" + within + b"&ids=300", raw_headers(client.headers)
    )

    assert answered.status_code == 200
    assert error_of(refused)["source"] == {"parameter": "ids"}


async def test_the_limit_of_ids_is_a_setting(house, client):
    settings = Settings(database=house.app._settings.database, ids_max=2)
    async with App(settings, now=house.clock) as strict:
        transport = httpx2.ASGITransport(app=strict)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://x", headers=client.headers
        ) as strict_client:
            two = await strict_client.get(f"{MANY_SONGS}?ids=1,2")
            three = await strict_client.get(f"{MANY_SONGS}?ids=1,2,3")

    assert two.status_code == 200
    assert error_of(three)["detail"] == "The number of ids must be less than or equal to 2, but was: 3"


async def test_200_ids_of_playlists_are_answered(client):
    ids = [f"pl.{number:032x}" for number in range(200)]
    await client.put(f"/v1/me/ratings/playlists/{ids[199]}", content=LIKE_BODY)

    response = await client.get("/v1/me/ratings/playlists", params={"ids": ",".join(ids)})

    assert response.status_code == 200
    assert response.content == document_of(rating_of("playlists", ids[199], 1))
