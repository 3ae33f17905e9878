"""What an operator does: listeners, their tokens and libraries, developer keys. One room, two doors: commands and HTTP.

What an operator typed is checked by the functions that end in `_of`, before any database is asked or begun; what
`Admin` takes is well formed. A name that is only looked for needs no form: what is malformed is not there.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from likewise.domain import (
    LIBRARY_KINDS,
    TWINS,
    DeveloperKey,
    Item,
    Kind,
    LibraryItem,
    Listener,
    Rating,
    Time,
    UserToken,
    has_apple_id,
    has_listener_name,
    key_id_of,
    listener_name_of,
    team_id_of,
)
from likewise.errors import BadName, LinkRefused, ListenerRemoved, NoSuchKey, NoSuchListener, NoSuchThing
from likewise.store import Store
from likewise.storefronts import storefront_id_of
from likewise.tokens import (
    USER_TOKEN_DAYS,
    digest_of,
    mint_token_id,
    mint_user_token,
    read_public_key,
    user_token_expiry,
)

USER_TOKEN_DAYS_MAX = 3_650
RATINGS_PAGE = 1_000


class Newcomer(NamedTuple):
    """A listener to be."""

    name: str
    storefront: str


class NewKey(NamedTuple):
    """A developer key to be; `public_key` is PEM."""

    id: str
    team_id: str
    public_key: str


class Link(NamedTuple):
    """A library item and the catalog item that it is."""

    library_item: Item
    catalog_item: Item


class IssuedUserToken(NamedTuple):
    """`text` is the token in clear, known nowhere but here."""

    text: str
    token: UserToken

    def __repr__(self) -> str:
        return f"IssuedUserToken(token={self.token!r})"


def newcomer_of(name: str, storefront: str) -> Newcomer:
    """Check a listener's name and storefront; raise `BadName`."""
    return Newcomer(listener_name_of(name), storefront_id_of(storefront))


def new_key_of(key_id: str, team_id: str, key: bytes) -> NewKey:
    """Check ids and the public half of a P-256 key, in PEM or JWK; raise `BadName`, `BadKey`."""
    return NewKey(key_id_of(key_id), team_id_of(team_id), read_public_key(key))


def link_of(type: str, library_id: str, catalog_id: str) -> Link:
    """Check a link; `type` is one of `songs`, `albums`, `music-videos`, `playlists`. Raise `BadName`."""
    kind = LIBRARY_KINDS.get(type)
    if kind is None:
        raise BadName(f"{type!r} is no type of a library", f"use one of {', '.join(LIBRARY_KINDS)}", about="type")
    return Link(library_item_of(kind, library_id), _item_of(TWINS[kind], catalog_id, about="catalog_id"))


def library_item_of(kind: Kind, id: str) -> Item:
    """Check a library id; raise `BadName`."""
    return _item_of(kind, id, about="library_id")


def _item_of(kind: Kind, id: str, *, about: str) -> Item:
    if not kind.has_id(id):
        example = f"{kind.prefix}abc123" if kind.is_library else "907242702, or pl.… for a playlist"
        raise BadName(f"{id!r} is no id of {kind.type}", f"such an id looks like {example}", about=about)
    return Item(kind, id)


