"""The library, the link between a library item and its catalog twin, favorites, storefronts and the test endpoint."""

import json
import re
from typing import Any

import httpx2
import pytest

from likewise.app import App
from likewise.domain import KINDS, Item, Time
from likewise.storefronts import STOREFRONTS
from likewise.wire import apple_time
from tests.house import (
    DISLIKE_BODY,
    LIKE_BODY,
    MONDAY,
    NOT_RATED,
    RATABLE,
    TUESDAY,
    WEDNESDAY,
    House,
    ask,
    error_of,
    is_empty_401,
    raw_headers,
)

NOT_FOUND = NOT_RATED
NO_IDS = {
    "title": "Invalid Parameter Value",
    "detail": "No ids supplied on the request",
    "status": "400",
    "code": "40005",
    "source": {"parameter": "ids"},
}
EMPTY_IDS = NO_IDS | {"detail": "No id(s) supplied in the 'ids' query parameter"}
BARE_IDS = NO_IDS | {"detail": "Please provide a single (1) resource type"}

# Types as they are called below `/v1/me/library/`, each with an id of its catalog.
ADDABLE = {
    "songs": "907242702",
    "albums": "1440933460",
    "music-videos": "639322181",
    "playlists": "pl.cb4d1c09a2df4230a78d0395fe1f8fde",
}
MINTED_FORMS = {
    "songs": r"i\.[A-Za-z0-9]{14}",
    "albums": r"l\.[A-Za-z0-9]{7}",
    "music-videos": r"i\.[A-Za-z0-9]{14}",
    "playlists": r"p\.[A-Za-z0-9]{14}",
}
SINGULARS = {"songs": "song", "albums": "album", "music-videos": "musicVideo", "playlists": "playlist"}
every_addable_type = pytest.mark.parametrize(("type", "id"), ADDABLE.items(), ids=ADDABLE)

UNKNOWN_LIBRARY_TYPES = ["library-songs", "stations", "artists", "song", "Songs"]


async def add(client: httpx2.AsyncClient, type: str, *ids: str) -> httpx2.Response:
    return await client.post(f"/v1/me/library?ids[{type}]={','.join(ids)}")


async def added(client: httpx2.AsyncClient, type: str, id: str) -> str:
    """Add an item to the library and return its library id."""
    response = await add(client, type, id)
    assert response.status_code == 202
    return await library_id_of(client, type, id)


async def library_id_of(client: httpx2.AsyncClient, type: str, id: str) -> str:
    page = await client.get(f"/v1/me/library/{type}?limit=100")
    [library_id] = [
        item["id"] for item in page.json()["data"] if item["attributes"]["playParams"].get("catalogId") == id
    ]
    return str(library_id)


def item_of(type: str, library_id: str, catalog_id: str | None = None) -> str:
    twin = f',"catalogId":"{catalog_id}"' if catalog_id else ""
    return (
        f'{{"id":"{library_id}","type":"library-{type}","href":"/v1/me/library/{type}/{library_id}",'
        f'"attributes":{{"playParams":{{"id":"{library_id}","kind":"{SINGULARS[type]}","isLibrary":true{twin}}},'
        f'"dateAdded":"2025-11-17T00:00:00Z"}}}}'
    )


def document_of(*items: str) -> bytes:
    return ('{"data":[' + ",".join(items) + "]}").encode()


def ids_in(response: httpx2.Response) -> list[str]:
    return [item["id"] for item in response.json()["data"]]


async def value_of(client: httpx2.AsyncClient, type: str, id: str) -> int | None:
    """Return the rating under this address, having checked that GET of one and of many agree on it."""
    one = await client.get(f"/v1/me/ratings/{type}/{id}")
    many = await client.get(f"/v1/me/ratings/{type}?ids={id}")
    if one.status_code == 404:
        assert error_of(one) == NOT_RATED
        assert many.content == b'{"data":[]}'
        return None
    assert one.content == many.content
    [rating] = one.json()["data"]
    assert (rating["id"], rating["href"]) == (id, f"/v1/me/ratings/{type}/{id}")
    return int(rating["attributes"]["value"])


async def rate(client: httpx2.AsyncClient, type: str, id: str, body: bytes) -> None:
    response = await client.put(f"/v1/me/ratings/{type}/{id}", content=body)
    assert response.status_code == 200
    assert ids_in(response) == [id]


# Adding


@every_addable_type
async def test_adding_answers_202_without_a_body_and_the_item_is_in_the_library(client, type, id):
    response = await add(client, type, id)

    assert response.status_code == 202
    assert response.content == b""
    assert response.headers["content-length"] == "0"
    library_id = await library_id_of(client, type, id)
    assert re.fullmatch(MINTED_FORMS[type], library_id)
    one = await client.get(f"/v1/me/library/{type}/{library_id}")
    assert one.status_code == 200
    assert one.content == document_of(item_of(type, library_id, id))


