"""Backups as lines: what was written is read again, and what is damaged, foreign or newer is refused by its line."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from likewise.errors import BadFile, BadLine
from likewise.ndjson import LINE_BYTES_MAX, encode_lines
from likewise.records import (
    RECORDS,
    Counter,
    KeyRecord,
    LibraryRecord,
    ListenerRecord,
    NameRecord,
    RatingRecord,
    Record,
    TokenRecord,
)
from likewise.store import Snapshot
from likewise.tokens import generate_private_key, read_public_key
from likewise.transfer import backups
from likewise.transfer.backups import NAMES, faults_of
from tests.house import MONDAY, TUESDAY, WEDNESDAY

KEY = KeyRecord("ABC123DEFG", "DEF123GHIJ", read_public_key(generate_private_key()), MONDAY, None)
ADA = ListenerRecord(1, "ada", "us", 9, 2, 2**53 - 1)
TOKEN = TokenRecord(1, b"\xff" * 32, "abcd2345", "DEF123GHIJ", MONDAY, WEDNESDAY, TUESDAY)
NAME = NameRecord(0, 1, "1", "Wonderwall", "Oasis", None, "GBBQY0002027", "00000000-0000-0000-0000-000000000000")
OWN_NAME = NameRecord(1, 6, "i.a", "Démo", None, None, None, None)
LIBRARY = LibraryRecord(1, 6, "i.a", "1", MONDAY, 3, is_dead=False)
RATING = RatingRecord(1, 1, "1", 1, MONDAY, 1)
RECORDS_IN_ORDER: list[Record] = [
    Counter(2),
    KEY,
    ADA,
    ListenerRecord(2, "ben", "jp", 0, 0, 0),
    TOKEN,
    NAME,
    OWN_NAME,
    LIBRARY,
    RATING,
    replace(RATING, id="2", value=0),
    replace(RATING, kind=2, id="1", value=-1),
]


class Still(Snapshot):
    """A moment of nothing but these records."""

    def __init__(self, records):
        self._records = records

    async def counts(self):
        return {kind: sum(type(record) is kind for record in self._records) for kind in RECORDS}

    async def records(self, listeners=None):  # noqa: ARG002 - all are asked for
        for start in range(0, len(self._records), 3):
            yield self._records[start : start + 3]


async def written(records=RECORDS_IN_ORDER) -> bytes:
    content = bytearray()
    writing = backups.write(Still(records), content.extend, schema=2, likewise="0.1.0", taken=MONDAY)
    assert sum([number async for number in writing]) == len(records)
    return bytes(content)


async def records_of(content: bytes, *, at_once: int = 1 << 20):
    async def pieces():
        for start in range(0, len(content), at_once):
            yield content[start : start + at_once]

    return [record async for page in backups.read(pieces()) for record in page]


def sealed(lines: list[bytes]) -> bytes:
    """Put an end to lines that fits them, whatever they say."""
    names = {kind: NAMES[kind] for kind in RECORDS}
    body = b"".join(lines)
    counts = {name: sum(line.startswith(f'["{name}"'.encode()) for line in lines) for name in names.values()}
    return body + encode_lines([{"records": counts, "sha256": hashlib.sha256(body).hexdigest()}])


async def sealed_records(*records) -> bytes:
    header = (await written()).splitlines(keepends=True)[0]
    return sealed([header, *encode_lines(records).splitlines(keepends=True)])


async def test_a_backup_says_what_it_is_and_where_it_ends():
    first, *lines, last = (await written()).splitlines()

    assert json.loads(first) == {
        "format": "likewise-backup",
        "version": 1,
        "schema": 2,
        "likewise": "0.1.0",
        "taken": "2025-11-17T00:00:00.123Z",
    }
    assert lines[0] == b'["counter",2]'
    assert lines[-1] == b'["rating",1,2,"1",-1,1763337600123,1]'
    assert json.loads(last)["records"] == {
        "counter": 1,
        "key": 1,
        "listener": 2,
        "token": 1,
        "name": 2,
        "library": 1,
        "rating": 3,
    }


@pytest.mark.parametrize("at_once", [1, 7, 100, 1 << 20])
async def test_what_was_written_is_read_however_it_arrives(at_once):
    assert await records_of(await written(), at_once=at_once) == RECORDS_IN_ORDER


async def test_a_backup_of_nothing_is_a_backup():
    assert await records_of(await written([Counter(0)])) == [Counter(0)]


async def test_the_last_line_break_may_be_missing():
    assert await records_of((await written())[:-1]) == RECORDS_IN_ORDER


# What is refused


@given(st.data())
async def test_a_damaged_byte_anywhere_is_noticed(data):
    content = bytearray(await written())
    place = data.draw(st.integers(0, len(content) - 2))
    content[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(BadFile):
        await records_of(bytes(content))


@given(st.data())
async def test_a_backup_that_breaks_off_anywhere_is_noticed(data):
    content = await written()
    length = data.draw(st.integers(0, len(content) - 2))

    with pytest.raises(BadFile):
        await records_of(content[:length])


@pytest.mark.parametrize("lines", [1, 2, 12])
async def test_what_breaks_off_between_lines_is_told_by_the_missing_line(lines):
    content = b"".join((await written()).splitlines(keepends=True)[:lines])

    for cut in (content, content[:-1]):
        with pytest.raises(BadLine, match=f"line {lines + 1} is missing: the backup breaks off before its end"):
            await records_of(cut)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the file is empty"),
        (b"x", "the file is no backup of Likewise"),
        (b"\xff\n", "the file is no backup of Likewise"),
        (b"[" * 9_999, "the file is no backup of Likewise"),
        (b'{"type":"songs","id":"1","value":1,"time":"2025-11-17T00:00:00Z"}\n', "the file is no backup of Likewise"),
        (b'{"format":"else","version":1,"schema":1,"likewise":"","taken":""}\n', "the file is no backup of Likewise"),
        (b"\x1f\x8b\x08", "the file is packed"),
        (b"\x28\xb5\x2f\xfd", "the file is packed"),
        (b"PK\x03\x04", "the file is packed"),
    ],
)
async def test_what_is_no_backup_is_refused(content, text):
    with pytest.raises(BadFile) as refused:
        await records_of(content)

    assert str(refused.value) == text
    assert refused.value.hint


async def test_a_backup_of_a_newer_likewise_is_refused():
    content = (await written()).replace(b'"version":1', b'"version":2')

    with pytest.raises(BadFile, match=r"written by a newer Likewise \(format 2, this one reads 1\)"):
        await records_of(content)


@pytest.mark.parametrize("more", [b"\n", b"x", b'["counter",2]\n', b"{}\n"])
@pytest.mark.parametrize("at_once", [1 << 20, 100])
async def test_nothing_may_follow_the_end(more, at_once):
    with pytest.raises(BadLine, match="line 14 comes after the end of the backup"):
        await records_of(await written() + more, at_once=at_once)


async def test_a_line_may_have_a_mebibyte_and_not_a_byte_more():
    for length, text in ((LINE_BYTES_MAX, "line 2 is no record"), (LINE_BYTES_MAX + 1, "line 2 is longer than")):
        content = (await written()).splitlines(keepends=True)
        content[1] = b"x" * length + b"\n"
        with pytest.raises(BadLine, match=text):
            await records_of(b"".join(content))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"\n", "is no record: it is no JSON"),
        (b"[]\n", "is no record: Expected `array` of at least length 1, got 0"),
        (b'["song",1]\n', "is no record: Invalid value 'song' - at `$[0]`"),
        (b'["rating",1,1,"1",2,1,1]\n', "is no record: Expected `int` <= 1 - at `$[4]`"),
        (b'["rating",1,10,"1",1,1,1]\n', "is no record: Expected `int` <= 9 - at `$[2]`"),
        (b'["rating",1,1,"1",1.0,1,1]\n', "is no record: Expected `int`, got `float` - at `$[4]`"),
        (b'["rating",1,1,"1",1,1,9223372036854775808]\n', "is no record: Expected `int` <= 9223372036854775807"),
        (b'["rating",1,1,"1",1,253402300800000,1]\n', "is no record: Expected `int` <= 253402300799999"),
        (b'["rating",1,1,"1",1,1,1,1]\n', "is no record: Expected `array` of at most length 6"),
        (b'["rating",1,1,"\xff",1,1,1]\n', "is no record: it is not in UTF-8"),
        (b"[" * 9_999 + b"\n", "is no record: it is nested too deeply"),
        (b'["rating",1,1,"i.a",1,1,1]\n', "has 'i.a' for an id of songs"),
        (b'["rating",1,1,"1",1,1,1]\n' * 2, "is not in its place"),
        (b'["rating",1,1,"2",1,1,1]\n["rating",1,1,"1",1,1,1]\n', "is not in its place"),
        (b'["counter",3]\n', "is not in its place"),
        (b'["listener",3,"zoe","us",0,0,0]\n', "is not in its place"),
    ],
)
@pytest.mark.parametrize("at_once", [1 << 20, 10])
async def test_a_line_that_does_not_belong_is_named(line, text, at_once):
    lines = [*(await written()).splitlines(keepends=True)[:9], line]
    # Of two lines the second is the one that is out of place.
    number = 9 + line.count(b"\n")

    with pytest.raises(BadLine) as refused:
        await records_of(sealed(lines), at_once=at_once)

    assert str(refused.value).startswith(f"line {number} {text}")
    assert refused.value.hint


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (b"{}\n", "line 2 is no end of a backup"),
        (b"{\n", "line 2 is no end of a backup"),
        (b'{"records":{"\xff":1},"sha256":""}\n', "line 2 is no end of a backup"),
        (b'{"records":{},"sha256":""}\n', "line 2 does not fit the lines before it: the backup is damaged"),
    ],
)
async def test_an_end_that_does_not_fit_is_refused(end, text):
    header = (await written()).splitlines(keepends=True)[0]

    with pytest.raises(BadLine, match=text):
        await records_of(header + end)


BAD_RECORDS = [
    (replace(KEY, id="short"), "'short' of 'DEF123GHIJ' for ids of a key and a team"),
    (replace(KEY, team_id="short"), "'ABC123DEFG' of 'short' for ids of a key and a team"),
    (replace(KEY, public_key="a key"), "a key that is none"),
    (replace(KEY, public_key=KEY.public_key + "\n"), "a key of another form"),
    (replace(ADA, name="Ada"), "'Ada' for a listener's name"),
    (replace(ADA, storefront="xx"), "'xx' for a storefront"),
    (replace(TOKEN, id="a b"), "'a b' of 'DEF123GHIJ' for ids of a token and a team"),
    (replace(TOKEN, id="ä"), "'ä' of 'DEF123GHIJ' for ids of a token and a team"),
    (replace(TOKEN, team_id=""), "'abcd2345' of '' for ids of a token and a team"),
    (replace(NAME, id="x"), "'x' for an id of songs"),
    (replace(NAME, listener=1), "'1' for an id of songs"),
    (replace(OWN_NAME, listener=0), "'i.a' for an id of library-songs"),
    (replace(NAME, isrc="x"), "a name that is none: "),
    (replace(NAME, title=" Wonderwall"), "a name of another form"),
    (replace(LIBRARY, id="1"), "'1' for an id of library-songs"),
    (replace(LIBRARY, twin="i.a"), "'i.a' for an id of songs"),
    (replace(RATING, id="\0"), "'\\x00' for an id of songs"),
]


@pytest.mark.parametrize(("record", "text"), BAD_RECORDS)
async def test_a_malformed_record_is_refused_by_its_line(record, text):
    with pytest.raises(BadLine) as refused:
        await records_of(await sealed_records(record))

    assert str(refused.value).startswith(f"line 2 has {text}")


@pytest.mark.parametrize(("record", "text"), BAD_RECORDS)
def test_a_malformed_record_of_a_store_is_told(record, text):
    page: list[Record] = [Counter(1), record]
    [fault] = faults_of(page)

    assert f" has {text}" in fault


def test_a_record_out_of_its_limits_is_told_among_good_ones():
    good: list[Record] = [replace(RATING, id=str(number)) for number in range(3)]

    [fault] = faults_of([*good, replace(RATING, kind=77)])

    assert fault == "a rating record of listener 1 has a member out of its limits (Expected `int` <= 9 - at `$[2]`)"
    assert list(faults_of(RECORDS_IN_ORDER)) == []
    assert list(faults_of([])) == []


# What a restored store begins


async def pages_of(*pages):
    for page in pages:
        yield page


async def test_restored_listeners_begin_another_era():
    eras = iter([7, 8])

    pages = [page async for page in backups.in_new_eras(pages_of([Counter(2), ADA], [RATING]), lambda: next(eras))]

    assert pages == [[Counter(2), replace(ADA, era=7)], [RATING]]


async def test_a_database_that_was_handed_in_is_looked_at_record_by_record():
    good = [page async for page in backups.checked(pages_of([Counter(2), ADA], [RATING]))]
    assert good == [[Counter(2), ADA], [RATING]]

    with pytest.raises(BadFile, match="a rating record of listener 1 has 'x' for an id of songs"):
        [page async for page in backups.checked(pages_of([Counter(2), ADA], [replace(RATING, id="x")]))]
