"""Writers of what other services read: JSPF, and the feedback of ListenBrainz and the loved tracks of Last.fm.

Each writes what it can say of a rating and returns None for what it cannot: ListenBrainz knows recordings by their
MusicBrainz id alone, Last.fm knows no dislikes, and nobody else knows an upload without a name.
"""

from datetime import UTC, datetime
from typing import Any

from likewise.domain import ItemName, Kind, Rating, Time, Value
from likewise.ndjson import moment
from likewise.transfer.formats.jspf import RATING_EXTENSION, RECORDING_URL, TRACK_EXTENSION

_SONGS = {Kind.SONG, Kind.LIBRARY_SONG}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_IN_URLS = {Kind.SONG: "song", Kind.MUSIC_VIDEO: "music-video"}


def listenbrainz_feedback(rating: Rating, name: ItemName | None) -> dict[str, Any] | None:
    """Write a line of `feedback.jsonl`."""
    if rating.item.kind not in _SONGS or name is None or name.musicbrainz_id is None:
        return None
    return {
        "recording_mbid": name.musicbrainz_id,
        "score": int(rating.value),
        "created": rating.time // 1000,
    }


def lastfm_track(rating: Rating, name: ItemName | None) -> dict[str, Any] | None:
    """Write an element of `lovedtracks.track`."""
    if rating.item.kind not in _SONGS or rating.value is not Value.LIKE:
        return None
    if name is None or name.title is None or name.artist is None:
        return None
    return {
        "name": name.title,
        "artist": {"name": name.artist, "mbid": ""},
        "mbid": name.musicbrainz_id or "",
        "date": {"uts": str(rating.time // 1000), "#text": _day_of(rating.time)},
    }


def lastfm_page(user: str, total: int) -> dict[str, str]:
    """Write `lovedtracks.@attr`: everything is on one page."""
    return {"user": user, "page": "1", "perPage": str(total), "totalPages": "1", "total": str(total)}


def _day_of(time: Time) -> str:
    """Write a time as Last.fm does, in English whatever the language here: `19 Oct 2020, 13:04`."""
    day = datetime.fromtimestamp(time // 1000, UTC)
    return f"{day:%d} {_MONTHS[day.month - 1]} {day:%Y, %H:%M}"


def jspf_track(rating: Rating, name: ItemName | None, storefront: str) -> dict[str, Any] | None:
    """Write a track of a playlist. A song or a video of the catalog is known by its address, with or without a name."""
    (kind, id), value, time = rating
    identifiers = []
    if kind in _IN_URLS:
        identifiers.append(f"https://music.apple.com/{storefront}/{_IN_URLS[kind]}/{id}")
    elif kind is not Kind.LIBRARY_SONG or name is None or name.title is None:
        return None
    if name is not None and name.musicbrainz_id:
        identifiers.append(RECORDING_URL + name.musicbrainz_id)
    if name is not None and name.isrc:
        identifiers.append(f"urn:isrc:{name.isrc}")
    named = {"title": name.title, "creator": name.artist, "album": name.album} if name else {}
    return {
        **{member: text for member, text in named.items() if text},
        "identifier": identifiers,
        "extension": {
            TRACK_EXTENSION: {"added_at": moment(time)},
            RATING_EXTENSION: [{"value": int(value), "time": moment(time)}],
        },
    }