async def test_several_types_are_added_at_once(client):
    response = await client.post("/v1/me/library?ids[songs]=1,2&ids[albums]=3&ids[songs]=4&ids[playlists]=pl.x")

    assert response.status_code == 202
    totals = [
        (await client.get(f"/v1/me/library/{type}")).json()["meta"]["total"]
        for type in ("songs", "albums", "music-videos", "playlists")
    ]
    assert totals == [3, 1, 0, 1]


@every_addable_type
async def test_adding_what_is_there_keeps_its_library_id(client, clock, type, id):
    first = await added(client, type, id)
    clock.advance(60_000)

    again = await added(client, type, id)

    assert again == first
    page = await client.get(f"/v1/me/library/{type}")
    assert page.json()["meta"]["total"] == 1
    assert page.json()["data"][0]["attributes"]["dateAdded"] == "2025-11-17T00:00:00Z"


async def test_what_cannot_be_added_is_ignored(client):
    response = await client.post(
        "/v1/me/library?ids[songs]=x,i.abc,1,pl.x&ids[stations]=ra.1&ids[artists]=5&ids[library-songs]=i.abc&ids[]=6"
    )

    assert response.status_code == 202
    assert (await client.get("/v1/me/library/songs")).json()["meta"]["total"] == 1


@pytest.mark.parametrize("query", ["ids[stations]=ra.1", "ids[artists]=1", "ids[songs]=x", "ids[]=1"])
async def test_adding_only_what_cannot_be_added_is_accepted_and_adds_nothing(client, query):
    response = await client.post(f"/v1/me/library?{query}")

    assert response.status_code == 202
    assert (await client.get("/v1/me/library/songs")).json() == {"data": [], "meta": {"total": 0}}


async def test_a_body_of_an_add_is_ignored(client):
    response = await client.post("/v1/me/library?ids[songs]=1", content=b"{nonsense" * 20_000)

    assert response.status_code == 202


def test_apples_times_have_four_digits_for_every_year():
    assert apple_time(-62_135_596_800_000) == "0001-01-01T00:00:00Z"
    assert apple_time(253_402_300_799_999) == "9999-12-31T23:59:59Z"


async def test_minted_ids_come_from_the_randomness_that_was_handed_in(house, client):
    async with App(house.app._settings, now=house.clock, random_bytes=lambda size: b"\0" * size) as app:
        await ask(app, "POST", b"/v1/me/library?ids[songs]=1&ids[albums]=2", raw_headers(client.headers))

    songs = await client.get("/v1/me/library/songs")
    albums = await client.get("/v1/me/library/albums")

    assert [*ids_in(songs), *ids_in(albums)] == ["i.00000000000000", "l.0000000"]


async def test_minted_ids_differ(client):
    await add(client, "songs", *map(str, range(100)))

    page = await client.get("/v1/me/library/songs?limit=100")

    assert len(set(ids_in(page))) == 100


# `ids` of the library and of favorites

BY_TYPE = [
    ("POST", "/v1/me/library", "songs"),
    ("GET", "/v1/me/library", "library-songs"),
    ("POST", "/v1/me/favorites", "songs"),
    ("DELETE", "/v1/me/favorites", "songs"),
]
by_type = pytest.mark.parametrize(("method", "path", "type"), BY_TYPE)
without_type = pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in BY_TYPE])


@without_type
@pytest.mark.parametrize("query", ["ids=1", "ids=", "ids=1&ids[songs]=1", "ids[songs]=1&ids=1"])
async def test_bare_ids_lack_their_type(client, method, path, query):
    response = await client.request(method, f"{path}?{query}")

    assert response.status_code == 400
    assert error_of(response) == BARE_IDS


@without_type
@pytest.mark.parametrize("query", ["", "?songs=1", "?ids[songs=1", "?ids(songs)=1", "?IDS[songs]=1"])
async def test_without_ids_of_a_type_there_is_nothing_to_do(client, method, path, query):
    response = await client.request(method, path + query)

    assert response.status_code == 400
    assert error_of(response) == NO_IDS


@by_type
@pytest.mark.parametrize("value", ["", ",,"])
async def test_empty_ids_of_a_type_are_refused(client, method, path, type, value):
    response = await client.request(method, f"{path}?ids[{type}]={value}")

    assert response.status_code == 400
    assert error_of(response) == EMPTY_IDS


@by_type
async def test_up_to_300_ids_of_all_types_together_are_taken(client, method, path, type):
    ids = ",".join(map(str, range(299)))

    within = await client.request(method, f"{path}?ids[{type}]={ids},,0,1&ids[albums]=1")
    beyond = await client.request(method, f"{path}?ids[{type}]={ids}&ids[albums]=1&ids[nonsense]=2")

    assert within.status_code in {200, 202}
    assert error_of(beyond) == NO_IDS | {"detail": "The number of ids must be less than or equal to 300, but was: 301"}


