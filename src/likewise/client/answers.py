"""What good answers say: documents in, values out. Raises `BadAnswer` for whatever is no such document."""

from datetime import UTC, datetime
from typing import Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from likewise.client.exchange import Answer
from likewise.client.refusals import Problem, error_of_problem
from likewise.domain import KINDS, TWINS, Item, Kind, Storefront, Value
from likewise.errors import BadAnswer, LikewiseError, ResourceNotFound
from likewise.wire import VALUES

Document = TypeVar("Document")
Entry = TypeVar("Entry")

_PATH_RATINGS = "/v1/me/ratings/"
_HREF_CHARACTERS_MAX = 16_384


class Rating(NamedTuple):
    """A like or a dislike. What follows the value is None where the server does not tell it.

    `library_item` is the other address of a rating that is listed, the item's in the library.
    """

    item: Item
    value: Value
    rated_at: datetime | None = None
    name: str | None = None
    artist_name: str | None = None
    library_item: Item | None = None


class RatingChange(NamedTuple):
    """What became of a rating: `value` is None when it was cleared."""

    item: Item
    value: Value | None
    changed_at: datetime | None = None


class Written(NamedTuple):
    """What became of one of many writes: `error` is None when it was done."""

    item: Item
    value: Value | None
    error: LikewiseError | None = None


class LibraryItem(NamedTuple):
    """An item of the library. `twin` is its catalog item; the names are None where the server does not tell them."""

    item: Item
    twin: Item | None
    name: str | None = None
    artist_name: str | None = None
    album_name: str | None = None
    added_at: datetime | None = None


class Page(NamedTuple, Generic[Entry]):
    """A part of a list. `next` is the path of the part that follows, None after the last one.

    `total` is how many there are in all, `cursor` where a feed of changes goes on; None where the server does not say.
    """

    entries: list[Entry]
    next: str | None
    total: int | None = None
    cursor: str | None = None


class _Attributes(Struct):
    value: int | None = None
    ratedAt: str | None = None  # noqa: N815 - the wire's spelling
    name: str | None = None
    artistName: str | None = None  # noqa: N815 - the wire's spelling


class _Identifier(Struct):
    id: str
    type: str


class _Relationship(Struct):
    data: list[_Identifier] = []


class _Relationships(Struct):
    library: _Relationship | None = None


class _Rating(Struct):
    id: str = ""  # what was refused of many has none
    href: str = ""
    attributes: _Attributes | None = None
    relationships: _Relationships | None = None
    errors: list[Problem] = []


class _Meta(Struct):
    total: int | None = None
    cursor: str | None = None


class _Ratings(Struct):
    data: list[_Rating]
    next: str | None = None
    meta: _Meta | None = None


class _PlayParams(Struct):
    catalogId: str | None = None  # noqa: N815 - the wire's spelling
    globalId: str | None = None  # noqa: N815 - the wire's spelling


class _LibraryAttributes(Struct):
    name: str | None = None
    artistName: str | None = None  # noqa: N815 - the wire's spelling
    albumName: str | None = None  # noqa: N815 - the wire's spelling
    dateAdded: str | None = None  # noqa: N815 - the wire's spelling
    playParams: _PlayParams | None = None  # noqa: N815 - the wire's spelling


class _Resource(Struct):
    id: str
    type: str
    attributes: _LibraryAttributes | None = None


class _Resources(Struct):
    data: list[_Resource]
    next: str | None = None
    meta: _Meta | None = None


class _StorefrontAttributes(Struct):
    name: str
    defaultLanguageTag: str  # noqa: N815 - the wire's spelling
    supportedLanguageTags: tuple[str, ...]  # noqa: N815 - the wire's spelling
    explicitContentPolicy: str = ""  # noqa: N815 - the wire's spelling


class _Storefront(Struct):
    id: str
    attributes: _StorefrontAttributes


class _Storefronts(Struct):
    data: list[_Storefront]


_ratings = msgspec.json.Decoder(_Ratings)
_resources = msgspec.json.Decoder(_Resources)
_storefronts = msgspec.json.Decoder(_Storefronts)


def read_ratings(answer: Answer, kind: Kind) -> dict[str, Rating]:
    """Read the ratings of one kind, by id."""
    ratings = (_rating(Item(kind, each.id), each.attributes) for each in _read(_ratings, answer).data)
    return {rating.item.id: rating for rating in ratings}


def read_rating_page(answer: Answer) -> Page[Rating]:
    """Read a part of the list of all ratings."""
    document = _read(_ratings, answer)
    return _page(document, [_listed(each) for each in document.data])


def read_change_page(answer: Answer) -> Page[RatingChange]:
    """Read a part of the feed of changes."""
    document = _read(_ratings, answer)
    return _page(document, [_change(each) for each in document.data])


