"""ListenBrainz: what somebody loves and hates, as `feedback.jsonl` of an export and as an answer of its API."""

from collections.abc import Iterator
from typing import IO, Any

from likewise.domain import Kind, Value
from likewise.transfer.formats.heads import Head
from likewise.transfer.formats.objects import object_at, objects_of, text_at
from likewise.transfer.formats.rows import BadRow, Names, Row, Said, time_of_seconds
from likewise.transfer.formats.streams import document_of

_IDS = {"recording_mbid", "recording_msid"}
_SCORES = {1: Value.LIKE, -1: Value.DISLIKE, 0: None}


def sniff(head: Head) -> bool:
    """Recognise lines."""
    return any("score" in keys and keys & _IDS for keys in head.keys_of_lines)


def sniff_answer(head: Head) -> bool:
    return "feedback" in head.keys


def read(stream: IO[bytes]) -> Iterator[Said]:
    for line, thing in objects_of(stream):
        yield thing if isinstance(thing, BadRow) else _said(line, thing)


def read_answer(stream: IO[bytes]) -> Iterator[Said]:
    document = document_of(stream)
    feedback = document.get("feedback") if isinstance(document, dict) else None
    if not isinstance(feedback, list):
        yield BadRow(1, "the list of feedback is missing")
        return
    for number, entry in enumerate(feedback, 1):
        yield _said(number, entry) if isinstance(entry, dict) else BadRow(number, "there is no object")


def _said(line: int, entry: dict[str, Any]) -> Said:
    score = entry.get("score")
    if type(score) is not int or score not in _SCORES:
        return BadRow(line, "the score is none of 1, 0 and -1")
    metadata = object_at(entry, "track_metadata")
    names = Names(
        title=text_at(metadata, "track_name"),
        artist=text_at(metadata, "artist_name"),
        album=text_at(metadata, "release_name"),
        isrc=text_at(object_at(metadata, "additional_info"), "isrc"),
        musicbrainz_id=text_at(entry, "recording_mbid"),
    )
    try:
        return Row(line, Kind.SONG, "", _SCORES[score], time_of_seconds(entry.get("created")), names)
    except ValueError as error:
        return BadRow(line, str(error))