# Reading


async def test_many_items_come_in_the_order_of_the_ids_and_the_missing_are_left_out(client):
    first, second = await added(client, "songs", "1"), await added(client, "songs", "2")

    response = await client.get(f"/v1/me/library/songs?ids={second},i.unknown,nonsense,{first},{second}")

    assert response.status_code == 200
    assert response.content == document_of(item_of("songs", second, "2"), item_of("songs", first, "1"))


@pytest.mark.parametrize("query", ["ids=", "ids=,,"])
async def test_empty_ids_of_a_library_type_are_refused(client, query):
    assert error_of(await client.get(f"/v1/me/library/songs?{query}")) == EMPTY_IDS


async def test_more_than_300_library_ids_are_refused(client):
    ids = [f"i.{number}" for number in range(301)]

    within = await client.get(f"/v1/me/library/songs?ids={','.join(ids[:300])}")
    beyond = await client.get(f"/v1/me/library/songs?ids={','.join(ids)}")

    assert within.content == b'{"data":[]}'
    assert error_of(beyond)["source"] == {"parameter": "ids"}


async def test_items_of_several_types_are_read_at_once(client):
    song, album = await added(client, "songs", "1"), await added(client, "albums", "2")

    response = await client.get(
        f"/v1/me/library?ids[library-albums]={album},l.unknown&ids[library-songs]={song},nonsense&ids[songs]=1"
        f"&ids[library-music-videos]={song}"
    )

    assert response.status_code == 200
    assert response.content == document_of(item_of("albums", album, "2"), item_of("songs", song, "1"))


async def test_none_of_several_items_is_an_empty_list(client):
    response = await client.get("/v1/me/library?ids[library-songs]=i.unknown")

    assert response.status_code == 200
    assert response.content == b'{"data":[]}'


@pytest.mark.parametrize("id", ["i.unknown", "nonsense", "1", "l.abc", "i.", "%2F"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_item_that_is_not_in_the_library_is_404(client, method, id):
    response = await client.request(method, f"/v1/me/library/songs/{id}")

    assert response.status_code == 404
    assert error_of(response) == NOT_FOUND


@pytest.mark.parametrize("type", UNKNOWN_LIBRARY_TYPES)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/{}?limit=1"),
        ("GET", "/{}?ids=i.a"),
        ("GET", "/{}/i.a"),
        ("DELETE", "/{}/i.a"),
        ("GET", "/{}/i.a/catalog"),
    ],
)
async def test_another_type_is_an_unknown_library_resource_type(client, type, method, path):
    response = await client.request(method, f"/v1/me/library{path.format(type)}")

    assert response.status_code == 400
    assert error_of(response) == {
        "title": "Invalid Path Value",
        "detail": f"Unknown library resource type '{type}'",
        "status": "400",
        "code": "40008",
    }


# Pages


async def test_an_empty_library_is_an_empty_page(client):
    response = await client.get("/v1/me/library/songs")

    assert response.status_code == 200
    assert response.content == b'{"data":[],"meta":{"total":0}}'


async def test_a_page_names_the_next_one_first(client):
    await add(client, "songs", "1", "2")
    newest = await library_id_of(client, "songs", "2")

    response = await client.get("/v1/me/library/songs?limit=1")

    assert (
        response.content
        == (
            '{"next":"/v1/me/library/songs?offset=1&limit=1","data":['
            + item_of("songs", newest, "2")
            + '],"meta":{"total":2}}'
        ).encode()
    )


async def test_pages_are_newest_first(client, clock):
    for id in ("3", "1", "2"):
        await add(client, "songs", id)
        clock.advance(60_000)

    page = (await client.get("/v1/me/library/songs")).json()

    shown = [(item["attributes"]["playParams"]["catalogId"], item["attributes"]["dateAdded"]) for item in page["data"]]
    assert shown == [
        ("2", "2025-11-17T00:02:00Z"),
        ("1", "2025-11-17T00:01:00Z"),
        ("3", "2025-11-17T00:00:00Z"),
    ]


async def walk(client: httpx2.AsyncClient, target: str) -> list[list[str]]:
    """Follow `next` from page to page; return the catalog ids of each page."""
    pages = []
    next_target: str | None = target
    while next_target:
        response = await client.get(next_target)
        assert response.status_code == 200
        page = response.json()
        assert page["meta"] == {"total": 60}
        pages.append([item["attributes"]["playParams"]["catalogId"] for item in page["data"]])
        next_target = page.get("next")
        assert next_target is None or next_target.startswith("/v1/me/library/songs?")
    return pages