def read_written(answer: Answer, items: list[Item], values: list[Value | None]) -> list[Written]:
    """Read what became of each of many writes, in their order."""
    entries = _read(_ratings, answer).data
    if len(entries) != len(items):
        raise not_understood()
    return [
        Written(item, value, error_of_problem(entry.errors[0], ResourceNotFound) if entry.errors else None)
        for item, value, entry in zip(items, values, entries, strict=True)
    ]


def read_library_page(answer: Answer) -> Page[LibraryItem]:
    """Read library items, each of the kind that it names."""
    document = _read(_resources, answer)
    return _page(document, [_library_item(each) for each in document.data])


def read_resource(answer: Answer, kind: Kind) -> Item:
    """Read the first item of a document; it must be of this kind."""
    resources = _read(_resources, answer).data
    if not resources or resources[0].type != kind.type:
        raise not_understood()
    return _item(kind, resources[0].id)


def read_storefronts(answer: Answer) -> list[Storefront]:
    return [
        Storefront(
            each.id,
            each.attributes.name,
            each.attributes.defaultLanguageTag,
            each.attributes.supportedLanguageTags,
            each.attributes.explicitContentPolicy,
        )
        for each in _read(_storefronts, answer).data
    ]


def not_understood() -> BadAnswer:
    return BadAnswer(
        "the server's answer cannot be understood", "is the base URL that of a server of the Apple Music API?"
    )


def _read(decoder: "msgspec.json.Decoder[Document]", answer: Answer) -> Document:
    try:
        # The parser passes over bad UTF-8 in members that it skips, so we decode first.
        return decoder.decode(answer.body.decode())
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise not_understood() from error


def _page(document: _Ratings | _Resources, entries: list[Entry]) -> Page[Entry]:
    href, meta = document.next, document.meta or _Meta()
    if href is not None and not is_path(href):
        raise not_understood()
    return Page(entries, href, meta.total, meta.cursor)


def is_path(href: str) -> bool:
    """Say whether this is the path of a page that may be asked for."""
    # It is asked with both tokens, so it must stay on the server: no host, and nothing that a URL cannot hold.
    is_clean = href.isascii() and href.isprintable() and not any(letter in href for letter in ' "<>\\^`{|}#')
    return is_clean and href.startswith("/v1/") and len(href) <= _HREF_CHARACTERS_MAX


def _rating(item: Item, attributes: _Attributes | None) -> Rating:
    value = VALUES.get(attributes.value) if attributes and attributes.value is not None else None
    if attributes is None or value is None:
        raise not_understood()
    return Rating(item, value, _time(attributes.ratedAt), attributes.name, attributes.artistName)


def _listed(document: _Rating) -> Rating:
    rating = _rating(_item_at(document.href), document.attributes)
    library = document.relationships.library if document.relationships else None
    if library is None or not library.data:
        return rating
    identifier = library.data[0]
    return rating._replace(library_item=_library_item_of(identifier.type, identifier.id))


def _library_item_of(type: str, id: str) -> Item:
    kind = KINDS.get(type)
    if kind is None or not kind.is_library:
        raise not_understood()
    return _item(kind, id)


def _change(document: _Rating) -> RatingChange:
    attributes = document.attributes
    if attributes is None or (attributes.value is not None and attributes.value not in VALUES):
        raise not_understood()
    value = None if attributes.value is None else VALUES[attributes.value]
    return RatingChange(_item_at(document.href), value, _time(attributes.ratedAt))


def _library_item(document: _Resource) -> LibraryItem:
    item = _library_item_of(document.type, document.id)
    attributes = document.attributes or _LibraryAttributes()
    names = attributes.name, attributes.artistName, attributes.albumName
    return LibraryItem(item, _twin(TWINS[item.kind], attributes.playParams), *names, _time(attributes.dateAdded))


def _twin(kind: Kind, play_params: _PlayParams | None) -> Item | None:
    if play_params is None:
        return None
    # Apple names a playlist's twin `globalId`. What is no id of the kind is no twin of which we could ask.
    id = play_params.catalogId or play_params.globalId
    return Item(kind, id) if id and kind.has_id(id) else None


def _item_at(href: str) -> Item:
    type, _, id = href.removeprefix(_PATH_RATINGS).partition("/")
    kind = KINDS.get(type)
    if kind is None or not href.startswith(_PATH_RATINGS):
        raise not_understood()
    return _item(kind, id)


def _item(kind: Kind, id: str) -> Item:
    if not kind.has_id(id):
        raise not_understood()
    return Item(kind, id)


def _time(text: str | None) -> datetime | None:
    """Read a time; what is none counts as absent, for a rating is a rating without it."""
    try:
        time = datetime.fromisoformat(text) if text else None
        return time.astimezone(UTC) if time and time.tzinfo else None
    except (ValueError, OverflowError):
        return None
