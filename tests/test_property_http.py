"""Whatever bytes arrive, nothing breaks, and no rating changes but by a request that is right in every part."""

import json
from typing import Any

import httpx2
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from likewise.domain import KINDS, Change, Item, Listener, Rating, Value
from tests.house import (
    KEY_ID,
    LIKE_BODY,
    MONDAY,
    RATABLE,
    House,
    ask,
    good_claims,
    good_header,
    is_empty_401,
    raw_headers,
    signed,
)

ITEMS = [Item(KINDS[type], id) for type, id in RATABLE.items()]
SONG_PATH = b"/v1/me/ratings/songs/" + RATABLE["songs"].encode()

METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "BREW"])
READING = {"GET", "HEAD", "OPTIONS"}

# Bytes that mean something, between any others.
PIECES = st.sampled_from(
    [b"v1", b"me", b"ratings", b"library", b"favorites", b"catalog", b"us", b"storefronts", b"storefront", b"test"]
    + [piece.encode() for pair in RATABLE.items() for piece in pair]
    + [b"/", b"..", b".", b"%2F", b"%2f", b"%", b"%00", b"%ff", b"%C3", b"%zz", b"?", b"#", b";", b"", b" ", b"\\"]
)
PATHS = st.one_of(
    st.binary(max_size=60),
    st.lists(PIECES, max_size=8).map(b"/".join),
    st.lists(PIECES, max_size=8).map(b"".join),
    st.lists(PIECES | st.binary(max_size=4), max_size=3).map(lambda pieces: b"v1/me/ratings/" + b"/".join(pieces)),
    st.lists(PIECES | st.binary(max_size=4), max_size=3).map(lambda pieces: b"v1/me/library/" + b"/".join(pieces)),
).map(lambda path: b"/" + path.replace(b"?", b"%3F"))

PARAMETERS = st.tuples(
    st.sampled_from([b"ids", b"l", b"limit", b"offset", b"include", b"ids[songs]", b"ids%5Blibrary-songs%5D", b"ids["])
    | st.binary(max_size=8),
    st.sampled_from([b"", b",", b"1,2", b"%2C", b"content", b"en-US", b"%ff", b"%00", b"25", b"-1", b"i.a", b"\xff"])
    | st.sampled_from([id.encode() for id in RATABLE.values()])
    | st.binary(max_size=20),
).map(b"=".join)
QUERIES = st.one_of(st.just(b""), st.binary(max_size=80), st.lists(PARAMETERS, max_size=5).map(b"&".join))

HEADER_NAMES = st.sampled_from(
    [
        b"authorization",
        b"music-user-token",
        b"media-user-token",
        b"x-apple-music-user-token",
        b"accept-encoding",
        b"origin",
        b"content-length",
        b"content-type",
        b"x-http-method-override",
        b"host",
    ]
)
HEADERS = st.lists(st.tuples(HEADER_NAMES | st.binary(max_size=8), st.binary(max_size=60)), max_size=5)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([1, -1, 0, 2, "rating", "ratings", "songs"])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "id", "attributes", "value", "data"]) | st.text(max_size=4), children, max_size=4
        )
    ),
    max_leaves=8,
)
NEARLY_REQUESTS = st.fixed_dictionaries(
    {"attributes": st.fixed_dictionaries({"value": st.sampled_from([1, -1, 1.0, True, "1"]) | JSON}) | JSON},
    optional={"type": st.sampled_from(["rating", "ratings"]) | JSON, "id": JSON},
)
DOCUMENTS = (NEARLY_REQUESTS | JSON).map(lambda document: json.dumps(document).encode())


@st.composite
def damaged(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """Replace a part of a body with other bytes."""
    body = draw(bodies)
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(start + 4, len(body))))
    return body[:start] + draw(st.binary(max_size=4)) + body[end:]


BODIES = st.one_of(st.binary(max_size=60), DOCUMENTS, damaged(DOCUMENTS), damaged(st.just(LIKE_BODY)))

arbitrary = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


async def dislike_everything(house: House) -> None:
    """Have both listeners dislike one item of each type, at a time that no request can have."""
    for listener in (house.ada, house.ben):
        await house.app.store.write(listener, [Change(item, Value.DISLIKE) for item in ITEMS], now=MONDAY - 1)


async def ratings_of(house: House, listener: Listener) -> list[Rating]:
    return await house.app.store.get(listener, ITEMS)


UNTOUCHED = [Rating(item, Value.DISLIKE, MONDAY - 1) for item in ITEMS]


async def is_untouched(house: House) -> bool:
    return await ratings_of(house, house.ada) == UNTOUCHED and await ratings_of(house, house.ben) == UNTOUCHED


def value_in(body: bytes) -> int | None:
    """Say what a body asks for, by Python's own parser."""

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        document = json.loads(body.decode(), parse_constant=refuse)
    except ValueError:
        return None
    if not isinstance(document, dict) or document.get("type", "rating") not in ("rating", "ratings"):
        return None
    attributes = document.get("attributes")
    value = attributes.get("value") if isinstance(attributes, dict) else None
    return value if type(value) is int and value in (1, -1) else None


