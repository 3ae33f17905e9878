"""Which item a row means: by its id, else by what is known of items' names.

What is found by ISRC, by MusicBrainz id or by artist and title counts when it is one item; the album decides among
several. The catalog comes first, an upload of the listener's own second. Two that fit are none.
"""

from collections.abc import Callable, Iterable, Sequence

from likewise.domain import TWINS, Clue, Item, ItemName, Kind, Listener, item_name_of
from likewise.errors import BadName
from likewise.matching import key_of, match_key
from likewise.store import Store
from likewise.transfer.formats.rows import Names, Row

NAMES_PER_CALL = 1_000

# More of one name than this are ambiguous whatever they are.
_CANDIDATES_MAX = 50


def item_of(row: Row, assumed: Kind) -> Item | None:
    """Return the item that a row names by its id; `assumed` says what a bare number is. None where there is no id."""
    if not row.id:
        return None
    return Item(row.kind or assumed, row.id)


def names_of(item: Item, names: Names) -> ItemName | None:
    """Return what a file says about an item, as far as it makes sense; None for nothing."""
    title, artist, album, isrc, musicbrainz_id = names
    if not any(names):
        return None
    try:
        return item_name_of(item, title=title, artist=artist, album=album, isrc=isrc, musicbrainz_id=musicbrainz_id)
    except BadName:
        return item_name_of(item, title=title, artist=artist, album=album)


async def learn(store: Store, listener: Listener, names: Sequence[ItemName]) -> None:
    """Keep what a file says about items, whatever the number of them."""
    for start in range(0, len(names), NAMES_PER_CALL):
        await store.learn(listener, names[start : start + NAMES_PER_CALL])


async def matches(store: Store, listener: Listener, rows: Sequence[Row]) -> list[Item | None]:
    """Find for each row without an id the one item that it names, or None."""
    named = [names_of(_ANYTHING, row.names) or _NAMELESS for row in rows]
    found: list[Item | None] = [None] * len(rows)
    for clue, text_of in _CLUES:
        texts = {index: text for index, name in enumerate(named) if not found[index] and (text := text_of(name))}
        if texts:
            candidates = await store.named(listener, clue, set(texts.values()), limit=_CANDIDATES_MAX)
            for index, text in texts.items():
                found[index] = _the_one(rows[index], candidates.get(text, ()))
    return found


_ANYTHING = Item(Kind.SONG, "0")
_NAMELESS = ItemName(_ANYTHING)
_CLUES: tuple[tuple[Clue, Callable[[ItemName], str | None]], ...] = (
    (Clue.ISRC, lambda name: name.isrc),
    (Clue.MUSICBRAINZ_ID, lambda name: name.musicbrainz_id),
    (Clue.MATCH_KEY, lambda name: match_key(name.title, name.artist)),
)


def _the_one(row: Row, candidates: Iterable[ItemName]) -> Item | None:
    kind = row.kind or Kind.SONG
    catalog = [name for name in candidates if name.item.kind is kind]
    uploads = [name for name in candidates if name.item.kind is TWINS.get(kind)]
    # A row of a library is an upload of its own, never another one.
    fitting = catalog if catalog or row.home else uploads
    if len(fitting) > 1:
        album = key_of(row.names.album)
        fitting = [name for name in fitting if album is not None and key_of(name.album) == album]
    return fitting[0].item if len(fitting) == 1 else None