@pytest.mark.parametrize(
    ("query", "sizes"),
    [
        ("", [25, 25, 10]),
        ("?limit=25", [25, 25, 10]),
        ("?limit=100", [60]),
        ("?limit=60", [60]),
        ("?limit=59", [59, 1]),
        ("?limit=30&l=ar", [30, 30]),
        ("?offset=50", [10]),
        ("?limit=7&offset=40", [7, 7, 6]),
        ("?offset=59", [1]),
        ("?offset=60", [0]),
        ("?offset=999999999999999", [0]),
        ("?offset=0&limit=0060", [60]),
    ],
)
async def test_whoever_follows_next_sees_everything_once(client, query, sizes):
    await add(client, "songs", *map(str, range(60)))

    pages = await walk(client, f"/v1/me/library/songs{query}")

    assert [len(page) for page in pages] == sizes
    seen = [id for page in pages for id in page]
    assert seen == [str(id) for id in reversed(range(len(seen)))]


async def test_next_keeps_what_the_client_had_asked_for(client):
    await add(client, "songs", "1", "2", "3")

    response = await client.get("/v1/me/library/songs?l=ar&limit=1&offset=1&platform=web")

    assert response.json()["next"] == "/v1/me/library/songs?offset=2&limit=1&l=ar"


async def test_next_never_holds_more_than_a_language_can(client):
    await add(client, "songs", "1", "2")

    response = await client.get("/v1/me/library/songs", params={"limit": "1", "l": "_&offset=9#é"})
    following = await client.get(response.json()["next"])

    assert following.json()["data"][0]["attributes"]["playParams"]["catalogId"] == "1"


BAD_WINDOWS = [
    ("limit", "0", "Value must be an integer greater than or equal to 1, but was: 0"),
    ("limit", "-1", "Value must be an integer greater than or equal to 1, but was: -1"),
    ("limit", "101", "Value must be an integer less than or equal to 100, but was: 101"),
    ("limit", "1000", "Value must be an integer less than or equal to 100, but was: 1000"),
    ("limit", "9" * 5_000, f"Value must be an integer less than or equal to 100, but was: {'9' * 5_000}"),
    ("limit", "", "Value must be an integer, but was: "),
    ("limit", "x", "Value must be an integer, but was: x"),
    ("limit", "1.0", "Value must be an integer, but was: 1.0"),
    ("limit", "1e1", "Value must be an integer, but was: 1e1"),
    ("limit", " 1", "Value must be an integer, but was:  1"),
    ("limit", "1\n", "Value must be an integer, but was: 1\n"),
    ("limit", "٣", "Value must be an integer, but was: ٣"),
    ("limit", "1_0", "Value must be an integer, but was: 1_0"),
    ("offset", "-1", "Value must be an integer greater than or equal to 0, but was: -1"),
    ("offset", "", "Value must be an integer, but was: "),
    ("offset", "x", "Value must be an integer, but was: x"),
    ("offset", "1.5", "Value must be an integer, but was: 1.5"),
    ("offset", "²", "Value must be an integer, but was: ²"),
    ("offset", "9" * 16, f"Value must be an integer less than or equal to {'9' * 15}, but was: {'9' * 16}"),
    ("offset", "9" * 5_000, f"Value must be an integer less than or equal to {'9' * 15}, but was: {'9' * 5_000}"),
    ("limit", "-" + "9" * 20, f"Value must be an integer greater than or equal to 1, but was: -{'9' * 20}"),
]


@pytest.mark.parametrize("path", ["/v1/me/library/songs", "/v1/storefronts"])
@pytest.mark.parametrize(("parameter", "value", "detail"), BAD_WINDOWS, ids=lambda value: ascii(value[:20]))
async def test_a_limit_or_offset_that_is_none_is_refused(client, path, parameter, value, detail):
    response = await client.get(path, params={parameter: value})

    assert response.status_code == 400
    assert error_of(response) == {
        "title": "Invalid Parameter Value",
        "detail": detail,
        "status": "400",
        "code": "40005",
        "source": {"parameter": parameter},
    }


@pytest.mark.parametrize("limit", [1, 100])
async def test_the_least_and_the_largest_limit_are_accepted(client, limit):
    await add(client, "songs", *map(str, range(101)))

    response = await client.get(f"/v1/me/library/songs?limit={limit}")

    assert len(ids_in(response)) == limit


# Removing


@every_addable_type
async def test_removing_answers_204_and_the_item_is_gone(client, type, id):
    library_id = await added(client, type, id)

    response = await client.delete(f"/v1/me/library/{type}/{library_id}")

    assert response.status_code == 204
    assert response.content == b""
    assert "content-length" not in response.headers
    assert error_of(await client.get(f"/v1/me/library/{type}/{library_id}")) == NOT_FOUND
    assert error_of(await client.delete(f"/v1/me/library/{type}/{library_id}")) == NOT_FOUND
    assert (await client.get(f"/v1/me/library/{type}?ids={library_id}")).content == b'{"data":[]}'
    assert (await client.get(f"/v1/me/library/{type}")).json() == {"data": [], "meta": {"total": 0}}
    assert (await client.get(f"/v1/catalog/us/{type}/{id}/library")).status_code == 404