def admitted(house: House) -> list[tuple[bytes, bytes]]:
    return raw_headers(house.headers(house.ada_token))


def assert_is_sound(response: httpx2.Response, method: str) -> None:
    """Check what holds for every answer there is."""
    assert response.status_code < 500
    assert response.headers["access-control-allow-origin"] == "*"
    if response.status_code == 204:
        assert "content-length" not in response.headers
    elif method != "HEAD":
        assert int(response.headers["content-length"]) == response.num_bytes_downloaded
    if response.content:
        assert set(response.json()) <= {"data", "next", "meta"} or list(response.json()) == ["errors"]


@given(method=METHODS, path=PATHS, query=QUERIES, body=BODIES)
@example(method="PUT", path=SONG_PATH + b"%2F", query=b"", body=LIKE_BODY)
@example(method="PUT", path=SONG_PATH + b"/..", query=b"", body=LIKE_BODY)
@example(method="DELETE", path=SONG_PATH + b"%00", query=b"", body=b"")
@arbitrary
async def test_any_path_query_and_body_of_a_listener_is_answered(
    house: House, method: str, path: bytes, query: bytes, body: bytes
) -> None:
    await dislike_everything(house)

    response = await ask(house.app, method, path + b"?" + query, admitted(house), body)

    assert_is_sound(response, method)
    if method in READING or response.status_code >= 400:
        assert await is_untouched(house)
    assert await ratings_of(house, house.ben) == UNTOUCHED


LIST_PARAMETERS = st.tuples(
    st.sampled_from([b"offset", b"since", b"limit", b"l", b"include", b"filter[type]", b"filter%5Bvalue%5D"]),
    st.sampled_from([b"", b"0", b"1", b"-1", b"100", b"101", b"1001", b"content", b"songs,library-songs", b"songz"])
    | st.from_regex(rb"-?[0-9]{1,20}\.[0-9]{1,20}(\.[a-z0-9.]{1,70})?", fullmatch=True)
    | st.binary(max_size=12),
).map(b"=".join)


@given(
    path=st.sampled_from([b"/v1/me/ratings", b"/v1/me/ratings/", b"/v1/me/ratings.ndjson"]),
    query=st.lists(LIST_PARAMETERS, max_size=4).map(b"&".join) | st.binary(max_size=40),
)
@example(path=b"/v1/me/ratings", query=b"offset=" + b"9" * 15 + b".1.1")
@example(path=b"/v1/me/ratings", query=b"since=" + b"9" * 16 + b"." + b"9" * 18)
@example(path=b"/v1/me/ratings", query="offset=1.1.\u0661".encode())
@arbitrary
async def test_any_query_of_a_list_is_answered(house: House, path: bytes, query: bytes) -> None:
    await dislike_everything(house)

    response = await ask(house.app, "GET", path + b"?" + query, admitted(house))

    assert response.status_code in {200, 400, 410}
    assert response.headers["access-control-allow-origin"] == "*"
    if response.status_code == 400:
        [error] = response.json()["errors"]
        assert error["code"] == "40005"
        assert error["source"]["parameter"] in {"offset", "since", "limit", "l", "filter[type]", "filter[value]"}


@given(
    entries=st.lists(
        NEARLY_REQUESTS
        | JSON
        | st.fixed_dictionaries(
            {
                "type": st.sampled_from(list(RATABLE)),
                "id": st.sampled_from(list(RATABLE.values())),
                "attributes": st.fixed_dictionaries({"value": st.sampled_from([1, -1, None])}),
            }
        ),
        max_size=6,
    )
)
@arbitrary
async def test_each_entry_of_many_ratings_has_an_answer_in_its_place(house: House, entries: list[Any]) -> None:
    await dislike_everything(house)
    body = json.dumps({"data": entries}).encode()

    response = await ask(house.app, "POST", b"/v1/me/ratings", admitted(house), body)

    assert_is_sound(response, "POST")
    assert response.status_code == 200
    outcomes = response.json()["data"]
    assert len(outcomes) == len(entries)
    last: dict[tuple[str, str], int | None] = {}
    for place, (entry, outcome) in enumerate(zip(entries, outcomes, strict=True)):
        if "errors" in outcome:
            assert outcome["errors"][0]["source"]["pointer"].startswith(f"/data/{place}")
        else:
            assert outcome["attributes"] == {"value": entry["attributes"]["value"]}
            last[entry["type"], entry["id"]] = entry["attributes"]["value"]
    for item, rating in zip(ITEMS, UNTOUCHED, strict=True):
        value = last.get((item.kind.type, item.id), rating.value)
        ratings = await house.app.store.get(house.ada, [item])
        assert [each.value for each in ratings] == ([] if value is None else [value])
    assert await ratings_of(house, house.ben) == UNTOUCHED


