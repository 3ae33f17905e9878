"""One document a line: every line is found with its number, within its limit, and a rating survives being written."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.domain import KINDS, Item, Kind, Rating, Value
from likewise.errors import BadLine
from likewise.ndjson import (
    LINE_BYTES_MAX,
    blocks_of,
    decode_rating,
    encode_lines,
    encode_ratings,
    lines_of,
    moment,
    time_of,
)
from tests.house import MONDAY, RATABLE

RATINGS = [Rating(Item(KINDS[type], id), Value.LIKE, MONDAY) for type, id in RATABLE.items()]
SAMPLE = b'{"type":"songs","id":"907242702","value":1,"time":"2026-11-02T14:05:09.123Z"}'


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
    @given(st.integers(time_of("0001-01-01T00:00:00Z"), time_of("9999-12-31T23:59:59.999Z")))
    def test_a_time_survives_to_the_millisecond(self, time):
        assert time_of(moment(time)) == time

    @pytest.mark.parametrize(
        ("text", "time"),
        [
            ("2025-11-17T00:00:00.123Z", MONDAY),
            ("2025-11-17T00:00:00.123999Z", MONDAY),
            ("2025-11-17T01:30:00.123+01:30", MONDAY),
            ("2025-11-17T00:00:00Z", MONDAY - 123),
            ("1969-12-31T23:59:59.999Z", -1),
        ],
    )
    def test_times_are_read_in_the_forms_of_rfc_3339(self, text, time):
        assert time_of(text) == time

    @pytest.mark.parametrize("text", ["2025-11-17T00:00:00", "2025-11-17", "yesterday", "", "2025-02-29T00:00:00Z"])
    def test_what_names_no_moment_is_refused(self, text):
        with pytest.raises(ValueError, match=r".+"):
            time_of(text)


class TestRatings:
    def test_a_rating_says_everything_in_words(self):
        rating = Rating(Item(Kind.SONG, "907242702"), Value.LIKE, time_of("2026-11-02T14:05:09.123Z"))

        assert encode_ratings([rating]) == SAMPLE + b"\n"

    def test_ratings_of_every_type_survive(self):
        lines = encode_ratings(RATINGS).splitlines()

        assert [decode_rating(number, line) for number, line in enumerate(lines)] == RATINGS

    def test_members_that_others_add_are_ignored(self):
        assert decode_rating(1, SAMPLE[:-1] + b',"name":"Wonderwall"}') == decode_rating(1, SAMPLE)

    @pytest.mark.parametrize(
        ("line", "text"),
        [
            (b"", "line 7 is no rating: it is no JSON"),
            (b"[]", "line 7 is no rating: Expected `object`, got `array`"),
            (SAMPLE[:-2], "line 7 is no rating: it is no JSON"),
            (SAMPLE[:-1] + b',"name":"\xff"}', "line 7 is no rating: it is not in UTF-8"),
            (SAMPLE[:-1] + b',"a":' + b"[" * 9_999, "line 7 is no rating: it is nested too deeply"),
            (SAMPLE.replace(b"songs", b"artists"), "line 7 has the type 'artists', which nobody rates"),
            (SAMPLE.replace(b"907242702", b"i.abc"), "line 7 has the id 'i.abc', which is none of songs"),
            (SAMPLE.replace(b":1,", b":0,"), "line 7 is no rating: 0 is not a valid Value"),
            (SAMPLE.replace(b":1,", b":1.5,"), "line 7 is no rating: Expected `int`, got `float` - at `$.value`"),
            (SAMPLE.replace(b"2026-11", b"2026-13"), "line 7 is no rating: month must be in 1..12"),
            (SAMPLE.replace(b"Z", b""), "line 7 is no rating: a time without its distance to UTC"),
        ],
    )
    def test_what_is_no_rating_is_refused_by_the_number_of_its_line(self, line, text):
        with pytest.raises(BadLine) as refused:
            decode_rating(7, line)

        assert str(refused.value) == text
        assert refused.value.number == 7