async def test_an_item_is_removed_by_the_library_id_of_its_own_type_alone(client):
    song = await added(client, "songs", "1")

    as_video = await client.delete(f"/v1/me/library/music-videos/{song}")
    by_catalog_id = await client.delete("/v1/me/library/songs/1")

    assert [as_video.status_code, by_catalog_id.status_code] == [404, 404]
    assert (await client.get(f"/v1/me/library/songs/{song}")).status_code == 200


# Both directions of the link


@every_addable_type
async def test_the_link_is_shown_in_both_directions(client, type, id):
    library_id = await added(client, type, id)

    catalog = await client.get(f"/v1/me/library/{type}/{library_id}/catalog")
    library = await client.get(f"/v1/catalog/us/{type}/{id}/library")

    assert catalog.status_code == library.status_code == 200
    assert catalog.content == document_of(f'{{"id":"{id}","type":"{type}","href":"/v1/catalog/us/{type}/{id}"}}')
    assert library.content == document_of(item_of(type, library_id, id))


async def test_the_catalog_side_of_the_link_is_in_the_listeners_storefront(bens_client):
    library_id = await added(bens_client, "songs", "1")

    catalog = await bens_client.get(f"/v1/me/library/songs/{library_id}/catalog")
    at_home = await bens_client.get("/v1/catalog/jp/songs/1/library")
    abroad = await bens_client.get("/v1/catalog/us/songs/1/library")

    assert catalog.json()["data"][0]["href"] == "/v1/catalog/jp/songs/1"
    assert at_home.status_code == 200
    assert error_of(abroad) == NOT_FOUND


def no_related(side: str) -> dict[str, Any]:
    return {
        "title": "No related resources",
        "detail": f"No related resources found for {side}",
        "status": "404",
        "code": "40403",
    }


async def test_an_upload_has_no_catalog_side(client):
    await rate(client, "library-songs", "i.upload", LIKE_BODY)

    response = await client.get("/v1/me/library/songs/i.upload/catalog")

    assert response.status_code == 404
    assert error_of(response) == no_related("catalog")


@pytest.mark.parametrize("path", ["songs/1", "songs/nonsense", "songs/i.abc", "stations/ra.1", "playlists/pl.x"])
async def test_what_is_not_in_the_library_has_no_library_side(client, path):
    response = await client.get(f"/v1/catalog/us/{path}/library")

    assert response.status_code == 404
    assert error_of(response) == no_related("library")


@pytest.mark.parametrize("type", ["library-songs", "song", "artists"])
async def test_only_catalog_types_have_a_library_side(client, type):
    response = await client.get(f"/v1/catalog/us/{type}/1/library")

    assert response.status_code == 400
    assert error_of(response)["detail"] == f"Unknown resource type '{type}'"


# One rating, two addresses


@every_addable_type
async def test_an_item_rated_before_it_was_added_shows_its_rating_under_the_library_id_at_once(client, type, id):
    await rate(client, type, id, DISLIKE_BODY)

    library_id = await added(client, type, id)

    assert await value_of(client, f"library-{type}", library_id) == -1
    assert await value_of(client, type, id) == -1


@every_addable_type
async def test_a_rating_of_either_address_is_that_of_both(client, type, id):
    library_id = await added(client, type, id)

    await rate(client, f"library-{type}", library_id, LIKE_BODY)
    assert await value_of(client, type, id) == 1
    assert await value_of(client, f"library-{type}", library_id) == 1

    await rate(client, type, id, DISLIKE_BODY)
    assert await value_of(client, type, id) == -1
    assert await value_of(client, f"library-{type}", library_id) == -1


@every_addable_type
@pytest.mark.parametrize("side", ["catalog", "library"])
async def test_a_rating_deleted_under_either_address_is_gone_under_both(client, type, id, side):
    library_id = await added(client, type, id)
    await rate(client, type, id, LIKE_BODY)
    path = f"{type}/{id}" if side == "catalog" else f"library-{type}/{library_id}"

    response = await client.delete(f"/v1/me/ratings/{path}")

    assert response.status_code == 204
    assert await value_of(client, type, id) is None
    assert await value_of(client, f"library-{type}", library_id) is None


async def test_include_content_names_the_address_that_was_asked_for(client):
    library_id = await added(client, "songs", "1")
    await rate(client, "songs", "1", LIKE_BODY)

    response = await client.get(f"/v1/me/ratings/library-songs/{library_id}?include=content")

    assert response.json()["data"][0]["relationships"]["content"]["data"] == [
        {"id": library_id, "type": "library-songs", "href": f"/v1/me/library/songs/{library_id}"}
    ]


