"""What tests build with: a house with people in it, tokens good and bad, a clock one can turn."""

import os
from dataclasses import dataclass
from typing import Any

import httpx2
import jwt

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
