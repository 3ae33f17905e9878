"""What Apple's API does not have, over HTTP: all ratings, what changed since, many at once, all as lines, and names."""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from likewise.app import App
from likewise.config import Settings
from likewise.domain import Change, Item, ItemName, Kind, Value
from likewise.forgetting import forget
from tests.house import (
    DISLIKE_BODY,
    FORBIDDEN,
    LIKE_BODY,
    MONDAY,
    PATH_NOT_FOUND,
    RATABLE,
    ask,
    error_of,
    is_empty_401,
    named_headers,
)

LIKE, DISLIKE = Value.LIKE, Value.DISLIKE
ALL = "/v1/me/ratings"
LINES = "/v1/me/ratings.ndjson"
SONG = Item(Kind.SONG, "907242702")
LIBRARY_SONG = Item(Kind.LIBRARY_SONG, "i.7PJN4BYC1WZ8r")
UPLOAD = Item(Kind.LIBRARY_SONG, "i.upload")
SOMETHING = ItemName(SONG, "Something", "The Beatles")
GONE = {
    "title": "Gone",
    "detail": "What changed after this cursor is no longer known in full; begin again with all ratings",
    "status": "410",
    "code": "41000",
}


def bad_parameter(parameter: str, detail: str) -> dict[str, Any]:
    return {
        "title": "Invalid Parameter Value",
        "detail": detail,
        "status": "400",
        "code": "40005",
        "source": {"parameter": parameter},
    }


def bad_body(pointer: str | None, detail: str) -> dict[str, Any]:
    source = {} if pointer is None else {"source": {"pointer": pointer}}
    return {"title": "Invalid Request Body", "detail": detail, "status": "400", "code": "40007"} | source


def song(number: int) -> Item:
    return Item(Kind.SONG, str(number))


@pytest.fixture
def store(house):
    return house.app.store


@pytest.fixture
async def plain_client(house, tmp_path) -> AsyncIterator[httpx2.AsyncClient]:
    """Ada's client of a service on the same database that has Apple's endpoints alone."""
    settings = Settings(database=f"sqlite:///{tmp_path}/likewise.db", extensions="off")
    async with App(settings, now=house.clock) as app:
        transport = httpx2.ASGITransport(app=app)
        headers = house.headers(house.ada_token)
        async with httpx2.AsyncClient(transport=transport, base_url="http://likewise.test", headers=headers) as client:
            yield client


async def document_of(client, path: str, status: int = 200) -> Any:
    response = await client.get(path)
    assert response.status_code == status, response.text
    return response.json()


async def pages_of(client, path: str | None) -> list[Any]:
    pages = []
    while path:
        pages.append(await document_of(client, path))
        path = pages[-1].get("next")
    return pages


def hrefs_in(*pages: Any) -> list[str]:
    return [rating["href"] for page in pages for rating in page["data"]]


# All ratings


async def test_a_listener_who_has_rated_nothing_has_an_empty_list(client):
    response = await client.get(ALL)

    assert response.status_code == 200
    assert response.json()["data"] == []
    assert response.json()["meta"]["total"] == 0
    assert response.headers["content-type"] == "application/json;charset=utf-8"
    assert response.headers["content-language"] == "en-US"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-allow-origin"] == "*"


async def test_a_rating_in_the_list_is_apples_object_with_its_time(client, house, store):
    await store.put(house.ada, SONG, DISLIKE, now=MONDAY)
    await store.put(house.ben, SONG, LIKE, now=MONDAY)

    response = await client.get(ALL)

    assert response.content.startswith(
        b'{"data":[{"id":"907242702","type":"ratings","href":"/v1/me/ratings/songs/907242702",'
        b'"attributes":{"value":-1,"ratedAt":"2025-11-17T00:00:00.123Z"}}],"meta":{"total":1,"cursor":"'
    )


async def test_the_newest_come_first_in_pages_of_25(client, house, store):
    await store.write(house.ada, [Change(song(n), LIKE, time=MONDAY + n) for n in range(60)], now=MONDAY)

    pages = await pages_of(client, ALL)

    assert [len(page["data"]) for page in pages] == [25, 25, 10]
    assert hrefs_in(*pages) == [f"/v1/me/ratings/songs/{n}" for n in reversed(range(60))]
    assert [page["meta"]["total"] for page in pages] == [60, 60, 60]
    assert ["cursor" in page["meta"] for page in pages] == [True, False, False]
    assert "next" not in pages[-1]