async def test_songs_and_music_videos_share_a_prefix_and_nothing_else(client):
    song = await added(client, "songs", "1")
    await rate(client, "songs", "1", LIKE_BODY)

    assert await value_of(client, "library-songs", song) == 1
    assert await value_of(client, "library-music-videos", song) is None


@every_addable_type
async def test_a_removed_items_library_id_is_dead_and_its_catalog_rating_stays(client, type, id):
    library_id = await added(client, type, id)
    await rate(client, f"library-{type}", library_id, LIKE_BODY)
    path = f"/v1/me/ratings/library-{type}/{library_id}"

    await client.delete(f"/v1/me/library/{type}/{library_id}")

    assert error_of(await client.get(path)) == NOT_FOUND
    assert error_of(await client.put(path, content=DISLIKE_BODY)) == NOT_FOUND
    assert error_of(await client.delete(path)) == NOT_FOUND
    assert (await client.get(f"/v1/me/ratings/library-{type}?ids={library_id}")).content == b'{"data":[]}'
    assert await value_of(client, type, id) == 1


@every_addable_type
async def test_an_item_added_again_has_a_new_library_id_and_the_old_one_stays_dead(client, clock, type, id):
    first = await added(client, type, id)
    await rate(client, type, id, LIKE_BODY)
    await client.delete(f"/v1/me/library/{type}/{first}")
    clock.advance(60_000)

    second = await added(client, type, id)

    assert second != first
    assert await value_of(client, f"library-{type}", second) == 1
    assert await value_of(client, f"library-{type}", first) is None
    put = await client.put(f"/v1/me/ratings/library-{type}/{first}", content=DISLIKE_BODY)
    assert error_of(put) == NOT_FOUND
    assert await value_of(client, type, id) == 1
    one = await client.get(f"/v1/me/library/{type}/{second}")
    assert one.json()["data"][0]["attributes"]["dateAdded"] == "2025-11-17T00:01:00Z"


async def test_a_rating_made_while_the_item_was_away_is_there_when_it_comes_back(client):
    first = await added(client, "songs", "1")
    await rate(client, "library-songs", first, LIKE_BODY)
    await client.delete(f"/v1/me/library/songs/{first}")
    await rate(client, "songs", "1", DISLIKE_BODY)

    second = await added(client, "songs", "1")

    assert await value_of(client, "library-songs", second) == -1


# Uploads


UPLOADS = {"songs": "i.upload", "albums": "l.upload", "music-videos": "i.upload", "playlists": "p.mine"}
every_upload = pytest.mark.parametrize(("type", "library_id"), UPLOADS.items(), ids=UPLOADS)


async def link(house: House, type: str, library_id: str, id: str, *, now: Time) -> None:
    """Find the match of an upload, as an operator may."""
    library_item, catalog_item = Item(KINDS[f"library-{type}"], library_id), Item(KINDS[type], id)
    await house.app.store.link(house.ada, library_item, catalog_item, now=now)


@every_upload
async def test_a_library_id_nobody_has_heard_of_is_an_upload_from_its_first_rating_on(client, type, library_id):
    before = await client.get(f"/v1/me/library/{type}/{library_id}")

    await rate(client, f"library-{type}", library_id, LIKE_BODY)

    assert error_of(before) == NOT_FOUND
    assert await value_of(client, f"library-{type}", library_id) == 1
    after = await client.get(f"/v1/me/library/{type}/{library_id}")
    assert after.content == document_of(item_of(type, library_id))


@every_upload
async def test_a_removed_upload_takes_its_rating_along_and_stays_dead(client, type, library_id):
    await rate(client, f"library-{type}", library_id, LIKE_BODY)

    response = await client.delete(f"/v1/me/library/{type}/{library_id}")

    assert response.status_code == 204
    assert await value_of(client, f"library-{type}", library_id) is None
    put = await client.put(f"/v1/me/ratings/library-{type}/{library_id}", content=LIKE_BODY)
    assert put.status_code == 404
    assert error_of(put) == NOT_FOUND
    assert await value_of(client, f"library-{type}", library_id) is None


@every_upload
async def test_an_upload_whose_match_is_found_later_is_linked_like_any_other(house, client, type, library_id):
    id = ADDABLE[type]
    await rate(client, f"library-{type}", library_id, LIKE_BODY)

    await link(house, type, library_id, id, now=TUESDAY)

    assert await value_of(client, type, id) == 1
    await rate(client, type, id, DISLIKE_BODY)
    assert await value_of(client, f"library-{type}", library_id) == -1
    assert ids_in(await client.get(f"/v1/catalog/us/{type}/{id}/library")) == [library_id]
    assert await added(client, type, id) == library_id


async def rate_at(time: Time, house: House, client: httpx2.AsyncClient, address: tuple[str, str], body: bytes) -> None:
    house.clock.time = time
    client.headers.update(house.headers(house.ada_token))
    await rate(client, *address, body)


