"""The gate: headers in, a Listener out, or a refusal. The only room that makes a Listener out of a request.

What the store said of a key or a user token is believed for `BELIEVED_MILLISECONDS`, so a revocation takes effect on
every worker within that time; that something is unknown is never believed, so what was issued works at once.
"""

from collections.abc import Callable
from typing import NamedTuple

from likewise.asgi import Headers
from likewise.domain import DeveloperKey, Listener, Time, UserToken
from likewise.errors import BadDeveloperToken, BadUserToken
from likewise.rates import Bucket, RateLimit
from likewise.store import Store
from likewise.tokens import DeveloperToken, Remembered, digest_of, key_id_of_token, verify_developer_token

BELIEVED_MILLISECONDS = 2_000
AUTHORIZATION_BYTES_MAX = 8_256
"""The longest token, its scheme and some blanks: what was let in is remembered with its header, so that is bounded."""

_USER_TOKEN_HEADERS = (b"music-user-token", b"media-user-token", b"x-apple-music-user-token")


class _SeenKey(NamedTuple):
    key: DeveloperKey
    believed_until: Time


class _SeenUserToken(NamedTuple):
    token: UserToken
    believed_until: Time


class _Admitted(NamedTuple):
    listener: Listener
    until: Time
    bucket: Bucket | None


class Gate:
    """Whom the headers of a request let in; `now` is milliseconds since 1970. With a `rate_limit`, not too often."""

    def __init__(self, store: Store, *, now: Callable[[], Time], rate_limit: RateLimit | None = None) -> None:
        self._store = store
        self._now = now
        self._rate_limit = rate_limit
        self._developer_tokens: Remembered[bytes, DeveloperToken] = Remembered()
        self._user_tokens: Remembered[bytes, _SeenUserToken] = Remembered()
        self._keys: dict[str, _SeenKey] = {}
        # Whoever came in with these two headers a moment ago comes in again: one look-up instead of four checks.
        self._admitted: Remembered[tuple[bytes | None, bytes], _Admitted] = Remembered()

    async def developer(self, headers: Headers) -> DeveloperToken:
        """Let a developer in; raise `BadDeveloperToken`, then `TooManyRequests`."""
        developer, _ = await self._developer(headers)
        if self._rate_limit is not None:
            self._rate_limit.of(developer.team_id).take(self._now())
        return developer

    async def listener(self, headers: Headers) -> Listener:
        """Let a listener in, through a developer of the team that the user token is for; raise `BadUserToken` too.

        Only whoever has both tokens takes from what the team may ask.
        """
        text = _user_token(headers)
        if text is not None and not headers.is_repeated(b"authorization"):
            admitted = self._admitted.get((headers.get(b"authorization"), text))
            if admitted is not None and _is_believed(admitted.until, now := self._now()):
                if admitted.bucket is not None:
                    admitted.bucket.take(now)
                return admitted.listener
        developer, developer_until = await self._developer(headers)
        if text is None:
            raise BadUserToken("the request has no music user token")
        seen = await self._seen_user_token(digest_of(text))
        token = seen.token
        if token.team_id != developer.team_id:
            raise BadUserToken("the music user token is for another team")
        bucket = self._rate_limit.of(developer.team_id) if self._rate_limit is not None else None
        if developer.origins is None:  # else each request's own Origin counts
            until = min(developer_until, seen.believed_until, token.expires)
            self._admitted.put((headers.get(b"authorization"), text), _Admitted(token.listener, until, bucket))
        if bucket is not None:
            bucket.take(self._now())
        return token.listener

    async def _developer(self, headers: Headers) -> tuple[DeveloperToken, Time]:
        """Let a developer in; say also until when the same token may come in without another look."""
        token = _bearer(headers)
        developer = self._developer_tokens.get(token)
        if developer is None:
            seen = await self._seen_key(key_id_of_token(token))
            developer = verify_developer_token(token, seen.key, now_seconds=self._now() / 1000)
            self._developer_tokens.put(token, developer)
        else:
            seen = await self._seen_key(developer.key_id)
        origin = headers.get(b"origin") if developer.origins is not None else None
        developer.check(now_seconds=self._now() / 1000, origin=origin.decode("latin-1") if origin else None)
        return developer, min(seen.believed_until, int(developer.expires * 1000))

    async def _seen_key(self, key_id: str) -> _SeenKey:
        now = self._now()
        seen = self._keys.get(key_id)
        if seen is None or not _is_believed(seen.believed_until, now):
            key = await self._store.developer_key(key_id)
            if key is None:
                raise BadDeveloperToken("the developer token's key is not registered")
            seen = self._keys[key_id] = _SeenKey(key, now + BELIEVED_MILLISECONDS)
        if seen.key.revoked is not None:
            raise BadDeveloperToken("the developer token's key is revoked")
        return seen

    async def _seen_user_token(self, digest: bytes) -> _SeenUserToken:
        now = self._now()
        seen = self._user_tokens.get(digest)
        if seen is None or not _is_believed(seen.believed_until, now):
            token = await self._store.user_token(digest)
            if token is None:
                raise BadUserToken("the music user token is unknown")
            seen = _SeenUserToken(token, now + BELIEVED_MILLISECONDS)
            self._user_tokens.put(digest, seen)
        if seen.token.revoked is not None:
            raise BadUserToken("the music user token is revoked")
        if seen.token.expires <= now:
            raise BadUserToken("the music user token has expired")
        return seen


def _is_believed(until: Time, now: Time) -> bool:
    # A clock that was set back must not make what is believed last longer.
    return now < until <= now + BELIEVED_MILLISECONDS


def _bearer(headers: Headers) -> bytes:
    authorization = headers.get(b"authorization")
    if authorization is None:
        raise BadDeveloperToken("the request has no developer token")
    if headers.is_repeated(b"authorization"):
        raise BadDeveloperToken("the request has several Authorization headers")
    if len(authorization) > AUTHORIZATION_BYTES_MAX:
        raise BadDeveloperToken("the Authorization header is longer than any developer token")
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        raise BadDeveloperToken("the Authorization header is no Bearer")
    return token.strip(b" ")


def _user_token(headers: Headers) -> bytes | None:
    for name in _USER_TOKEN_HEADERS:
        value = headers.get(name)
        if value is not None:
            return value
    return None
