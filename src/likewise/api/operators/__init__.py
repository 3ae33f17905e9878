"""The operator's API, below `/_likewise/`: the room `likewise.admin` behind a door that opens to the admin token.

A handler's first parameter is the `Admin` that the door gave, so none can be written that forgets the door.
"""

import hmac
from collections.abc import Callable, Sequence
from functools import partial

from likewise.admin import Admin
from likewise.api.crowds import Room
from likewise.api.endpoints import Endpoint, endpoint
from likewise.api.operators import keys, libraries, listeners, tokens
from likewise.asgi import Headers
from likewise.domain import Time
from likewise.errors import BadAdminToken, PathNotFound
from likewise.store import Store
from likewise.tokens import digest_of


class Operators:
    """The endpoints; `find` knows their paths."""

    def __init__(
        self, store: Store, admin_token: str, *, now: Callable[[], Time], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._admin = Admin(store, now=now, random_bytes=random_bytes)
        self._digest = digest_of(admin_token.encode())
        admit, below = self.admit, "/_likewise/listeners/{name}"
        self._listeners = endpoint("/_likewise/listeners", admit, GET=listeners.get_many, POST=listeners.add)
        self._listener = endpoint(below, admit, GET=listeners.get, DELETE=listeners.remove)
        self._ratings = endpoint(f"{below}/ratings", admit, GET=listeners.get_ratings)
        self._tokens = endpoint(f"{below}/tokens", admit, GET=tokens.get_many, POST=tokens.issue)
        self._token = endpoint(f"{below}/tokens/{{id}}", admit, DELETE=tokens.revoke)
        link = partial(libraries.link, Room(libraries.BULK_AT_ONCE_MAX, each_max=libraries.BULK_AT_ONCE_MAX))
        self._links = endpoint(f"{below}/links", admit, GET=libraries.get_many, POST=link)
        self._link = endpoint(f"{below}/links/{{type}}/{{id}}", admit, DELETE=libraries.unlink)
        self._keys = endpoint("/_likewise/keys", admit, GET=keys.get_many, POST=keys.register)
        self._key = endpoint("/_likewise/keys/{id}", admit, DELETE=keys.revoke)

    async def admit(self, headers: Headers) -> Admin:
        """Let the operator in; raise `BadAdminToken`."""
        # Digests have one length, so that comparing them takes one time, whatever was sent.
        if not hmac.compare_digest(digest_of(_bearer(headers)), self._digest):
            raise BadAdminToken("the admin token is missing or wrong")
        return self._admin

    def find(self, path: Sequence[str]) -> tuple[Endpoint, Sequence[str]]:
        """Find the endpoint of a path below `/_likewise/`, with its variables; raise `PathNotFound`."""
        match path:
            case ["listeners"]:
                return self._listeners, ()
            case ["listeners", _]:
                return self._listener, path[1:]
            case ["listeners", name, "ratings"]:
                return self._ratings, (name,)
            case ["listeners", name, "tokens"]:
                return self._tokens, (name,)
            case ["listeners", name, "tokens", id]:
                return self._token, (name, id)
            case ["listeners", name, "links"]:
                return self._links, (name,)
            case ["listeners", name, "links", type, id]:
                return self._link, (name, type, id)
            case ["keys"]:
                return self._keys, ()
            case ["keys", id]:
                return self._key, (id,)
            case _:
                raise PathNotFound


def _bearer(headers: Headers) -> bytes:
    """Read the one bearer token; where there is none, or several, it is empty."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or headers.is_repeated(b"authorization"):
        return b""
    return token.strip(b" ")
