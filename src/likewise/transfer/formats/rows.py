"""What a file says, whatever its format: rows, and the words and times they are made of."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeAlias

from likewise.domain import Item, Kind, Time, Value

TIME_MAX: Time = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the last that a date can be written for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_PREFERENCES: dict[str, Value | None] = {
    **dict.fromkeys(("love", "loved", "like", "liked", "favorite", "favorited", "1"), Value.LIKE),
    **dict.fromkeys(("dislike", "disliked", "-1"), Value.DISLIKE),
    **dict.fromkeys(("none", "neutral", "undefined", "0", ""), None),
}

_APPLE_URL = re.compile(
    r"https?://(?:geo\.)?(?:music|itunes)\.apple\.com/[a-z]{2}/([a-z-]+)/(?:[^/?#]+/)?([^/?#]+)(.*)"
)
_SONG_IN_ALBUM = re.compile(r"[?&]i=([0-9]+)")
_KINDS_IN_URLS = {
    "song": Kind.SONG,
    "album": Kind.ALBUM,
    "music-video": Kind.MUSIC_VIDEO,
    "playlist": Kind.PLAYLIST,
    "station": Kind.STATION,
}


class Names(NamedTuple):
    """What a file calls an item; what it does not say is empty. Nothing here has been checked."""

    title: str = ""
    artist: str = ""
    album: str = ""
    isrc: str = ""
    musicbrainz_id: str = ""


NO_NAMES = Names()


class Row(NamedTuple):
    """One thing a file says about one item.

    `kind` None says that the file does not tell a song from an album or a music video; `id` is empty where it knows
    names alone. `value` None is no rating, and clears none. `time` None leaves it to the file's date. `home` is the
    library item that this is whatever else it turns out to be. `added` is when it came into the library.
    """

    line: int
    kind: Kind | None
    id: str
    value: Value | None
    time: Time | None = None
    names: Names = NO_NAMES
    home: Item | None = None
    added: Time | None = None


class Shelved(NamedTuple):
    """A library item, perhaps linked to a catalog item, whatever its rating."""

    line: int
    item: Item
    twin: Item | None
    added: Time
    names: Names = NO_NAMES


class NotRateable(NamedTuple):
    """A like of something that has no ratings here, such as an artist."""

    line: int


class BadRow(NamedTuple):
    """A row that makes no sense, or cannot be read; `reason` is a sentence for people."""

    line: int
    reason: str


Said: TypeAlias = Row | Shelved | NotRateable | BadRow


def preference_of(text: str) -> Value | None:
    """Read like and dislike in all the words in use, None for no rating; raise `ValueError` for any other word."""
    try:
        return _PREFERENCES[text.strip().casefold()]
    except KeyError:
        raise ValueError(f"{shortened(text)} is neither like nor dislike") from None


def time_of(text: str) -> Time | None:
    """Read a date of ISO 8601, in UTC where it does not say; None for none. Raise `ValueError`."""
    text = text.strip()
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{shortened(text)} is no date") from None
    return _within(((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND, text)


def time_of_seconds(seconds: object) -> Time | None:
    """Read seconds since 1970, as a number or its digits; None for none. Raise `ValueError`."""
    if seconds is None or seconds == "":
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | str):
        raise ValueError("the date is no number of seconds")  # noqa: TRY004 - the file is at fault, not the caller
    try:
        number = float(seconds)
    except (ValueError, OverflowError):
        raise ValueError("the date is no number of seconds") from None
    if not math.isfinite(number):
        raise ValueError(f"{number} is no date")
    return _within(round(number * 1000), number)


def _within(time: Time, shown: object) -> Time:
    if not 0 <= time <= TIME_MAX:
        raise ValueError(f"{shortened(str(shown))} is not between 1970 and 9999")
    return time


def text_of(thing: object) -> str:
    """Take a text or a number for a text, and everything else for none."""
    if isinstance(thing, bool):
        return ""
    if isinstance(thing, int):
        # Digits past some thousands are refused by Python, and are no id.
        return str(thing) if abs(thing) < 10**64 else ""
    return thing.strip() if isinstance(thing, str) else ""


def kind_of_id(id: str) -> Kind | None:
    """Tell the kind by an id of the catalog alone; None for digits, which songs, albums and videos share.

    Raise `ValueError` for what is no such id.
    """
    for kind in (Kind.PLAYLIST, Kind.STATION):
        if kind.has_id(id):
            return kind
    if Kind.SONG.has_id(id):
        return None
    raise ValueError(f"{shortened(id)} is no id of Apple's catalog" if id else "there is no id")


def item_of_url(url: str) -> Item | None:
    """Read the item that one of Apple Music's web addresses shows; None for any other."""
    found = _APPLE_URL.fullmatch(url)
    if found is None:
        return None
    kind, id, rest = _KINDS_IN_URLS.get(found[1]), found[2], found[3]
    song = _SONG_IN_ALBUM.search(rest)
    if kind is Kind.ALBUM and song:
        kind, id = Kind.SONG, song[1]
    return Item(kind, id) if kind and kind.has_id(id) else None


def shortened(text: str) -> str:
    """Show a text of a file within a sentence."""
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
