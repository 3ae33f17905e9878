"""The operator's HTTP API: every endpoint's answer to the byte, its refusals, and who may come in at all."""

import json
import logging
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from likewise import errors
from likewise.app import App
from likewise.domain import Change, Item, Kind, Value
from likewise.tokens import digest_of, generate_private_key, read_public_key
from tests.house import (
    DAY,
    KEY_ID,
    LIKE_BODY,
    MONDAY,
    NOT_RATED,
    PATH_NOT_FOUND,
    RATABLE,
    TEAM_ID,
    House,
    ask,
    error_of,
)

ADMIN_TOKEN = "lW9vK2s7Qe4Rt6Yu8Io0Pa1Sd3Fg5Hj7"
BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
LISTENERS = "/_likewise/listeners"
ADA = f"{LISTENERS}/ada"
KEYS = "/_likewise/keys"
NDJSON = {"Content-Type": "application/x-ndjson"}
SONG = Item(Kind.SONG, RATABLE["songs"])

METHODS_OF = {
    LISTENERS: ["GET", "HEAD", "POST"],
    ADA: ["GET", "HEAD", "DELETE"],
    f"{ADA}/ratings": ["GET", "HEAD"],
    f"{ADA}/tokens": ["GET", "HEAD", "POST"],
    f"{ADA}/tokens/aaaaaaaa": ["DELETE"],
    f"{ADA}/links": ["GET", "HEAD", "POST"],
    f"{ADA}/links/songs/i.a": ["DELETE"],
    KEYS: ["GET", "HEAD", "POST"],
    f"{KEYS}/{KEY_ID}": ["DELETE"],
}
ENDPOINTS = [(method, path) for path, methods in METHODS_OF.items() for method in methods]


def nobody(name: str) -> dict[str, str]:
    return {
        "title": "Resource Not Found",
        "detail": f"there is no listener '{name}'",
        "status": "404",
        "code": "40400",
    }


def bad_body(pointer: str | None, detail: str) -> dict[str, Any]:
    error = {"title": "Invalid Request Body", "detail": detail, "status": "400", "code": "40007"}
    return error if pointer is None else error | {"source": {"pointer": pointer}}


def bad_parameter(name: str, detail: str) -> dict[str, Any]:
    return {
        "title": "Invalid Parameter Value",
        "detail": detail,
        "status": "400",
        "code": "40005",
        "source": {"parameter": name},
    }


def conflict(detail: str) -> dict[str, str]:
    return {"title": "Conflict", "detail": detail, "status": "409", "code": "40900"}


def is_personal_json(response: httpx2.Response) -> bool:
    return (
        response.headers["content-type"] == "application/json;charset=utf-8"
        and response.headers["cache-control"] == "no-store"
    )


def is_empty_204(response: httpx2.Response) -> bool:
    return response.status_code == 204 and response.content == b"" and "content-length" not in response.headers


def rows_of(response: httpx2.Response) -> list[dict[str, Any]]:
    """Read an answer of lines."""
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["cache-control"] == "no-store"
    assert response.content == b"" or response.content.endswith(b"\n")
    return [json.loads(line) for line in response.content.splitlines()]


@pytest.fixture
async def app(house: House) -> AsyncIterator[App]:
    """An application with an admin token, on the house's database; its random bytes count from 0."""
    numbers = count()
    with_token = replace(house.app._settings, admin_token=ADMIN_TOKEN)
    async with App(with_token, now=house.clock, random_bytes=lambda size: next(numbers).to_bytes(size)) as app:
        yield app


