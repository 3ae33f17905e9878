"""One document a line: every line is found with its number, within its limit, and a rating survives being written."""

import io
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.domain import KINDS, Item, Kind, Rating, Value
from likewise.errors import BadLine
from likewise.ndjson import (
    LINE_BYTES_MAX,
    blocks_of,
    encode_lines,
    encode_ratings,
    lines_of,
    moment,
    why,
)
from likewise.transfer.formats import own_lines
from likewise.transfer.formats.rows import Row
from tests.house import MONDAY, RATABLE

RATINGS = [Rating(Item(KINDS[type], id), Value.LIKE, MONDAY) for type, id in RATABLE.items()]
FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999


def numbered_lines(content: bytes, *, at_once: int = 1 << 20) -> list[tuple[int, bytes]]:
    file = io.BytesIO(content)
    return [line for block in blocks_of(lambda most: file.read(min(most, at_once))) for line in lines_of(block)]


class TestLines:
    def test_documents_are_written_one_a_line(self):
        assert encode_lines([{"a": 1}, ["ö"]]) == '{"a":1}\n["ö"]\n'.encode()

    @given(st.lists(st.binary(max_size=5).filter(lambda line: b"\n" not in line), max_size=9), st.integers(1, 9))
    def test_lines_are_found_again_however_they_arrive(self, lines, at_once):
        content = b"".join(line + b"\n" for line in lines)

        assert numbered_lines(content, at_once=at_once) == list(enumerate(lines, start=1))

    def test_the_last_line_needs_no_line_break(self):
        assert numbered_lines(b"a\nb", at_once=1) == numbered_lines(b"a\nb\n") == [(1, b"a"), (2, b"b")]

    @pytest.mark.parametrize("at_once", [1 << 20, 1_000])
    def test_a_line_may_have_a_mebibyte_and_not_a_byte_more(self, at_once):
        longest = b"x" * LINE_BYTES_MAX

        assert numbered_lines(b"a\n" + longest + b"\nb", at_once=at_once) == [(1, b"a"), (2, longest), (3, b"b")]
        for end in (b"", b"\n", b"\nb\n"):
            with pytest.raises(BadLine, match="line 2 is longer than 1048576 bytes"):
                numbered_lines(b"a\n" + longest + b"x" + end, at_once=at_once)


class TestTimes:
    @given(st.datetimes(timezones=st.just(UTC)))
    def test_a_time_is_written_to_the_millisecond(self, when):
        milliseconds = (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

        assert moment(milliseconds) == when.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def test_the_first_and_the_last_moment_there_is_are_dates(self):
        assert moment(FIRST) == "0001-01-01T00:00:00.000Z"
        assert moment(LAST) == "9999-12-31T23:59:59.999Z"


class TestRatings:
    def test_a_rating_says_everything_in_words(self):
        rating = Rating(Item(Kind.SONG, "907242702"), Value.LIKE, MONDAY)

        assert encode_ratings([rating]) == (
            b'{"type":"songs","id":"907242702","value":1,"time":"2025-11-17T00:00:00.123Z"}\n'
        )

    def test_ratings_of_every_type_are_read_again(self):
        lines = io.BytesIO(encode_ratings(RATINGS))

        assert list(own_lines.read(lines)) == [
            Row(number, item.kind, item.id, value, time) for number, (item, value, time) in enumerate(RATINGS, start=1)
        ]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (msgspec.ValidationError("Expected `int`"), "Expected `int`"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, ""), "it is not in UTF-8"),
        (RecursionError(), "it is nested too deeply"),
        (msgspec.DecodeError(), "it is no JSON"),
    ],
)
def test_what_the_parser_found_is_said_in_a_few_words(error, text):
    assert why(error) == text