class Admin:
    """`now` is milliseconds since 1970, `random_bytes` gives as many random bytes as it is told."""

    def __init__(self, store: Store, *, now: Callable[[], Time], random_bytes: Callable[[int], bytes]) -> None:
        self._store = store
        self._now = now
        self._random_bytes = random_bytes

    def bounded(self, seconds_max: float) -> AbstractContextManager[None]:
        """Let what is done in this block wait no longer for the database than this, all together."""
        return self._store.bounded(seconds_max)

    # Listeners

    async def add_listener(self, newcomer: Newcomer) -> Listener:
        """Create a listener; raise `AlreadyExists`."""
        return await self._store.add_listener(newcomer.name, newcomer.storefront)

    async def listener(self, name: str) -> Listener:
        """Find a listener by name; raise `NoSuchThing`."""
        _check_name(name)
        return await self._store.listener(name)

    async def listeners(self, *, after: str = "", limit: int | None = None) -> list[Listener]:
        """Return listeners in the order of their names: all, or those after the name `after`, at most `limit`."""
        return await self._store.listeners(after=after, limit=limit)

    async def remove_listener(self, name: str) -> None:
        """Forget a listener with everything about them; raise `NoSuchThing`."""
        _check_name(name)
        await self._store.remove_listener(name)

    async def ratings(self, listener: Listener, *, after: Item | None = None) -> list[Rating]:
        """Return a page of a listener's ratings, what is stored after the item `after`; under 1 000 is the last."""
        return await self._store.ratings(listener, after=after, limit=RATINGS_PAGE)

    # Music user tokens

    async def issue_user_token(self, name: str, team_id: str, *, days: int = USER_TOKEN_DAYS) -> IssuedUserToken:
        """Make a music user token and keep its hash; raise `BadName` for the team, `NoSuchThing` for the listener."""
        team_id_of(team_id)
        listener = await self.listener(name)
        text = mint_user_token(self._random_bytes)
        created = self._now()
        expires = user_token_expiry(created, days=days)
        token = UserToken(mint_token_id(self._random_bytes), listener, team_id, created, expires)
        try:
            await self._store.add_user_token(digest_of(text.encode()), token)
        except ListenerRemoved as error:
            raise NoSuchListener(name) from error
        return IssuedUserToken(text, token)

    async def user_tokens(self, name: str) -> list[UserToken]:
        """Return all tokens of a listener, oldest first; raise `NoSuchThing`."""
        return await self._store.user_tokens(await self.listener(name))

    async def revoke_user_token(self, token_id: str) -> None:
        """Revoke a user token, whosever it is, for ever; revoking again changes nothing. Raise `NoSuchThing`."""
        await self._store.revoke_user_token(token_id, now=self._now())

    async def revoke_user_token_of(self, name: str, token_id: str) -> None:
        """Revoke a user token of this listener alone; raise `NoSuchThing` for another's."""
        if token_id not in {token.id for token in await self.user_tokens(name)}:
            raise NoSuchThing(f"{name} has no music user token {token_id}", f"see `likewise token list {name}`")
        await self.revoke_user_token(token_id)

    # Developer keys

    async def register_key(self, new: NewKey) -> DeveloperKey:
        """Let in whoever signs with this key; raise `AlreadyExists` for a key id that is or was registered."""
        key = DeveloperKey(new.id, new.team_id, new.public_key, self._now())
        await self._store.add_developer_key(key)
        return key

    async def keys(self) -> list[DeveloperKey]:
        """Return all keys, revoked ones too, oldest first."""
        return await self._store.developer_keys()

    async def revoke_key(self, key_id: str) -> None:
        """Revoke a key for ever; revoking again changes nothing. Raise `NoSuchThing`."""
        if not has_apple_id(key_id):
            raise NoSuchKey(key_id)
        await self._store.revoke_developer_key(key_id, now=self._now())

    # Libraries

    async def link(self, name: str, link: Link) -> None:
        """Make a library item an address of a catalog item; raise `LinkRefused`, `NoSuchThing` for the listener."""
        await self._link(await self.listener(name), link)

    async def link_many(self, listener: Listener, links: Sequence[Link]) -> list[LinkRefused | None]:
        """Link some hundred pairs in their order, with shared commits; return of each why it was refused, or None.

        Raise `NoSuchThing` for a listener who was removed, `StoreUnavailable`; then some may be linked already, and
        sending them again does no harm.
        """

        async def refusal(link: Link) -> LinkRefused | None:
            try:
                await self._link(listener, link)
            except LinkRefused as error:
                return error
            return None

        return await asyncio.gather(*map(refusal, links))

    async def _link(self, listener: Listener, link: Link) -> None:
        try:
            await self._store.link(listener, link.library_item, link.catalog_item, now=self._now())
        except ListenerRemoved as error:
            raise NoSuchListener(listener.name) from error

    async def unlink(self, name: str, item: Item) -> None:
        """Remove an item from a library, its id for ever; raise `NoSuchThing` when it is not there."""
        if not await self._store.unlink(await self.listener(name), item, now=self._now()):
            raise NoSuchThing(f"{item.id} is not in the library of {name}", f"see `likewise library list {name}`")

    async def library(self, listener: Listener, *, after: Item | None, limit: int) -> list[LibraryItem]:
        """Return a page of a library by kind and id, what is stored after the item `after`."""
        return await self._store.library(listener, after=after, limit=limit)

    async def newest_in_library(self, name: str, kinds: Sequence[Kind], *, page_items: int) -> list[LibraryItem]:
        """Return all of these kinds in a library, kind after kind, newest first; read `page_items` at a time."""
        listener = await self.listener(name)
        items: list[LibraryItem] = []
        for kind in kinds:
            offset = 0
            while True:
                page = await self._store.library_page(listener, kind, limit=page_items, offset=offset)
                items += page.items
                offset += page_items
                if offset >= page.total:
                    break
        return items


def _check_name(name: str) -> None:
    if not has_listener_name(name):
        raise NoSuchListener(name)