@every_upload
@pytest.mark.parametrize(
    ("library_time", "catalog_time", "winner"),
    [(MONDAY, TUESDAY, -1), (TUESDAY, MONDAY, 1), (MONDAY, MONDAY, -1)],
    ids=["the catalog's is newer", "the library's is newer", "equally old"],
)
@pytest.mark.parametrize("is_catalog_first", [False, True], ids=["library first", "catalog first"])
async def test_when_both_sides_were_rated_before_they_were_linked_the_newer_rating_wins(
    house, client, type, library_id, library_time, catalog_time, winner, is_catalog_first
):
    library, catalog = (f"library-{type}", library_id), (type, ADDABLE[type])
    ratings = [(library_time, library, LIKE_BODY), (catalog_time, catalog, DISLIKE_BODY)]
    for time, address, body in reversed(ratings) if is_catalog_first else ratings:
        await rate_at(time, house, client, address, body)

    await link(house, type, library_id, ADDABLE[type], now=WEDNESDAY)

    assert await value_of(client, *catalog) == winner
    assert await value_of(client, *library) == winner


# Favorites


@pytest.mark.parametrize(("type", "id"), RATABLE.items(), ids=RATABLE)
async def test_a_favorite_is_a_like(client, type, id):
    response = await client.post(f"/v1/me/favorites?ids[{type}]={id}")

    assert response.status_code == 202
    assert response.content == b""
    assert response.headers["content-length"] == "0"
    assert await value_of(client, type, id) == 1


async def test_a_favorite_of_what_was_disliked_is_a_like(client):
    await rate(client, "songs", "1", DISLIKE_BODY)

    await client.post("/v1/me/favorites?ids[songs]=1")

    assert await value_of(client, "songs", "1") == 1


async def test_favorites_of_several_types_are_set_and_cleared_at_once(client):
    query = "&".join(f"ids[{type}]={id}" for type, id in RATABLE.items())

    posted = await client.post(f"/v1/me/favorites?{query}")
    after_post = [await value_of(client, type, id) for type, id in RATABLE.items()]
    deleted = await client.request("DELETE", f"/v1/me/favorites?{query}")
    after_delete = [await value_of(client, type, id) for type, id in RATABLE.items()]

    assert [posted.status_code, deleted.status_code] == [202, 202]
    assert after_post == [1] * 9
    assert after_delete == [None] * 9


async def test_favorites_are_read_back_as_ratings_in_the_order_of_the_ids(client):
    await client.post("/v1/me/favorites?ids[songs]=1,2,3")

    response = await client.get("/v1/me/ratings/songs?ids=3,4,1")

    assert ids_in(response) == ["3", "1"]


async def test_taking_a_favorite_back_leaves_a_dislike(client):
    await rate(client, "songs", "1", LIKE_BODY)
    await rate(client, "songs", "2", DISLIKE_BODY)

    response = await client.delete("/v1/me/favorites?ids[songs]=1,2,3")

    assert response.status_code == 202
    assert response.content == b""
    values = [await value_of(client, "songs", id) for id in ("1", "2", "3")]
    assert values == [None, -1, None]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_what_cannot_be_a_favorite_is_ignored(client, method):
    await rate(client, "songs", "2", LIKE_BODY if method == "DELETE" else DISLIKE_BODY)

    response = await client.request(
        method, "/v1/me/favorites?ids[songs]=x,i.a,2,pl.x&ids[artists]=1&ids[]=3&ids[library-songs]=1"
    )

    assert response.status_code == 202
    assert await value_of(client, "songs", "2") == (None if method == "DELETE" else 1)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_nothing_but_what_cannot_be_a_favorite_is_accepted(client, method):
    response = await client.request(method, "/v1/me/favorites?ids[artists]=1")

    assert response.status_code == 202


async def test_a_favorite_by_library_id_is_one_by_catalog_id(client):
    library_id = await added(client, "songs", "1")

    await client.post(f"/v1/me/favorites?ids[library-songs]={library_id}")
    liked = await value_of(client, "songs", "1")
    await client.delete("/v1/me/favorites?ids[songs]=1")

    assert liked == 1
    assert await value_of(client, "library-songs", library_id) is None


async def test_a_dead_library_id_is_no_favorite(client):
    library_id = await added(client, "songs", "1")
    await client.delete(f"/v1/me/library/songs/{library_id}")

    response = await client.post(f"/v1/me/favorites?ids[library-songs]={library_id}&ids[songs]=2")

    assert response.status_code == 202
    assert await value_of(client, "library-songs", library_id) is None
    assert await value_of(client, "songs", "1") is None
    assert await value_of(client, "songs", "2") == 1


# Storefronts and the test of a token