@pytest.fixture
async def operator(app: App) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with the admin token."""
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://likewise.test", headers=BEARER) as client:
        yield client


def client_with(app: App, authorization: str | None) -> httpx2.AsyncClient:
    headers = {} if authorization is None else {"Authorization": authorization}
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://likewise.test", headers=headers)


# Who may come in


@pytest.mark.parametrize("path", [*METHODS_OF, "/_likewise", "/_likewise/", "/_likewise/nothing"])
async def test_without_an_admin_token_in_the_settings_there_is_no_such_path(house, path):
    authorization = [(b"authorization", f"Bearer {ADMIN_TOKEN}".encode())]
    for headers in ([], authorization, [(b"authorization", b"Bearer ")]):
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"):
            response = await ask(house.app, method, path.encode(), headers)

            assert response.status_code == 404
            assert error_of(response) == PATH_NOT_FOUND


@pytest.mark.parametrize(
    "path",
    [
        "/_likewise",
        "/_likewise/",
        "/_likewise/listener",
        "/_likewise/Listeners",
        "/_Likewise/listeners",
        f"{ADA}/token",
        f"{ADA}/ratings/songs",
        f"{ADA}/tokens/a/b",
        f"{ADA}/links/songs",
        f"{ADA}/links/songs/i.a/b",
        f"{KEYS}/a/b",
        "//_likewise/keys",
    ],
)
async def test_with_one_an_unknown_path_below_is_404_to_everybody(app, path):
    for method in ("GET", "POST", "OPTIONS"):
        response = await ask(app, method, path.encode())

        assert response.status_code == 404
        assert error_of(response) == PATH_NOT_FOUND


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {ADMIN_TOKEN}",
        ADMIN_TOKEN,
        f"Bearer {ADMIN_TOKEN[:-1]}",
        f"Bearer {ADMIN_TOKEN}x",
        f"Bearer {ADMIN_TOKEN.lower()}",
        f"Bearer {ADMIN_TOKEN} {ADMIN_TOKEN}",
    ],
)
async def test_a_missing_or_wrong_admin_token_is_401_on_every_endpoint(app, house, method, path, authorization):
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]

    response = await ask(app, method, path.encode(), headers, b'{"name":"cleo","storefront":"us"}')

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert method == "HEAD" or error_of(response) == {
        "title": "Unauthorized",
        "detail": "Invalid authentication",
        "status": "401",
        "code": "40100",
    }
    assert await house.app.store.listeners() == [house.ada, house.ben]


async def test_two_admin_tokens_are_401_though_both_be_right(app):
    authorization = (b"authorization", f"Bearer {ADMIN_TOKEN}".encode())

    assert (await ask(app, "GET", LISTENERS.encode(), [authorization] * 2)).status_code == 401
    assert (await ask(app, "GET", LISTENERS.encode(), [authorization, (b"authorization", b"x")])).status_code == 401
    assert (await ask(app, "GET", LISTENERS.encode(), [authorization])).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
async def test_the_scheme_is_bearer_in_any_case(app, scheme):
    response = await ask(app, "GET", LISTENERS.encode(), [(b"authorization", f"{scheme}{ADMIN_TOKEN}".encode())])

    assert response.status_code == 200


async def test_a_developer_token_is_no_admin_token_and_the_other_way_round(app, house):
    async with (
        client_with(app, f"Bearer {house.sign()}") as developer,
        client_with(app, BEARER["Authorization"]) as operator,
    ):
        assert (await developer.get("/v1/test")).status_code == 200
        assert (await developer.get(LISTENERS)).status_code == 401
        assert (await operator.get("/v1/test")).status_code == 401


@pytest.mark.parametrize("path", METHODS_OF)
async def test_a_method_that_a_path_does_not_have_is_405_to_everybody(app, path):
    allowed = METHODS_OF[path]
    for method in {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "BREW"} - set(allowed):
        response = await ask(app, method, path.encode())

        assert response.status_code == 405
        assert response.headers["allow"] == ", ".join([*allowed, "OPTIONS"])


@pytest.mark.parametrize("path", METHODS_OF)
async def test_a_preflight_needs_no_admin_token(app, path):
    assert (await ask(app, "OPTIONS", path.encode())).status_code == 204


async def test_the_admin_token_is_in_no_log_no_repr_and_no_error(app, operator, caplog):
    caplog.set_level(logging.DEBUG)

    answers = [await operator.get(path) for path in (LISTENERS, f"{LISTENERS}/nobody", "/_likewise/nothing")]
    async with client_with(app, f"Basic {ADMIN_TOKEN}") as stranger:
        answers.append(await stranger.get(LISTENERS))

    shown = f"{caplog.text} {app._settings!r} {app._settings.shown()} {app!r} {vars(app._opened().api._operators)}"
    assert ADMIN_TOKEN not in shown + "".join(f"{answer.text}{answer.headers}" for answer in answers)


# Listeners


async def test_a_listener_is_created(operator, house):
    response = await operator.post(LISTENERS, json={"name": "cleo", "storefront": "jp", "unknown": [1]})

    assert response.status_code == 201
    assert response.content == b'{"data":[{"name":"cleo","storefront":"jp"}]}'
    assert is_personal_json(response)
    assert (await house.app.store.listener("cleo")).storefront == "jp"


async def test_the_content_type_does_not_matter(operator):
    for number, type in enumerate(["text/plain", "application/json; charset=utf-8", "", "x"]):
        body = json.dumps({"name": f"cleo{number}", "storefront": "us"})

        assert (await operator.post(LISTENERS, content=body, headers={"Content-Type": type})).status_code == 201


async def test_a_listener_of_that_name_is_a_conflict(operator):
    response = await operator.post(LISTENERS, json={"name": "ada", "storefront": "us"})

    assert response.status_code == 409
    assert error_of(response) == conflict("there is a listener 'ada' already")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", bad_body(None, "The body is no JSON document in UTF-8")),
        (b"{", bad_body(None, "The body is no JSON document in UTF-8")),
        (b'{"name":"\xff","storefront":"us"}', bad_body(None, "The body is no JSON document in UTF-8")),
        (b"[]", bad_body(None, "The body is no JSON object")),
        (b"{}", bad_body("/name", "The member 'name' must be a string")),
        (b'{"name":1,"storefront":"us"}', bad_body("/name", "The member 'name' must be a string")),
        (b'{"name":"cleo"}', bad_body("/storefront", "The member 'storefront' must be a string")),
        (b'{"name":"Cleo","storefront":"us"}', bad_body("/name", "'Cleo' is no name for a listener")),
        (b'{"name":"","storefront":"us"}', bad_body("/name", "'' is no name for a listener")),
        (b'{"name":"c\\u0000","storefront":"us"}', bad_body("/name", "'c\\x00' is no name for a listener")),
        (b'{"name":"cleo","storefront":"US"}', bad_body("/storefront", "'US' is no storefront")),
    ],
)
async def test_a_body_that_makes_no_listener_is_refused_with_a_pointer_to_its_fault(operator, house, body, error):
    response = await operator.post(LISTENERS, content=body)

    assert response.status_code == 400
    assert error_of(response) == error
    assert await house.app.store.listeners() == [house.ada, house.ben]


async def test_a_name_of_64_characters_is_taken_and_one_of_65_is_not(operator):
    for length, status in ((64, 201), (65, 400)):
        response = await operator.post(LISTENERS, json={"name": "a" * length, "storefront": "us"})

        assert response.status_code == status


async def test_a_body_of_64_kib_is_read_and_one_byte_more_is_413(operator):
    body = b'{"name":"cleo","storefront":"us"}'

    assert (await operator.post(LISTENERS, content=body + b" " * (65_537 - len(body)))).status_code == 413
    assert (await operator.post(LISTENERS, content=body + b" " * (65_536 - len(body)))).status_code == 201


async def test_listeners_are_listed_by_name(operator):
    response = await operator.get(LISTENERS)

    assert response.status_code == 200
    assert response.content == b'{"data":[{"name":"ada","storefront":"us"},{"name":"ben","storefront":"jp"}]}'
    assert is_personal_json(response)


async def test_a_list_comes_in_pages_that_follow_one_another(operator):
    await operator.post(LISTENERS, json={"name": "0.a_b-c", "storefront": "us"})

    first = await operator.get(f"{LISTENERS}?limit=2")
    second = await operator.get(first.json()["next"])

    assert first.json() == {
        "data": [{"name": "0.a_b-c", "storefront": "us"}, {"name": "ada", "storefront": "us"}],
        "next": "/_likewise/listeners?after=ada&limit=2",
    }
    assert second.json() == {"data": [{"name": "ben", "storefront": "jp"}]}


async def test_a_page_has_100_unless_fewer_are_asked_for(operator, house):
    for number in range(99):
        await house.app.store.add_listener(f"c{number:02}", "us")

    first = (await operator.get(LISTENERS)).json()
    second = (await operator.get(first["next"])).json()

    assert len(first["data"]) == 100
    assert first["next"] == "/_likewise/listeners?after=c97"
    assert [row["name"] for row in second["data"]] == ["c98"]
    assert "next" not in second


@pytest.mark.parametrize("path", [LISTENERS, KEYS, f"{ADA}/tokens", f"{ADA}/links"])
@pytest.mark.parametrize(
    ("limit", "detail"),
    [
        ("0", "Value must be an integer greater than or equal to 1, but was: 0"),
        ("101", "Value must be an integer less than or equal to 100, but was: 101"),
        ("x", "Value must be an integer, but was: x"),
        ("", "Value must be an integer, but was: "),
    ],
)
async def test_the_limit_of_a_page_is_from_1_to_100(operator, path, limit, detail):
    response = await operator.get(f"{path}?limit={limit}")

    assert response.status_code == 400
    assert error_of(response) == bad_parameter("limit", detail)
    assert (await operator.get(f"{path}?limit=1")).status_code == 200
    assert (await operator.get(f"{path}?limit=100")).status_code == 200


@pytest.mark.parametrize(
    ("path", "after"),
    [
        (LISTENERS, "Ada"),
        (LISTENERS, "a" * 65),
        (LISTENERS, "\0"),
        (KEYS, "NOSUCHKEY0"),
        (f"{ADA}/tokens", "nothing"),
        (f"{ADA}/links", "songs"),
        (f"{ADA}/links", "songs/1"),
        (f"{ADA}/links", "library-songs/i.a"),
        (f"{ADA}/links", "/"),
    ],
)
async def test_a_page_cannot_begin_after_what_is_no_place_in_the_list(operator, path, after):
    response = await operator.get(path, params={"after": after})

    assert response.status_code == 400
    assert error_of(response) == bad_parameter("after", f"There is no such place in the list: {after}")


@pytest.mark.parametrize("path", [LISTENERS, KEYS, f"{ADA}/tokens", f"{ADA}/links"])
async def test_an_empty_after_is_the_beginning(operator, path):
    assert (await operator.get(f"{path}?after=")).content == (await operator.get(path)).content


async def test_a_page_may_begin_after_a_listener_who_is_gone(operator):
    await operator.delete(ADA)

    assert (await operator.get(f"{LISTENERS}?after=ada")).json()["data"] == [{"name": "ben", "storefront": "jp"}]


async def test_a_listener_is_read(operator):
    response = await operator.get(ADA)

    assert response.status_code == 200
    assert response.content == b'{"data":[{"name":"ada","storefront":"us"}]}'
    assert is_personal_json(response)


async def test_a_listener_is_erased_with_everything_about_them(operator, house):
    await house.app.store.put(house.ada, SONG, Value.LIKE, now=MONDAY)
    await house.app.store.add(house.ada, [(Item(Kind.LIBRARY_SONG, "i.a"), SONG)], now=MONDAY)

    assert is_empty_204(await operator.delete(ADA))

    assert error_of(await operator.get(ADA)) == nobody("ada")
    assert await house.app.store.user_token(digest_of(house.ada_token.encode())) is None
    await operator.post(LISTENERS, json={"name": "ada", "storefront": "us"})
    assert rows_of(await operator.get(f"{ADA}/ratings")) == []
    assert (await operator.get(f"{ADA}/links")).json() == {"data": []}
    assert (await operator.get(f"{ADA}/tokens")).json() == {"data": []}


@pytest.mark.parametrize("name", ["nobody", "Ada", "%00", "a%2Fb", "%F0%9F%8E%B5", "a" * 65])
async def test_of_nobody_nothing_is_known(operator, name):
    requests = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "/ratings", None),
        ("GET", "/tokens", None),
        ("POST", "/tokens", {"team_id": TEAM_ID}),
        ("DELETE", "/tokens/aaaaaaaa", None),
        ("GET", "/links", None),
        ("POST", "/links", {"type": "songs", "library_id": "i.a", "catalog_id": "1"}),
        ("DELETE", "/links/songs/i.a", None),
    ]
    for method, below, body in requests:
        response = await operator.request(method, f"{LISTENERS}/{name}{below}", json=body)

        assert response.status_code == 404
        error = error_of(response)
        assert (error["title"], error["code"]) == ("Resource Not Found", "40400")
        assert error["detail"].startswith("there is no listener '")


# Music user tokens


async def test_a_user_token_is_issued_in_clear_this_once_and_opens_the_ratings(operator, house):
    response = await operator.post(f"{ADA}/tokens", json={"team_id": TEAM_ID})

    assert response.status_code == 201
    assert is_personal_json(response)
    [row] = response.json()["data"]
    token = b64encode((2).to_bytes(64)).decode()  # 0 and 1 went to request ids and logs
    assert (
        response.content
        == (
            f'{{"data":[{{"music_user_token":"{token}","id":"{row["id"]}","team_id":"{TEAM_ID}",'
            '"created":"2025-11-17T00:00:00.123Z","expires":"2026-05-16T00:00:00.123Z","revoked":null}]}'
        ).encode()
    )
    assert re.fullmatch("[a-z2-7]{16}", row["id"])  # 80 bits, so that no two among millions are the same
    async with house.client(row["music_user_token"]) as client:
        assert (await client.get("/v1/me/storefront")).json()["data"][0]["id"] == "us"
    assert row["music_user_token"] not in (await operator.get(f"{ADA}/tokens")).text


@pytest.mark.parametrize(("days", "status"), [(0, 400), (1, 201), (3650, 201), (3651, 400)])
async def test_a_user_token_lives_from_1_to_3650_days(operator, house, days, status):
    house.clock.advance(1)

    response = await operator.post(f"{ADA}/tokens", json={"team_id": TEAM_ID, "days": days})

    assert response.status_code == status
    tokens = await house.app.store.user_tokens(house.ada)
    assert [token.expires - token.created for token in tokens][1:] == ([days * DAY] if status == 201 else [])


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, bad_body("/team_id", "The member 'team_id' must be a string")),
        ({"team_id": None}, bad_body("/team_id", "The member 'team_id' must be a string")),
        ({"team_id": "x"}, bad_body("/team_id", "'x' is no team id")),
        *(
            (
                {"team_id": TEAM_ID, "days": days},
                bad_body("/days", "The days of a music user token are an integer from 1 to 3650"),
            )
            for days in (True, 1.0, "1", None, -1, 10**30)
        ),
    ],
)
async def test_a_body_that_makes_no_token_is_refused_with_a_pointer_to_its_fault(operator, house, body, error):
    response = await operator.post(f"{ADA}/tokens", json=body)

    assert response.status_code == 400
    assert error_of(response) == error
    assert len(await house.app.store.user_tokens(house.ada)) == 1


async def test_a_token_for_a_listener_who_goes_meanwhile_is_404(operator, app, monkeypatch):
    async def gone(*_arguments, **_more):
        raise errors.ListenerRemoved

    monkeypatch.setattr(app.store, "add_user_token", gone)
    monkeypatch.setattr(app.store, "link", gone)
    link = {"type": "songs", "library_id": "i.a", "catalog_id": "1"}

    assert error_of(await operator.post(f"{ADA}/tokens", json={"team_id": TEAM_ID})) == nobody("ada")
    assert error_of(await operator.post(f"{ADA}/links", json=link)) == nobody("ada")
    assert error_of(await operator.post(f"{ADA}/links", content=json.dumps(link), headers=NDJSON)) == nobody("ada")


async def test_tokens_are_listed_oldest_first_in_pages(operator, house):
    [old] = await house.app.store.user_tokens(house.ada)
    house.clock.advance(1)
    [new] = (await operator.post(f"{ADA}/tokens", json={"team_id": TEAM_ID})).json()["data"]

    first = await operator.get(f"{ADA}/tokens?limit=1")
    second = await operator.get(first.json()["next"])

    assert first.json()["next"] == f"{ADA}/tokens?after={old.id}&limit=1"
    assert [row["id"] for row in first.json()["data"]] == [old.id]
    del new["music_user_token"]
    assert second.json() == {"data": [new]}


async def test_a_revoked_token_is_refused_and_stays_listed_with_the_time(operator, house):
    [token] = await house.app.store.user_tokens(house.ada)
    house.clock.advance(1_000)

    assert is_empty_204(await operator.delete(f"{ADA}/tokens/{token.id}"))
    house.clock.advance(1_000)
    assert is_empty_204(await operator.delete(f"{ADA}/tokens/{token.id}"))

    [row] = (await operator.get(f"{ADA}/tokens")).json()["data"]
    assert row["revoked"] == "2025-11-17T00:00:01.123Z"
    async with house.client(house.ada_token) as client:
        assert (await client.get("/v1/me/storefront")).status_code == 403


@pytest.mark.parametrize("id", ["nothing", "%00", "AAAAAAAA"])
async def test_a_token_that_is_not_there_cannot_be_revoked(operator, id):
    response = await operator.delete(f"{ADA}/tokens/{id}")

    assert response.status_code == 404
    assert error_of(response)["code"] == "40400"


async def test_a_token_of_ben_cannot_be_revoked_as_one_of_adas(operator, house):
    [token] = await house.app.store.user_tokens(house.ben)

    response = await operator.delete(f"{ADA}/tokens/{token.id}")

    assert response.status_code == 404
    assert error_of(response) == NOT_RATED | {"detail": f"ada has no music user token {token.id}"}
    assert [each.revoked for each in await house.app.store.user_tokens(house.ben)] == [None]


# Developer keys


async def test_a_key_is_registered_from_pem_and_lets_its_tokens_in(operator, house):
    private_key = generate_private_key()
    pem = read_public_key(private_key)

    response = await operator.post(KEYS, json={"key_id": "NEW1234567", "team_id": TEAM_ID, "public_key": pem})

    assert response.status_code == 201
    assert is_personal_json(response)
    assert (
        response.content
        == (
            f'{{"data":[{{"key_id":"NEW1234567","team_id":"{TEAM_ID}","public_key":{json.dumps(pem)},'
            '"created":"2025-11-17T00:00:00.123Z","revoked":null}]}'
        ).encode()
    )
    now = house.clock() // 1000
    claims = {"iss": TEAM_ID, "iat": now, "exp": now + 60}
    token = jwt.encode(claims, private_key, algorithm="ES256", headers={"kid": "NEW1234567"})
    async with house.client(developer_token=token) as client:
        assert (await client.get("/v1/test")).status_code == 200


async def test_a_key_is_registered_from_a_jwk(operator):
    pem = read_public_key(generate_private_key())
    public: Any = serialization.load_pem_public_key(pem.encode())
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(public))

    response = await operator.post(KEYS, json={"key_id": "NEW1234567", "team_id": TEAM_ID, "jwk": jwk})

    assert response.status_code == 201
    assert response.json()["data"][0]["public_key"] == pem


def rsa_pem() -> str:
    encoding, format = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return rsa.generate_private_key(65537, 2048).public_key().public_bytes(encoding, format).decode()


def p384_pem() -> str:
    encoding, format = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(encoding, format).decode()


ONE_OF_TWO = "A key is one of 'public_key', a string in PEM, and 'jwk', an object"


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (dict, bad_body("/public_key", "The member 'public_key' must be a string")),
        (lambda: {"public_key": {}}, bad_body("/public_key", "The member 'public_key' must be a string")),
        (lambda: {"public_key": "x"}, bad_body("/public_key", "this is no public key in PEM or JWK")),
        (lambda: {"public_key": rsa_pem()}, bad_body("/public_key", "the key is RSA, not P-256")),
        (lambda: {"public_key": p384_pem()}, bad_body("/public_key", "the key is secp384r1, not P-256")),
        (lambda: {"jwk": "x"}, bad_body("/jwk", ONE_OF_TWO)),
        (lambda: {"jwk": None}, bad_body("/jwk", ONE_OF_TWO)),
        (lambda: {"jwk": {}, "public_key": "x"}, bad_body("/jwk", ONE_OF_TWO)),
        (lambda: {"jwk": {}}, bad_body("/jwk", "this is no P-256 key in JWK (RFC 7517)")),
        (
            lambda: {"jwk": {"kty": "EC", "crv": "P-256", "x": 1, "y": 2}},
            bad_body("/jwk", "this is no P-256 key in JWK (RFC 7517)"),
        ),
        (lambda: {"key_id": None}, bad_body("/key_id", "The member 'key_id' must be a string")),
        (lambda: {"team_id": 1}, bad_body("/team_id", "The member 'team_id' must be a string")),
        (lambda: {"key_id": "short", "public_key": "x"}, bad_body("/key_id", "'short' is no key id")),
        (lambda: {"team_id": "ABC123DEF-", "public_key": "x"}, bad_body("/team_id", "'ABC123DEF-' is no team id")),
    ],
)
async def test_a_body_that_makes_no_key_is_refused_with_a_pointer_to_its_fault(operator, key, error):
    response = await operator.post(KEYS, json={"key_id": "NEW1234567", "team_id": TEAM_ID} | key())

    assert response.status_code == 400
    assert error_of(response) == error
    assert len((await operator.get(KEYS)).json()["data"]) == 1


async def test_a_key_id_that_was_ever_used_is_a_conflict(operator, private_key):
    body = {"key_id": KEY_ID, "team_id": TEAM_ID, "public_key": read_public_key(private_key)}
    for _ in range(2):
        response = await operator.post(KEYS, json=body)

        assert response.status_code == 409
        assert error_of(response) == conflict(f"there is a developer key {KEY_ID} already")
        await operator.delete(f"{KEYS}/{KEY_ID}")


async def test_the_private_half_of_a_key_is_not_kept(operator, private_key):
    body = {"key_id": "NEW1234567", "team_id": TEAM_ID, "public_key": private_key.decode()}

    assert "PRIVATE" not in (await operator.post(KEYS, json=body)).text


async def test_keys_are_listed_oldest_first_in_pages(operator, house):
    house.clock.advance(1)
    pem = read_public_key(generate_private_key())
    [new] = (await operator.post(KEYS, json={"key_id": "A" * 10, "team_id": TEAM_ID, "public_key": pem})).json()["data"]

    first = (await operator.get(f"{KEYS}?limit=1")).json()

    assert [row["key_id"] for row in first["data"]] == [KEY_ID]
    assert first["next"] == f"{KEYS}?after={KEY_ID}&limit=1"
    assert (await operator.get(first["next"])).json() == {"data": [new]}


async def test_a_revoked_key_lets_nobody_in(operator, house):
    assert is_empty_204(await operator.delete(f"{KEYS}/{KEY_ID}"))
    assert is_empty_204(await operator.delete(f"{KEYS}/{KEY_ID}"))

    [row] = (await operator.get(KEYS)).json()["data"]
    assert row["revoked"] == "2025-11-17T00:00:00.123Z"
    async with house.client(house.ada_token) as client:
        assert (await client.get("/v1/test")).status_code == 401


@pytest.mark.parametrize("id", ["NOSUCHKEY0", "%00", "short"])
async def test_a_key_that_is_not_there_cannot_be_revoked(operator, id):
    response = await operator.delete(f"{KEYS}/{id}")

    assert response.status_code == 404
    assert error_of(response)["detail"].startswith("there is no developer key ")


# Links


def a_link(type: str = "songs", library_id: str = "i.a", catalog_id: str = "907242702") -> dict[str, str]:
    return {"type": type, "library_id": library_id, "catalog_id": catalog_id}


async def test_a_link_makes_two_addresses_of_one_rating(operator, house):
    await house.app.store.put(house.ada, SONG, Value.LIKE, now=MONDAY)

    response = await operator.post(f"{ADA}/links", json={"more": 1} | a_link())

    assert response.status_code == 201
    assert is_personal_json(response)
    assert response.content == b'{"data":[{"type":"songs","library_id":"i.a","catalog_id":"907242702"}]}'
    async with house.client(house.ada_token) as client:
        rating = await client.get("/v1/me/ratings/library-songs/i.a")
    assert rating.json()["data"][0]["attributes"] == {"value": 1}


@pytest.mark.parametrize(
    ("type", "library_id", "catalog_id"),
    [("songs", "i.a", "1"), ("albums", "l.a", "1"), ("music-videos", "i.a", "1"), ("playlists", "p.a", "pl.a")],
)
async def test_all_four_types_are_linked_listed_and_unlinked(operator, type, library_id, catalog_id):
    body = a_link(type, library_id, catalog_id)

    assert (await operator.post(f"{ADA}/links", json=body)).status_code == 201
    listed = await operator.get(f"{ADA}/links")
    assert is_empty_204(await operator.delete(f"{ADA}/links/{type}/{library_id}"))

    assert (
        listed.content
        == (
            f'{{"data":[{{"type":"{type}","library_id":"{library_id}","catalog_id":"{catalog_id}",'
            '"added":"2025-11-17T00:00:00.123Z"}]}'
        ).encode()
    )
    assert (await operator.get(f"{ADA}/links")).content == b'{"data":[]}'


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, bad_body("/type", "The member 'type' must be a string")),
        (a_link("library-songs"), bad_body("/type", "'library-songs' is no type of a library")),
        (a_link("stations"), bad_body("/type", "'stations' is no type of a library")),
        (a_link(library_id="1"), bad_body("/library_id", "'1' is no id of library-songs")),
        (a_link(library_id="i." + "a" * 63), bad_body("/library_id", f"'i.{'a' * 63}' is no id of library-songs")),
        (a_link(catalog_id="i.a"), bad_body("/catalog_id", "'i.a' is no id of songs")),
        (a_link() | {"catalog_id": 907242702}, bad_body("/catalog_id", "The member 'catalog_id' must be a string")),
        (a_link() | {"catalog_id": None}, bad_body("/catalog_id", "The member 'catalog_id' must be a string")),
    ],
)
async def test_a_body_that_makes_no_link_is_refused_with_a_pointer_to_its_fault(operator, body, error):
    response = await operator.post(f"{ADA}/links", json=body)

    assert response.status_code == 400
    assert error_of(response) == error
    assert (await operator.get(f"{ADA}/links")).json() == {"data": []}


async def test_linking_again_is_fine_and_linking_a_twin_away_is_a_conflict(operator):
    await operator.post(f"{ADA}/links", json=a_link())

    again = await operator.post(f"{ADA}/links", json=a_link())
    other = await operator.post(f"{ADA}/links", json=a_link(library_id="i.b"))

    assert again.status_code == 201
    assert other.status_code == 409
    assert error_of(other) == conflict("songs 907242702 has the library id i.a already")


async def test_what_was_unlinked_stays_dead(operator):
    await operator.post(f"{ADA}/links", json=a_link())
    await operator.delete(f"{ADA}/links/songs/i.a")

    again = await operator.delete(f"{ADA}/links/songs/i.a")
    linked = await operator.post(f"{ADA}/links", json=a_link())

    assert error_of(again) == NOT_RATED | {"detail": "i.a is not in the library of ada"}
    assert error_of(linked) == conflict("the library id i.a was removed and stays dead")


async def test_a_malformed_library_id_is_not_there_and_an_unknown_type_is_said_so(operator):
    assert error_of(await operator.delete(f"{ADA}/links/songs/%00")) == NOT_RATED
    assert error_of(await operator.delete(f"{ADA}/links/stations/ra.1")) == {
        "title": "Invalid Path Value",
        "detail": "Unknown library resource type 'stations'",
        "status": "400",
        "code": "40008",
    }


async def test_links_are_listed_by_type_and_id_in_pages_uploads_too(operator, house):
    for body in (a_link("albums", "l.a", "1"), a_link("songs", "i.b", "1"), a_link("songs", "i.B", "2")):
        await operator.post(f"{ADA}/links", json=body)
    await house.app.store.put(house.ada, Item(Kind.LIBRARY_PLAYLIST, "p.a"), Value.LIKE, now=MONDAY)
    await house.app.store.put(house.ben, Item(Kind.LIBRARY_SONG, "i.ben"), Value.LIKE, now=MONDAY)

    first = (await operator.get(f"{ADA}/links?limit=3")).json()
    second = (await operator.get(first["next"])).json()

    assert [(row["type"], row["library_id"]) for row in first["data"]] == [
        ("songs", "i.B"),
        ("songs", "i.b"),
        ("albums", "l.a"),
    ]
    assert first["next"] == f"{ADA}/links?after=albums/l.a&limit=3"
    assert second == {
        "data": [{"type": "playlists", "library_id": "p.a", "catalog_id": None, "added": "2025-11-17T00:00:00.123Z"}]
    }


async def test_what_is_in_adas_library_is_not_in_bens(operator):
    await operator.post(f"{ADA}/links", json=a_link())

    response = await operator.delete(f"{LISTENERS}/ben/links/songs/i.a")

    assert response.status_code == 404
    assert len((await operator.get(f"{ADA}/links")).json()["data"]) == 1


# Links in bulk


def lines(*rows: Any) -> bytes:
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


async def post_lines(operator: httpx2.AsyncClient, body: bytes) -> httpx2.Response:
    return await operator.post(f"{ADA}/links", content=body, headers=NDJSON)


async def test_many_links_have_one_result_a_line_and_a_bad_line_stops_nothing(operator):
    body = lines(
        a_link("songs", "i.a", "1"),
        b"rubbish\n",
        b"\n",
        b"  \r\n",
        a_link("songs", "i.b", "1"),
        a_link("songs", "x", "1"),
        b"\xff\n",
        a_link("albums", "l.a", "1"),
    )

    response = await post_lines(operator, body)

    rows = rows_of(response)
    assert response.content.splitlines()[0] == b'{"line":1,"status":"linked"}'
    assert [(row["line"], row.get("status")) for row in rows] == [
        (1, "linked"),
        (2, None),
        (5, None),
        (6, None),
        (7, None),
        (8, "linked"),
    ]
    errors_of_lines = [row["errors"] for row in rows if "errors" in row]
    assert all(re.fullmatch(r"[A-Z2-7]{26}", error.pop("id")) for [error] in errors_of_lines)
    assert errors_of_lines == [
        [bad_body(None, "The body is no JSON document in UTF-8")],
        [conflict("songs 1 has the library id i.a already")],
        [bad_body("/library_id", "'x' is no id of library-songs")],
        [bad_body(None, "The body is no JSON document in UTF-8")],
    ]
    assert len((await operator.get(f"{ADA}/links")).json()["data"]) == 2


async def test_lines_take_effect_in_their_order(operator):
    body = lines(*(a_link("songs", "i.a", str(number)) for number in range(250)))

    rows = rows_of(await post_lines(operator, body))

    assert [row["line"] for row in rows] == list(range(1, 251))
    assert all(row["status"] == "linked" for row in rows)
    assert [row["catalog_id"] for row in (await operator.get(f"{ADA}/links")).json()["data"]] == ["249"]


@pytest.mark.parametrize("body", [b"", b"\n", b"\n\n \n"])
async def test_no_lines_have_no_results(operator, body):
    assert rows_of(await post_lines(operator, body)) == []


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_ten_thousand_lines_are_taken_and_one_more_is_413(operator, end):
    most = b"\n".join([b"0"] * 10_000)

    assert len(rows_of(await post_lines(operator, most + end))) == 10_000
    response = await post_lines(operator, most + b"\n0" + end)
    assert response.status_code == 413
    assert error_of(response)["detail"] == "The body may have 10000 lines"


async def test_a_mebibyte_of_lines_is_taken_and_one_byte_more_is_413(operator):
    line = lines(a_link())

    assert len(rows_of(await post_lines(operator, b" " * (1_048_576 - len(line)) + line))) == 1
    response = await post_lines(operator, b" " * (1_048_577 - len(line)) + line)
    assert response.status_code == 413
    assert error_of(response)["detail"] == "The body may have 1048576 bytes"


@pytest.mark.parametrize(
    "type", ["application/x-ndjson", "Application/X-NDJSON; charset=utf-8", "application/x-ndjson ;"]
)
async def test_the_content_type_says_that_it_is_lines(operator, type):
    response = await operator.post(f"{ADA}/links", content=lines(a_link()), headers={"Content-Type": type})

    assert rows_of(response) == [{"line": 1, "status": "linked"}]


async def test_a_database_that_goes_away_between_lines_is_503(operator, app, monkeypatch):
    async def unavailable(*_arguments, **_more):
        raise errors.StoreUnavailable("gone")

    monkeypatch.setattr(app.store, "link", unavailable)

    assert (await post_lines(operator, lines(a_link(), a_link()))).status_code == 503


# Ratings


async def test_ratings_are_lines_with_type_id_value_and_time(operator, house):
    liked, disliked = Item(Kind.ALBUM, "1"), Item(Kind.LIBRARY_SONG, "i.upload")
    await house.app.store.put(house.ada, disliked, Value.DISLIKE, now=MONDAY + 877)
    await house.app.store.put(house.ada, liked, Value.LIKE, now=MONDAY)
    await house.app.store.put(house.ben, SONG, Value.LIKE, now=MONDAY)

    response = await operator.get(f"{ADA}/ratings")

    assert response.content == (
        b'{"type":"albums","id":"1","value":1,"time":"2025-11-17T00:00:00.123Z"}\n'
        b'{"type":"library-songs","id":"i.upload","value":-1,"time":"2025-11-17T00:00:01.000Z"}\n'
    )
    assert len(rows_of(response)) == 2
    assert response.headers["content-length"] == str(len(response.content))


async def test_a_linked_rating_is_one_line_and_a_cleared_one_is_none(operator, house):
    await operator.post(f"{ADA}/links", json=a_link())
    await house.app.store.put(house.ada, Item(Kind.LIBRARY_SONG, "i.a"), Value.LIKE, now=MONDAY)
    await house.app.store.put(house.ada, Item(Kind.SONG, "1"), Value.LIKE, now=MONDAY)
    await house.app.store.delete(house.ada, Item(Kind.SONG, "1"), now=MONDAY)

    assert [(row["type"], row["id"]) for row in rows_of(await operator.get(f"{ADA}/ratings"))] == [
        ("songs", "907242702")
    ]


async def rate_songs(house: House, number: int) -> None:
    changes = [Change(Item(Kind.SONG, f"{id:05}"), Value.LIKE) for id in range(number)]
    await house.app.store.write(house.ada, changes, now=MONDAY)


@pytest.mark.parametrize("number", [0, 999, 1_000, 1_001, 2_500])
async def test_all_ratings_come_however_many_they_are(operator, house, number):
    await rate_songs(house, number)

    response = await operator.get(f"{ADA}/ratings", headers={"Accept-Encoding": "identity"})

    assert [row["id"] for row in rows_of(response)] == [f"{id:05}" for id in range(number)]
    assert ("content-length" in response.headers) is (number < 1_000)


@pytest.mark.parametrize("number", [1, 1_001])
async def test_head_tells_the_headers_alone(operator, house, number):
    await rate_songs(house, number)

    response = await operator.head(f"{ADA}/ratings")

    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["content-type"] == "application/x-ndjson"


async def test_ratings_are_cut_short_when_the_database_goes_away_between_pages(operator, app, house, monkeypatch):
    await rate_songs(house, 1_001)
    ratings = app.store.ratings

    async def once(*arguments, after, **more):
        if after is not None:
            raise errors.StoreUnavailable("gone")
        return await ratings(*arguments, after=after, **more)

    monkeypatch.setattr(app.store, "ratings", once)

    with pytest.raises(errors.StoreUnavailable):
        await operator.get(f"{ADA}/ratings")


async def test_a_database_that_does_not_answer_at_all_is_503(operator, app):
    await app.close()

    for path in (LISTENERS, ADA, KEYS, f"{ADA}/ratings", f"{ADA}/tokens", f"{ADA}/links"):
        response = await operator.get(path)

        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"


# Health


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/livez/"])
async def test_health_is_told_to_everybody(house, path):
    response = await ask(house.app, "GET", path.encode())

    assert response.status_code == 200
    assert response.content == b'{"status":"ok"}'
    assert is_personal_json(response)
    assert response.headers["access-control-allow-origin"] == "*"
    assert (await ask(house.app, "HEAD", path.encode())).content == b""
    assert (await ask(house.app, "OPTIONS", path.encode())).status_code == 204
    assert (await ask(house.app, "POST", path.encode())).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_without_its_database_the_service_lives_but_is_not_ready(house):
    await house.app.close()

    alive, ready = await ask(house.app, "GET", b"/livez"), await ask(house.app, "GET", b"/readyz")

    assert alive.status_code == 200
    assert ready.status_code == 503
    assert ready.headers["retry-after"] == "1"
    assert error_of(ready)["code"] == "50300"


# Whatever is sent


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=6,
)
JWKS = st.fixed_dictionaries(
    {"kty": st.sampled_from(["EC", "RSA", "oct", "OKP"]) | JSON},
    optional={
        "crv": st.sampled_from(["P-256", "P-384", "secp256k1", "Ed25519"]) | JSON,
        **{name: st.sampled_from(["AAAA", "A" * 43, "é"]) | JSON for name in ("x", "y", "d", "n", "e", "k")},
    },
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["ada", "cleo"]) | JSON,
        "storefront": st.sampled_from(["us", "US"]) | JSON,
        "team_id": st.just(TEAM_ID) | JSON,
        "days": st.integers() | JSON,
        "key_id": st.sampled_from([KEY_ID, "NEW1234567"]) | JSON,
        "public_key": st.sampled_from(["-----BEGIN PUBLIC KEY-----", "PRIVATE KEY", "{}", "\0"]) | JSON,
        "jwk": JWKS | JSON,
        "type": st.sampled_from(["songs", "albums"]) | JSON,
        "library_id": st.sampled_from(["i.a", "i.b", "l.a"]) | JSON,
        "catalog_id": st.sampled_from(["1", "2"]) | JSON,
    },
)
BODIES = st.one_of(
    st.binary(max_size=60),
    (MEMBERS | JSON).map(lambda body: json.dumps(body).encode()),
    st.lists(MEMBERS.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=9)).map(b"\n".join),
)
PATHS = st.one_of(
    st.sampled_from(list(METHODS_OF)).map(str.encode),
    st.lists(
        st.sampled_from([b"listeners", b"keys", b"ada", b"tokens", b"links", b"ratings", b"songs", b"i.a", b"%00"])
        | st.binary(max_size=4).map(lambda piece: piece.replace(b"?", b"")),
        max_size=5,
    ).map(lambda pieces: b"/_likewise/" + b"/".join(pieces)),
)
QUERIES = st.sampled_from([b"", b"?after=%00", b"?after=songs/i.a", b"?limit=1", b"?after=ada&limit=x"])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT"]),
    path=PATHS,
    query=QUERIES,
    body=BODIES,
    is_ndjson=st.booleans(),
)
async def test_whatever_an_operator_sends_the_service_is_not_at_fault(app, method, path, query, body, is_ndjson):
    headers = [(b"authorization", f"Bearer {ADMIN_TOKEN}".encode())]
    if is_ndjson:
        headers.append((b"content-type", b"application/x-ndjson"))

    response = await ask(app, method, path + query, headers, body)

    assert response.status_code < 500
    if response.status_code >= 400:
        error_of(response)


async def test_the_ratings_api_is_as_it_was(app, house):
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://likewise.test", headers=house.headers(house.ada_token)
    ) as client:
        assert (await client.put("/v1/me/ratings/songs/1", content=LIKE_BODY)).status_code == 200
