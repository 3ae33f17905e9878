"""What tests build with: a house with people in it, tokens good and bad, a clock one can turn."""

import base64
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httpx2
import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from likewise.app import App
from likewise.domain import Listener, Time, UserToken
from likewise.store import Store
from likewise.tokens import digest_of, mint_token_id, mint_user_token, user_token_expiry

TEAM_ID = "DEF123GHIJ"
KEY_ID = "ABC123DEFG"

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY: Time = 1_763_337_600_123
"""2025-11-17T00:00:00.123Z"""
TUESDAY: Time = MONDAY + DAY
WEDNESDAY: Time = MONDAY + 2 * DAY

LIKE_BODY = b'{"type":"rating","attributes":{"value":1}}'
DISLIKE_BODY = b'{"type":"rating","attributes":{"value":-1}}'


class Clock:
    """Time stands still until somebody turns the clock."""

    def __init__(self, time: Time) -> None:
        self.time = time

    def __call__(self) -> Time:
        return self.time

    def advance(self, milliseconds: int) -> None:
        self.time += milliseconds


async def issue_user_token(store: Store, listener: Listener, *, team_id: str = TEAM_ID, now: Time = MONDAY) -> str:
    token = mint_user_token(os.urandom)
    known = UserToken(mint_token_id(os.urandom), listener, team_id, now, user_token_expiry(now))
    await store.add_user_token(digest_of(token.encode()), known)
    return token


@dataclass(frozen=True)
class House:
    app: App
    private_key: bytes
    clock: Clock
    ada: Listener
    ben: Listener
    ada_token: str
    ben_token: str

    def sign(self, claims: dict[str, Any] | None = None, headers: dict[str, Any] | None = None) -> str:
        """Sign a developer token by hand: these claims and headers over good ones; a None leaves one out."""
        now = self.clock() // 1000
        all_claims = {"iss": TEAM_ID, "iat": now, "exp": now + 3600} | (claims or {})
        kept = {name: value for name, value in all_claims.items() if value is not None}
        return jwt.encode(kept, self.private_key, algorithm="ES256", headers={"kid": KEY_ID} | (headers or {}))

    def headers(self, user_token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.sign()}", "Music-User-Token": user_token}

    def client(self, user_token: str | None = None, developer_token: str | None = None) -> httpx2.AsyncClient:
        """An HTTP client without a socket; without tokens it is a stranger's."""
        headers = {}
        if user_token is not None:
            headers = self.headers(user_token)
        if developer_token is not None:
            headers["Authorization"] = f"Bearer {developer_token}"
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url="http://likewise.test", headers=headers)


RATABLE = {
    "songs": "907242702",
    "albums": "1440933460",
    "music-videos": "639322181",
    "playlists": "pl.cb4d1c09a2df4230a78d0395fe1f8fde",
    "stations": "ra.985484166",
    "library-songs": "i.7PJN4BYC1WZ8r",
    "library-albums": "l.oVcmBZH",
    "library-music-videos": "i.8Wx6vbOtXmbQ2v",
    "library-playlists": "p.MoGJYM3CYXW09B",
}
"""The nine types that can be rated, each with a well-formed id."""

FORBIDDEN = {"title": "Forbidden", "detail": "Invalid authentication", "status": "403", "code": "40300"}
NOT_RATED = {
    "title": "Resource Not Found",
    "detail": "Resource with requested id was not found",
    "status": "404",
    "code": "40400",
}
PATH_NOT_FOUND = {"title": "Path Not Found", "status": "404", "code": "40401"}

_ERROR_MEMBERS = ("id", "title", "detail", "status", "code", "source")


def error_of(response: httpx2.Response) -> dict[str, Any]:
    """Return the one error of an answer without its id, having checked what holds for every error document."""
    document = response.json()
    assert list(document) == ["errors"]
    [error] = document["errors"]
    assert response.content == json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    assert list(error) == [name for name in _ERROR_MEMBERS if name in error]
    assert re.fullmatch(r"[A-Z2-7]{26}", error["id"])
    assert error["status"] == str(response.status_code)
    assert response.headers["content-type"] == "application/json;charset=utf-8"
    assert response.headers["access-control-allow-origin"] == "*"
    return {name: value for name, value in error.items() if name != "id"}


def named_headers(response: httpx2.Response) -> list[tuple[str, str]]:
    """Return the headers but for the request id, which every answer has once, and no other answer has too."""
    items = response.headers.multi_items()
    [request_id] = [value for name, value in items if name == "x-request-id"]
    assert re.fullmatch("[0-9a-f]{12}-[0-9a-f]+", request_id)
    return [(name, value) for name, value in items if name != "x-request-id"]


def is_empty_401(response: httpx2.Response) -> bool:
    """Say whether this is, header for header, the answer to a bad developer token."""
    return (
        response.status_code == 401
        and response.content == b""
        and sorted(named_headers(response))
        == [
            ("access-control-allow-origin", "*"),
            ("content-length", "0"),
            ("content-type", "application/json; charset=utf-8"),
        ]
    )


async def ask(
    app: App, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]] = (), body: bytes = b""
) -> httpx2.Response:
    """Ask as no well-behaved HTTP client would: path, query and headers reach the application as these very bytes."""
    path, _, query = target.partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "server": ("likewise.test", 80),
        "client": ("127.0.0.1", 123),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    assert [message["type"] for message in rest] == ["http.response.body"]
    response = httpx2.Response(start["status"], headers=start["headers"], stream=httpx2.ByteStream(rest[0]["body"]))
    await response.aread()
    return response


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Write headers as ASGI carries them."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


# Developer tokens by hand


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def packed(header: bytes, payload: bytes) -> str:
    return f"{encoded(header)}.{encoded(payload)}"


def numbers_of_signature(private_key: bytes, message: str) -> tuple[int, int]:
    key = serialization.load_pem_private_key(private_key, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return decode_dss_signature(key.sign(message.encode(), ec.ECDSA(hashes.SHA256())))


def raw_signature(r: int, s: int) -> bytes:
    return r.to_bytes(32) + s.to_bytes(32)


def signed(private_key: bytes, header: bytes, payload: bytes) -> str:
    """Sign these very bytes with ES256, whatever they are."""
    message = packed(header, payload)
    return f"{message}.{encoded(raw_signature(*numbers_of_signature(private_key, message)))}"


def good_header(**more: Any) -> bytes:
    return json.dumps({"alg": "ES256", "kid": KEY_ID} | more).encode()


def good_claims(house: House, **more: Any) -> bytes:
    now = house.clock() // 1000
    return json.dumps({"iss": TEAM_ID, "iat": now, "exp": now + 3600} | more).encode()