@given(method=METHODS, path=PATHS | st.just(SONG_PATH), query=QUERIES, headers=HEADERS, body=BODIES)
@arbitrary
async def test_nobody_without_good_tokens_changes_anything(
    house: House, method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    await dislike_everything(house)

    response = await ask(house.app, method, path + b"?" + query, headers, body)

    assert_is_sound(response, method)
    assert response.status_code in {204, 401, 404, 405}
    assert response.status_code != 204 or method == "OPTIONS"
    assert await is_untouched(house)


@given(method=st.sampled_from(["PUT", "DELETE", "GET"]), tokens=HEADERS, body=BODIES)
@arbitrary
async def test_no_other_header_of_a_developer_makes_a_listener(
    house: House, method: str, tokens: list[tuple[bytes, bytes]], body: bytes
) -> None:
    await dislike_everything(house)
    others = [(name, value) for name, value in tokens if name != b"authorization"]
    developer = (b"authorization", b"Bearer " + house.sign().encode())

    response = await ask(house.app, method, SONG_PATH, [developer, *others], body)

    assert_is_sound(response, method)
    assert response.status_code == 403
    assert await is_untouched(house)


@given(
    headers=st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=60)), max_size=5),
    encoding=st.binary(max_size=30),
)
@arbitrary
async def test_other_headers_change_nothing_for_a_listener(
    house: House, headers: list[tuple[bytes, bytes]], encoding: bytes
) -> None:
    await dislike_everything(house)
    known = admitted(house)
    others = [(name, value) for name, value in headers if name not in dict(known)]

    response = await ask(house.app, "GET", SONG_PATH, [*known, (b"accept-encoding", encoding), *others])

    assert_is_sound(response, "GET")
    assert response.json()["data"][0]["attributes"] == {"value": -1}


@given(body=BODIES)
@example(body=b"")
@example(body=b"\xef\xbb\xbf" + LIKE_BODY)
@example(body=LIKE_BODY)
@arbitrary
async def test_a_body_is_a_rating_to_us_when_it_is_one_to_another_parser(house: House, body: bytes) -> None:
    await dislike_everything(house)
    value = value_in(body)

    response = await ask(house.app, "PUT", SONG_PATH, admitted(house), body)

    assert_is_sound(response, "PUT")
    if value is None:
        assert response.status_code == 400
        assert response.json()["errors"][0]["code"] == "40007"
        assert await is_untouched(house)
    else:
        assert response.status_code == 200
        [rating, *others] = await ratings_of(house, house.ada)
        assert rating == Rating(ITEMS[0], Value(value), house.clock())
        assert others == UNTOUCHED[1:]


# Tokens


@given(header=JSON | st.fixed_dictionaries({"alg": st.just("ES256"), "kid": JSON | st.text(st.characters())}))
@example(header={"alg": "ES256", "kid": "\ud800"})
@example(header={"alg": "ES256", "kid": "\0"})
@arbitrary
async def test_any_header_of_a_token_is_refused_in_peace(house: House, header: object) -> None:
    token = signed(house.private_key, json.dumps(header).encode(), good_claims(house))

    response = await ask(house.app, "GET", b"/v1/test", [(b"authorization", b"Bearer " + token.encode())])

    assert is_empty_401(response) or (isinstance(header, dict) and header.get("kid") == KEY_ID)


@given(payload=JSON.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=60))
@arbitrary
async def test_any_payload_of_a_token_is_refused_in_peace(house: House, payload: bytes) -> None:
    token = signed(house.private_key, good_header(), payload)

    response = await ask(house.app, "GET", b"/v1/test", [(b"authorization", b"Bearer " + token.encode())])

    assert is_empty_401(response)


@given(more=st.dictionaries(st.sampled_from(["iss", "iat", "exp", "origin", "aud", "nbf", "sub"]), JSON, max_size=3))
@arbitrary
async def test_any_claims_of_a_token_are_judged_in_peace(house: House, more: dict[str, Any]) -> None:
    token = signed(house.private_key, good_header(), good_claims(house, **more))

    response = await ask(house.app, "GET", b"/v1/test", [(b"authorization", b"Bearer " + token.encode())])

    assert response.status_code == 200 or is_empty_401(response)
    if not set(more) & {"iss", "iat", "exp", "origin"}:
        assert response.status_code == 200


@given(st.data())
@arbitrary
async def test_a_damaged_token_admits_nobody(house: House, data: st.DataObject) -> None:
    token = house.sign().encode()
    # The last character holds bits that no decoder reads, so a change there may be none.
    place = data.draw(st.integers(0, len(token) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != token[place]))

    damaged_token = token[:place] + bytes([byte]) + token[place + 1 :]
    response = await ask(house.app, "GET", b"/v1/test", [(b"authorization", b"Bearer " + damaged_token)])

    assert is_empty_401(response)