UNITED_STATES = (
    b'{"id":"us","type":"storefronts","href":"/v1/storefronts/us","attributes":{"name":"United States",'
    b'"defaultLanguageTag":"en-US","supportedLanguageTags":["en-US","es-MX","ar","ru","zh-Hans-CN"],'
    b'"explicitContentPolicy":"allowed"}}'
)
JAPAN = (
    b'{"id":"jp","type":"storefronts","href":"/v1/storefronts/jp","attributes":{"name":"Japan",'
    b'"defaultLanguageTag":"ja","supportedLanguageTags":["ja","en-US"],"explicitContentPolicy":"allowed"}}'
)


async def test_each_listener_has_a_storefront(client, bens_client):
    adas = await client.get("/v1/me/storefront")
    bens = await bens_client.get("/v1/me/storefront")

    assert adas.content == b'{"data":[' + UNITED_STATES + b"]}"
    assert bens.content == b'{"data":[' + JAPAN + b"]}"


async def test_one_storefront_is_found_by_its_id(client):
    response = await client.get("/v1/storefronts/jp")

    assert response.status_code == 200
    assert response.content == b'{"data":[' + JAPAN + b"]}"


@pytest.mark.parametrize("id", ["zz", "US", "usa", "u", "", "%2F", "us%00", "*"])
async def test_an_unknown_storefront_is_404(house, client, id):
    response = await ask(house.app, "GET", f"/v1/storefronts/{id}/".encode(), raw_headers(client.headers))

    assert response.status_code == 404
    assert error_of(response) == NOT_FOUND


async def test_all_storefronts_come_in_the_order_of_the_file_on_one_page(client):
    response = await client.get("/v1/storefronts")

    assert list(response.json()) == ["data"]
    assert ids_in(response) == list(STOREFRONTS)
    assert len(ids_in(response)) == 167
    for document in response.json()["data"]:
        storefront = STOREFRONTS[document["id"]]
        assert document["href"] == f"/v1/storefronts/{storefront.id}"
        assert list(document["attributes"].values()) == [
            storefront.name,
            storefront.default_language_tag,
            list(storefront.supported_language_tags),
            storefront.policy,
        ]


@pytest.mark.parametrize(
    ("query", "sizes"),
    [
        ("limit=100", [100, 67]),
        ("limit=84", [84, 83]),
        ("offset=166", [1]),
        ("offset=167", [0]),
        ("offset=100000", [0]),
        ("limit=50&offset=100&l=ar", [50, 17]),
    ],
)
async def test_storefronts_can_be_read_in_pages(client, query, sizes):
    pages = []
    target = f"/v1/storefronts?{query}"
    while target:
        response = await client.get(target)
        pages.append(ids_in(response))
        target = response.json().get("next")

    assert [len(page) for page in pages] == sizes
    seen = [id for page in pages for id in page]
    assert seen == list(STOREFRONTS)[len(STOREFRONTS) - len(seen) :]


async def test_the_next_page_of_storefronts_keeps_what_was_asked_for(client):
    response = await client.get("/v1/storefronts?limit=1&l=ar")

    document = response.json()
    assert list(document) == ["next", "data"]
    assert document["next"] == "/v1/storefronts?offset=1&limit=1&l=ar"


async def test_several_storefronts_come_in_the_order_of_the_ids(client):
    response = await client.get("/v1/storefronts?ids=us,zz,jp,us,,US")

    assert response.status_code == 200
    assert response.content == b'{"data":[' + UNITED_STATES + b"," + JAPAN + b"]}"


async def test_no_known_storefront_among_several_is_an_empty_list(client):
    response = await client.get("/v1/storefronts?ids=zz")

    assert response.content == b'{"data":[]}'


async def test_empty_and_too_many_ids_of_storefronts_are_refused(client):
    empty = await client.get("/v1/storefronts?ids=")
    within = await client.get("/v1/storefronts", params={"ids": ",".join(map(str, range(300)))})
    beyond = await client.get("/v1/storefronts", params={"ids": ",".join(map(str, range(301)))})

    assert error_of(empty) == EMPTY_IDS
    assert within.status_code == 200
    assert error_of(beyond)["source"] == {"parameter": "ids"}


async def test_the_test_endpoint_says_that_a_developer_token_is_good(house):
    async with house.client(developer_token=house.sign()) as developer, house.client() as stranger:
        good = await developer.get("/v1/test")
        bad = await stranger.get("/v1/test")

    assert good.status_code == 200
    assert good.content == b""
    assert is_empty_401(bad)


async def test_storefronts_may_be_kept_by_caches_and_a_listeners_storefront_may_not(client):
    everybodys = await client.get("/v1/storefronts/us")
    adas = await client.get("/v1/me/storefront")

    assert "cache-control" not in everybodys.headers
    assert adas.headers["cache-control"] == "no-store"


async def test_names_of_storefronts_are_utf8(client):
    response = await client.get("/v1/storefronts")

    assert json.loads(response.content.decode("utf-8")) == response.json()
    assert b"\\u" not in response.content