@pytest.mark.parametrize("limit", [1, 7, 29, 30, 31, 100])
async def test_pages_have_as_many_as_is_asked_for(client, house, store, limit):
    await store.write(house.ada, [Change(song(n), LIKE, time=MONDAY + n // 4) for n in range(30)], now=MONDAY)

    pages = await pages_of(client, f"{ALL}?limit={limit}")

    assert all(len(page["data"]) == limit for page in pages[:-1])
    assert sorted(hrefs_in(*pages)) == sorted(f"/v1/me/ratings/songs/{n}" for n in range(30))
    assert len(pages) == -(-30 // limit)


async def test_the_next_page_keeps_what_was_asked_for(client, house, store):
    await store.write(house.ada, [Change(song(n), LIKE) for n in range(3)], now=MONDAY)
    await store.put(house.ada, song(9), DISLIKE, now=MONDAY)
    query = "limit=2&l=en-us&filter[type]=songs,albums&filter%5Bvalue%5D=1&include=content&unknown=1"

    [first, last] = await pages_of(client, f"{ALL}?{query}")

    assert first["next"] == (
        f"/v1/me/ratings?offset={MONDAY}.1.1&limit=2&l=en-us&filter%5Btype%5D=songs,albums&filter%5Bvalue%5D=1&include=content"
    )
    assert hrefs_in(first, last) == [f"/v1/me/ratings/songs/{n}" for n in range(3)]
    assert last["data"][0]["relationships"]["content"]["data"][0]["id"] == "2"


async def test_a_rating_of_each_type_is_in_the_list_and_can_be_filtered_for(client):
    for type, id in RATABLE.items():
        await client.put(f"/v1/me/ratings/{type}/{id}", content=LIKE_BODY)

    whole = await document_of(client, ALL)

    assert sorted(hrefs_in(whole)) == sorted(f"/v1/me/ratings/{type}/{id}" for type, id in RATABLE.items())
    for type, id in RATABLE.items():
        page = await document_of(client, f"{ALL}?filter[type]={type}")
        assert hrefs_in(page) == [f"/v1/me/ratings/{type}/{id}"]
        assert page["meta"]["total"] == 1


async def test_the_value_can_be_filtered_for(client, house, store):
    await store.write(house.ada, [Change(song(1), LIKE), Change(song(2), DISLIKE)], now=MONDAY)

    assert hrefs_in(await document_of(client, f"{ALL}?filter[value]=1")) == ["/v1/me/ratings/songs/1"]
    assert hrefs_in(await document_of(client, f"{ALL}?filter[value]=-1")) == ["/v1/me/ratings/songs/2"]
    assert hrefs_in(await document_of(client, f"{ALL}?filter[type]=albums&filter[type]=songs&filter[value]=1")) == [
        "/v1/me/ratings/songs/1"
    ]


async def test_a_linked_rating_has_both_of_its_addresses_and_an_upload_its_own(client, house, store):
    await store.link(house.ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(house.ada, LIBRARY_SONG, LIKE, now=MONDAY + 1)
    await store.put(house.ada, UPLOAD, LIKE, now=MONDAY)

    [linked, upload] = (await document_of(client, ALL))["data"]

    assert linked["href"] == "/v1/me/ratings/songs/907242702"
    assert linked["relationships"] == {
        "library": {
            "data": [
                {"id": LIBRARY_SONG.id, "type": "library-songs", "href": f"/v1/me/library/songs/{LIBRARY_SONG.id}"}
            ]
        }
    }
    assert upload["href"] == "/v1/me/ratings/library-songs/i.upload"
    assert "relationships" not in upload


async def test_content_is_included_when_asked_for(client, house, store):
    await store.put(house.ada, SONG, LIKE, now=MONDAY)

    [rating] = (await document_of(client, f"{ALL}?include=content"))["data"]

    assert rating["relationships"] == {
        "content": {"data": [{"id": SONG.id, "type": "songs", "href": f"/v1/catalog/us/songs/{SONG.id}"}]}
    }


@pytest.mark.parametrize(
    ("query", "parameter", "detail"),
    [
        ("limit=0", "limit", "Value must be an integer greater than or equal to 1, but was: 0"),
        ("limit=101", "limit", "Value must be an integer less than or equal to 100, but was: 101"),
        ("offset=25", "offset", "There is no such place in the list: 25"),
        ("offset=", "offset", "There is no such place in the list: "),
        ("offset=1.6.1", "offset", "There is no such place in the list: 1.6.1"),
        ("offset=1.0.1", "offset", "There is no such place in the list: 1.0.1"),
        ("offset=1.1.%D9%A1", "offset", "There is no such place in the list: 1.1.\u0661"),
        ("offset=%D9%A1.1.1", "offset", "There is no such place in the list: \u0661.1.1"),
        ("filter[type]=song", "filter[type]", "Unknown resource type 'song'"),
        ("filter[type]=songs,artists", "filter[type]", "Unknown resource type 'artists'"),
        ("filter[type]=", "filter[type]", "No types supplied in the 'filter[type]' query parameter"),
        ("filter[value]=0", "filter[value]", "Value must be 1 or -1, but was: 0"),
        ("filter[value]=", "filter[value]", "Value must be 1 or -1, but was: "),
        ("filter[value]=1.0", "filter[value]", "Value must be 1 or -1, but was: 1.0"),
        ("l=english", "l", "Invalid language tag 'english'"),
        ("l=english&limit=0", "l", "Invalid language tag 'english'"),
        ("limit=0&offset=x", "limit", "Value must be an integer greater than or equal to 1, but was: 0"),
        ("offset=x&filter[type]=x", "offset", "There is no such place in the list: x"),
        ("filter[value]=x&filter[type]=x", "filter[type]", "Unknown resource type 'x'"),
    ],
)
async def test_a_bad_parameter_of_the_list_is_refused_by_name(client, query, parameter, detail):
    response = await client.get(f"{ALL}?{query}")

    assert response.status_code == 400
    assert error_of(response) == bad_parameter(parameter, detail)


async def test_what_stays_as_it_is_appears_exactly_once_however_others_change_meanwhile(client, house, store):
    """Each page is read while other ratings come, go and move to the top."""
    steady = [song(n) for n in range(0, 80, 2)]
    restless = [song(n) for n in range(1, 80, 2)]
    everything = steady + restless
    await store.write(house.ada, [Change(item, LIKE, time=MONDAY + int(item.id) // 3) for item in everything], now=0)
    values = itertools.cycle([DISLIKE, None, LIKE])
    path: str | None = f"{ALL}?limit=7"
    seen: list[str] = []
    moment = itertools.count(MONDAY)

    async def change_some() -> None:
        for item in restless[::3]:
            await store.write(house.ada, [Change(item, next(values))], now=next(moment))
        restless.append(restless.pop(0))

    while path:
        page, _ = await asyncio.gather(document_of(client, path), change_some())
        seen += [rating["id"] for rating in page["data"]]
        path = page.get("next")

    for item in steady:
        assert seen.count(item.id) == 1


# What changed since


async def cursor_of(client) -> str:
    cursor: str = (await document_of(client, ALL))["meta"]["cursor"]
    return cursor


async def test_the_list_says_where_the_changes_go_on(client, house, store):
    await store.put(house.ada, song(1), LIKE, now=MONDAY)
    cursor = await cursor_of(client)
    nothing = await document_of(client, f"{ALL}?since={cursor}")
    await store.put(house.ada, song(2), LIKE, now=MONDAY)
    await store.delete(house.ada, song(1), now=MONDAY + 1)

    page = await document_of(client, f"{ALL}?since={cursor}")

    assert nothing == {"data": [], "meta": {"cursor": cursor}}
    assert [(each["id"], each["attributes"]) for each in page["data"]] == [
        ("2", {"value": 1, "ratedAt": "2025-11-17T00:00:00.123Z"}),
        ("1", {"value": None, "ratedAt": "2025-11-17T00:00:00.124Z"}),
    ]
    assert list(page) == ["data", "meta"]
    assert (await document_of(client, f"{ALL}?since={page['meta']['cursor']}"))["data"] == []


async def test_changes_come_in_pages_of_100_or_as_many_as_is_asked_for(client, house, store):
    cursor = await cursor_of(client)
    await store.write(house.ada, [Change(song(n), LIKE) for n in range(250)], now=MONDAY)

    for limit, sizes in ((None, [100, 100, 50]), (125, [125, 125]), (250, [250]), (1_000, [250]), (249, [249, 1])):
        query = "" if limit is None else f"&limit={limit}"
        pages = await pages_of(client, f"{ALL}?since={cursor}{query}")
        assert [len(page["data"]) for page in pages] == sizes
        assert hrefs_in(*pages) == [f"/v1/me/ratings/songs/{n}" for n in range(250)]
        assert len({page["meta"]["cursor"] for page in pages}) == len(pages)


async def test_the_next_page_of_changes_keeps_what_was_asked_for(client, house, store):
    cursor = await cursor_of(client)
    await store.write(house.ada, [Change(song(n), LIKE) for n in range(2)], now=MONDAY)

    first = await document_of(client, f"{ALL}?since={cursor}&limit=1&include=content&l=en-US")

    assert first["next"] == f"/v1/me/ratings?since={first['meta']['cursor']}&limit=1&include=content&l=en-US"
    assert first["data"][0]["relationships"]["content"]["data"][0]["id"] == "0"


@pytest.mark.parametrize(
    "cursor", ["", "x", "1", "1.", ".1", "-1.1", "1.-1", "1.1.1", "1.1 ", "\u0661.1", f"1.{'9' * 19}"]
)
async def test_what_is_no_cursor_is_refused(client, cursor):
    response = await client.get(ALL, params={"since": cursor})

    assert response.status_code == 400
    assert error_of(response) == bad_parameter("since", f"This is no cursor: {cursor}")


async def test_a_cursor_of_somebody_else_or_of_another_database_is_gone(client, bens_client):
    cursor = await cursor_of(bens_client)
    era, _ = (await cursor_of(client)).split(".")

    for foreign in (cursor, f"{int(era) + 1}.0", "0.0"):
        response = await client.get(f"{ALL}?since={foreign}")
        assert response.status_code == 410
        assert error_of(response) == GONE
    assert (await client.get(f"{ALL}?since={era}.0")).status_code == 200


async def test_a_cursor_from_before_what_was_forgotten_is_gone(client, house, store):
    old = await cursor_of(client)
    await store.put(house.ada, song(1), LIKE, now=MONDAY)
    await store.delete(house.ada, song(1), now=MONDAY)
    current = await cursor_of(client)
    await store.forget(house.ada, before=MONDAY + 1, limit=9)

    assert error_of(await client.get(f"{ALL}?since={old}")) == GONE
    assert (await client.get(f"{ALL}?since={current}")).status_code == 200


async def test_a_cursor_from_the_future_of_a_restored_backup_is_gone(client, house, store):
    await store.put(house.ada, song(1), LIKE, now=MONDAY)
    era, number = (await cursor_of(client)).split(".")

    assert error_of(await client.get(f"{ALL}?since={era}.{int(number) + 1}")) == GONE
    assert error_of(await client.get(f"{ALL}?since={era}.{'9' * 18}")) == GONE


@pytest.mark.parametrize("parameter", ["offset", "filter[type]", "filter[value]"])
async def test_what_belongs_to_the_list_is_refused_for_the_changes(client, parameter):
    response = await client.get(ALL, params={"since": "1.1", parameter: "1"})

    assert response.status_code == 400
    assert error_of(response) == bad_parameter(parameter, f"'{parameter}' and 'since' do not go together")


async def test_of_wrong_parameters_of_the_changes_the_first_in_order_is_told(client):
    for query, parameter in (
        ("since=x&l=english&limit=0", "l"),
        ("since=x&limit=1001&offset=1", "limit"),
        ("since=x&filter[value]=1&offset=1", "offset"),
        ("since=x", "since"),
    ):
        assert error_of(await client.get(f"{ALL}?{query}"))["source"] == {"parameter": parameter}


async def test_whoever_follows_the_changes_while_many_write_has_what_the_source_has(client, house, store):
    await store.write(house.ada, [Change(song(n), LIKE) for n in range(30)], now=MONDAY)
    [*pages] = await pages_of(client, f"{ALL}?limit=9")
    mirror = {each["href"]: each["attributes"]["value"] for page in pages for each in page["data"]}
    cursor = pages[0]["meta"]["cursor"]

    async def follow() -> None:
        nonlocal cursor
        for page in await pages_of(client, f"{ALL}?since={cursor}&limit=4"):
            cursor = page["meta"]["cursor"]
            for each in page["data"]:
                mirror[each["href"]] = each["attributes"]["value"]

    async def write(start: int) -> None:
        for number in range(start, start + 30):
            value = [1, -1, None][number % 3]
            path = f"/v1/me/ratings/songs/{number % 37}"
            if value is None:
                await client.delete(path)
            else:
                await client.put(path, json={"attributes": {"value": value}})

    writing = asyncio.gather(*(write(start) for start in (0, 11, 23)))
    while not writing.done():
        await follow()
        await asyncio.sleep(0)  # where nothing is new, following waits for nobody
    await writing
    await follow()

    source = {
        each["href"]: each["attributes"]["value"] for each in (await document_of(client, f"{ALL}?limit=100"))["data"]
    }
    assert {href: value for href, value in mirror.items() if value is not None} == source


# Many at once


def entry_of(type: str, id: str, value: Any) -> dict[str, Any]:
    return {"type": type, "id": id, "attributes": {"value": value}}


async def post(client, *entries: Any) -> Any:
    response = await client.post(ALL, json={"data": entries})
    assert response.status_code == 200
    return response.json()["data"]


async def test_many_ratings_are_set_and_cleared_at_once(client, house, store):
    await store.put(house.ada, song(3), LIKE, now=MONDAY - 1)
    response = await client.post(
        ALL, json={"data": [entry_of("songs", "1", 1), entry_of("albums", "2", -1), entry_of("songs", "3", None)]}
    )

    assert response.status_code == 200
    assert response.content == (
        b'{"data":['
        b'{"id":"1","type":"ratings","href":"/v1/me/ratings/songs/1","attributes":{"value":1}},'
        b'{"id":"2","type":"ratings","href":"/v1/me/ratings/albums/2","attributes":{"value":-1}},'
        b'{"id":"3","type":"ratings","href":"/v1/me/ratings/songs/3","attributes":{"value":null}}]}'
    )
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-language"] == "en-US"
    assert hrefs_in(await document_of(client, ALL)) == ["/v1/me/ratings/songs/1", "/v1/me/ratings/albums/2"]


async def test_all_nine_types_may_be_mixed(client):
    await post(client, *(entry_of(type, id, 1) for type, id in RATABLE.items()))

    assert sorted(hrefs_in(await document_of(client, ALL))) == sorted(
        f"/v1/me/ratings/{type}/{id}" for type, id in RATABLE.items()
    )


async def test_of_duplicates_the_last_wins(client):
    outcomes = await post(client, entry_of("songs", "1", 1), entry_of("songs", "1", None), entry_of("songs", "1", -1))

    assert [outcome["attributes"]["value"] for outcome in outcomes] == [1, None, -1]
    [rating] = (await document_of(client, ALL))["data"]
    assert rating["attributes"]["value"] == -1


async def test_to_clear_what_is_not_rated_is_no_fault(client):
    assert (await post(client, entry_of("songs", "1", None)))[0]["attributes"] == {"value": None}
    assert (await document_of(client, ALL))["data"] == []


@pytest.mark.parametrize(
    ("entry", "pointer", "detail"),
    [
        (1, "", "A rating is an object with type, id and attributes"),
        (None, "", "A rating is an object with type, id and attributes"),
        ({}, "/type", f"The type is one of {', '.join(RATABLE)}"),
        (entry_of("song", "1", 1), "/type", f"The type is one of {', '.join(RATABLE)}"),
        ({"type": ["songs"], "id": "1"}, "/type", f"The type is one of {', '.join(RATABLE)}"),
        ({"type": "songs"}, "/id", "Ratings not allowed for resource type 'songs'"),
        (entry_of("songs", "i.a", 1), "/id", "Ratings not allowed for resource type 'songs'"),
        ({"type": "songs", "id": 1}, "/id", "Ratings not allowed for resource type 'songs'"),
        ({"type": "songs", "id": "1"}, "/attributes", "The attributes of a rating are an object with a value"),
        ({"type": "songs", "id": "1", "attributes": [1]}, "/attributes", None),
        ({"type": "songs", "id": "1", "attributes": {}}, "/attributes/value", None),
        *(
            (entry_of("songs", "1", value), "/attributes/value", None)
            for value in [0, 2, "1", "", 1.0, True, False, [1], {}, 10**400]
        ),
    ],
)
async def test_what_is_wrong_with_one_is_told_in_its_place_and_keeps_no_other_out(client, entry, pointer, detail):
    entries = [entry_of("songs", "8", 1), entry, entry_of("songs", "9", 1)]

    response = await client.post(ALL, content=json.dumps({"data": entries}))

    assert response.status_code == 200
    [before, outcome, after] = response.json()["data"]
    [error] = outcome["errors"]
    assert list(error) == ["id", "title", "detail", "status", "code", "source"]
    assert (error["status"], error["code"], error["title"]) == ("400", "40007", "Invalid Request Body")
    assert error["source"] == {"pointer": f"/data/1{pointer}"}
    assert detail in {None, error["detail"]}
    assert (before["id"], after["id"]) == ("8", "9")
    assert (await document_of(client, ALL))["meta"]["total"] == 2


async def test_a_dead_library_id_is_not_found_in_its_place(client, house, store):
    await store.link(house.ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.unlink(house.ada, LIBRARY_SONG, now=MONDAY)

    [dead, cleared, good] = await post(
        client,
        entry_of("library-songs", LIBRARY_SONG.id, 1),
        entry_of("library-songs", LIBRARY_SONG.id, None),
        entry_of("songs", "1", 1),
    )

    assert [(error["status"], error["code"]) for error in dead["errors"]] == [("404", "40400")]
    assert cleared["attributes"] == {"value": None}
    assert good["id"] == "1"


async def test_nothing_but_faults_changes_nothing(client):
    outcomes = await post(client, 1, 2)

    assert all(list(outcome) == ["errors"] for outcome in outcomes)
    assert await post(client) == []
    assert (await document_of(client, ALL))["meta"]["total"] == 0


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ("1e999", "/data/1/attributes/value"),
        ("1" + "0" * 5_000, "/data/1/attributes/value"),
        ('"\\ud800"', "/data/1/attributes/value"),
        ('1},"x":{"\\udc00":-1e999', None),
    ],
    ids=["a number beyond all floats", "a giant integer", "a lone surrogate", "in an ignored member"],
)
async def test_what_is_odd_but_json_keeps_no_other_out_either(client, value, pointer):
    await client.put("/v1/me/ratings/songs/2", content=DISLIKE_BODY)
    body = (
        '{"data":[{"type":"songs","id":"1","attributes":{"value":1}},'
        f'{{"type":"songs","id":"2","attributes":{{"value":{value}}}}}]}}'
    )

    response = await client.post(ALL, content=body)

    assert response.status_code == 200
    first, second = response.json()["data"]
    assert first["attributes"] == {"value": 1}
    if pointer is None:
        assert second["attributes"] == {"value": 1}
    else:
        assert second["errors"][0]["source"] == {"pointer": pointer}
        rated = (await document_of(client, "/v1/me/ratings/songs/2"))["data"]
        assert rated[0]["attributes"] == {"value": -1}


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        (b"", None, "The body is no JSON document in UTF-8"),
        (b"[]", None, "The body is no JSON object"),
        (b"{}", "/data", "The data of many ratings is an array"),
        (b'{"data":{}}', "/data", "The data of many ratings is an array"),
        (b'{"data":[1,]}', None, "The body is no JSON document in UTF-8"),
        (b'{"data":' + b"[" * 100_000, None, "The body is no JSON document in UTF-8"),
    ],
)
async def test_a_body_that_is_no_list_of_ratings_is_refused_whole(client, body, pointer, detail):
    response = await client.post(ALL, content=body)

    assert response.status_code == 400
    assert error_of(response) == bad_body(pointer, detail)


async def test_a_thousand_ratings_may_come_at_once_and_one_more_may_not(client):
    entries = [entry_of("songs", str(number), 1) for number in range(1_001)]

    response = await client.post(ALL, json={"data": entries})

    assert response.status_code == 413
    assert error_of(response)["detail"] == "The body may have 1000 ratings"
    assert (await document_of(client, ALL))["meta"]["total"] == 0
    assert len(await post(client, *entries[:1_000])) == 1_000
    assert (await document_of(client, ALL))["meta"]["total"] == 1_000


async def test_the_body_of_many_ratings_may_have_a_mebibyte_and_no_byte_more(client):
    start, end = b'{"data":[],"padding":"', b'"}'
    body = start + b"x" * (1024 * 1024 - len(start) - len(end)) + end

    assert (await client.post(ALL, content=body)).status_code == 200
    response = await client.post(ALL, content=b" " + body)
    assert response.status_code == 413
    assert error_of(response)["detail"] == "The body may have 1048576 bytes"


# All as lines


async def test_all_ratings_come_as_lines_that_say_it_in_words(client, house, store):
    await store.put(house.ada, song(10), LIKE, now=MONDAY)
    await store.put(house.ada, song(9), DISLIKE, now=MONDAY + 1)
    await store.put(house.ada, song(8), LIKE, now=MONDAY)
    await store.delete(house.ada, song(8), now=MONDAY)
    await store.put(house.ben, song(7), LIKE, now=MONDAY)

    response = await client.get(LINES)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-expose-headers"] == "Likewise-Cursor"
    assert response.text == (
        '{"type":"songs","id":"10","value":1,"time":"2025-11-17T00:00:00.123Z"}\n'
        '{"type":"songs","id":"9","value":-1,"time":"2025-11-17T00:00:00.124Z"}\n'
    )


async def test_more_than_a_page_of_lines_comes_whole_and_says_where_the_changes_go_on(client, house, store):
    for start in range(0, 2_500, 500):
        await store.write(house.ada, [Change(song(start + n), LIKE) for n in range(500)], now=MONDAY)

    response = await client.get(LINES)
    await store.put(house.ada, song(1), DISLIKE, now=MONDAY)

    assert len({json.loads(line)["id"] for line in response.text.splitlines()}) == 2_500
    page = await document_of(client, f"{ALL}?since={response.headers['likewise-cursor']}")
    assert hrefs_in(page) == ["/v1/me/ratings/songs/1"]


async def test_head_tells_of_lines_without_any(client, house, store):
    await store.put(house.ada, SONG, LIKE, now=MONDAY)

    response = await client.head(LINES)

    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["content-type"] == "application/x-ndjson"


# Names


async def test_names_are_in_the_list_and_the_changes_when_they_are_known(client, house, store):
    cursor = await cursor_of(client)
    await store.learn(house.ada, [SOMETHING, ItemName(UPLOAD, title="Demo"), ItemName(song(2))])
    await store.write(house.ada, [Change(item, LIKE) for item in (SONG, UPLOAD, song(2), song(3))], now=MONDAY)

    for path in (f"{ALL}?include=content", f"{ALL}?since={cursor}&include=content"):
        ratings = {each["id"]: each for each in (await document_of(client, path))["data"]}
        for id, names in (
            (SONG.id, {"name": "Something", "artistName": "The Beatles"}),
            (UPLOAD.id, {"name": "Demo"}),
            ("2", {}),
            ("3", {}),
        ):
            attributes = ratings[id]["attributes"]
            assert {name: attributes[name] for name in attributes if name not in {"value", "ratedAt"}} == names
            [content] = ratings[id]["relationships"]["content"]["data"]
            assert content.get("attributes", {}) == names


async def test_a_linked_item_has_the_name_of_either_side(client, house, store):
    await store.link(house.ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(house.ada, SONG, LIKE, now=MONDAY)
    await store.learn(house.ada, [ItemName(LIBRARY_SONG, title="Mine")])
    [by_library_name] = (await document_of(client, ALL))["data"]
    await store.learn(None, [SOMETHING])
    [by_catalog_name] = (await document_of(client, ALL))["data"]

    assert by_library_name["attributes"]["name"] == "Mine"
    assert by_catalog_name["attributes"]["name"] == "Something"


async def content_in(client, path: str) -> Any:
    [rating] = (await document_of(client, path))["data"]
    [content] = rating["relationships"]["content"]["data"]
    return content


@pytest.mark.parametrize("item", [SONG, LIBRARY_SONG], ids=["catalog", "library"])
async def test_apples_own_endpoints_tell_a_name_with_the_content_when_it_is_known(client, house, store, item):
    await store.link(house.ada, LIBRARY_SONG, SONG, now=MONDAY)
    await store.put(house.ada, SONG, LIKE, now=MONDAY)
    one = f"/v1/me/ratings/{item.kind.type}/{item.id}"
    many = f"/v1/me/ratings/{item.kind.type}?ids={item.id}"
    before = [await content_in(client, f"{one}?include=content"), await content_in(client, f"{many}&include=content")]
    await store.learn(None, [SOMETHING])
    after = [await content_in(client, f"{one}?include=content"), await content_in(client, f"{many}&include=content")]

    assert all(list(content) == ["id", "type", "href"] for content in before)
    assert [content.pop("attributes") for content in after] == [{"name": "Something", "artistName": "The Beatles"}] * 2
    assert after == before
    assert "attributes" in (await document_of(client, one))["data"][0]
    assert "relationships" not in (await document_of(client, one))["data"][0]


async def test_of_an_upload_nobody_else_learns_the_name(bens_client, house, store):
    await store.learn(house.ada, [ItemName(UPLOAD, title="Demo")])
    await store.put(house.ben, UPLOAD, LIKE, now=MONDAY)

    assert "attributes" not in await content_in(
        bens_client, f"/v1/me/ratings/library-songs/{UPLOAD.id}?include=content"
    )


# Who may ask, and how


@pytest.mark.parametrize("path", [ALL, LINES, f"{ALL}/"])
async def test_strangers_are_refused_as_everywhere(house, path):
    async with house.client() as stranger:
        assert is_empty_401(await stranger.get(path))
    async with house.client(developer_token=house.sign()) as developer:
        response = await developer.get(path)
        assert response.status_code == 403
        assert error_of(response) == FORBIDDEN


async def test_who_may_not_ask_is_refused_before_parameters_and_bodies(house):
    async with house.client() as stranger:
        assert is_empty_401(await stranger.get(f"{ALL}?limit=0"))
        assert is_empty_401(await stranger.post(ALL, content=b"x" * 2_000_000))


@pytest.mark.parametrize(
    ("path", "allowed"), [(ALL, "GET, HEAD, POST, OPTIONS"), (LINES, "GET, HEAD, OPTIONS")], ids=["list", "lines"]
)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "BREW"])
async def test_other_methods_are_told_which_there_are(client, path, allowed, method):
    response = await client.request(method, path)

    assert response.status_code == 405
    assert response.headers["allow"] == allowed


async def test_lines_cannot_be_posted(client):
    assert (await client.post(LINES)).status_code == 405


@pytest.mark.parametrize("path", [ALL, LINES])
async def test_a_preflight_is_answered_to_anybody(house, path):
    response = await ask(house.app, "OPTIONS", path.encode())

    assert response.status_code == 204
    assert "POST" in response.headers["access-control-allow-methods"]


async def test_a_trailing_slash_is_no_other_path(client, house, store):
    await store.put(house.ada, SONG, LIKE, now=MONDAY)

    assert hrefs_in(await document_of(client, f"{ALL}/")) == ["/v1/me/ratings/songs/907242702"]
    assert (await client.post(f"{ALL}/", json={"data": []})).status_code == 200


async def test_a_removed_listener_is_nobody(client, store):
    await client.get(ALL)
    await store.remove_listener("ada")

    body = {"data": [entry_of("songs", "1", 1)]}
    for request in (client.get(ALL), client.get(f"{ALL}?since=1.1"), client.get(LINES), client.post(ALL, json=body)):
        assert (await request).status_code == 403


async def test_a_long_list_is_compressed_for_those_who_ask(client, house, store):
    await store.write(house.ada, [Change(song(n), LIKE) for n in range(100)], now=MONDAY)

    response = await client.get(f"{ALL}?limit=100", headers={"Accept-Encoding": "gzip"})

    assert response.headers["content-encoding"] == "gzip"
    assert len(response.json()["data"]) == 100


# Without extensions


@pytest.mark.parametrize("path", [ALL, f"{ALL}/", LINES, f"{ALL}?since=1.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
async def test_without_extensions_there_are_no_such_paths(plain_client, path, method):
    response = await plain_client.request(method, path)

    assert response.status_code == 404
    if method != "HEAD":
        assert error_of(response) == PATH_NOT_FOUND


async def test_without_extensions_no_name_is_told(plain_client, house, store):
    await store.learn(None, [SOMETHING])
    await store.put(house.ada, SONG, LIKE, now=MONDAY)

    response = await plain_client.get(f"/v1/me/ratings/songs/{SONG.id}?include=content")

    assert response.content == (
        b'{"data":[{"id":"907242702","type":"ratings","href":"/v1/me/ratings/songs/907242702","attributes":{"value":1},'
        b'"relationships":{"content":{"data":[{"id":"907242702","type":"songs","href":"/v1/catalog/us/songs/907242702"}]}}}]}'
    )


APPLES = [
    ("PUT", "/v1/me/ratings/songs/1?include=content"),
    ("GET", "/v1/me/ratings/songs/1"),
    ("GET", "/v1/me/ratings/songs/1?include=content"),
    ("GET", "/v1/me/ratings/songs?ids=2,1,1,i.1&include=content&l=es-MX"),
    ("GET", "/v1/me/ratings/songs"),
    ("GET", "/v1/me/ratings/songs/2"),
    ("GET", "/v1/me/ratings/songs/i.1"),
    ("GET", "/v1/me/ratings/songs?ids=1&l=!"),
    ("POST", "/v1/me/ratings/songs/1"),
    ("POST", "/v1/me/library?ids[songs]=1"),
    ("GET", "/v1/me/library/songs?limit=1"),
    ("GET", "/v1/me/favorites"),
    ("DELETE", "/v1/me/favorites?ids[songs]=2"),
    ("GET", "/v1/me/storefront"),
    ("GET", "/v1/storefronts?ids=us"),
    ("GET", "/v1/test"),
    ("OPTIONS", "/v1/me/ratings/songs/1"),
    ("DELETE", "/v1/me/ratings/songs/2"),
    ("GET", "/v1/me/ratings-of-mine"),
]


@pytest.mark.parametrize(("method", "target"), APPLES)
async def test_apples_answers_are_the_same_with_extensions_and_without(client, plain_client, method, target):
    await client.put("/v1/me/ratings/songs/1", content=LIKE_BODY)

    answers = [await each.request(method, target, content=LIKE_BODY) for each in (client, plain_client)]

    extended, plain = ((each.status_code, named_headers(each), without_error_id(each.content)) for each in answers)
    assert extended == plain


def without_error_id(body: bytes) -> bytes:
    """Take out the one thing about an error that is new each time."""
    return re.sub(rb'"id":"[A-Z2-7]{26}"', b'"id":""', body)


# Forgetting


async def test_whoever_comes_from_before_what_was_forgotten_begins_again(client, store):
    cursor = await cursor_of(client)
    await client.put(f"/v1/me/ratings/songs/{SONG.id}", content=LIKE_BODY)
    await client.delete(f"/v1/me/ratings/songs/{SONG.id}")
    await forget(store, before=MONDAY)
    kept = await document_of(client, f"{ALL}?since={cursor}")
    await forget(store, before=MONDAY + 1)

    assert [each["attributes"]["value"] for each in kept["data"]] == [None]
    assert error_of(await client.get(f"{ALL}?since={cursor}")) == GONE
