"""The beginning of a file, by which its format is known whatever the file is called."""

import csv
import io
import re
from functools import cached_property

from likewise.transfer.formats.streams import in_utf8

HEAD_BYTES = 64 * 1024

_LINES_LOOKED_AT = 20
# A text, or a sign that JSON is built of. The text may be cut off where the head ends; then it is none.
_JSON_PARTS = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(:?)|[\[\]{}]')
_DELIMITERS = ",;\t"


class Head:
    """The first 64 KiB of a file."""

    def __init__(self, start: bytes) -> None:
        self.text = in_utf8(io.BytesIO(start[:HEAD_BYTES])).read().decode("utf-8", "ignore").lstrip()

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of the first JSON object, where the file is one or begins with one."""
        return _keys_of(self.text) if self.text.startswith("{") else frozenset()

    @cached_property
    def keys_of_lines(self) -> list[frozenset[str]]:
        """The keys of JSON objects that are a line each, of the first twenty lines."""
        lines = self.text.splitlines()[:_LINES_LOOKED_AT]
        return [_keys_of(line) for line in lines if line.startswith("{")]

    @cached_property
    def keys_in_array(self) -> frozenset[str]:
        """All keys of the first objects in an array."""
        if not self.text.startswith("["):
            return frozenset()
        return _keys_of(self.text[1:], objects_max=_LINES_LOOKED_AT)

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns of a CSV file, in lower case."""
        first_line, _, _ = self.text.partition("\n")
        return frozenset(name.casefold() for name in header_of(first_line, delimiter_of(first_line)))


def _keys_of(text: str, *, objects_max: int = 1) -> frozenset[str]:
    keys, depth, objects = set(), 0, 0
    for part in _JSON_PARTS.finditer(text):
        sign = part[0]
        if sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
            objects += depth == 0
            if objects == objects_max or depth < 0:
                break
        elif depth == 1 and part[2]:
            keys.add(part[1])
    return frozenset(keys)


def delimiter_of(first_line: str) -> str:
    """Say what separates columns: a comma, or what spreadsheets use where the comma is for decimals, or a tab."""
    return max(_DELIMITERS, key=first_line.count)


def header_of(first_line: str, delimiter: str) -> list[str]:
    """Read the columns' names; none where the line is no header."""
    try:
        names = next(csv.reader([first_line.rstrip("\r")], delimiter=delimiter))
    except csv.Error:
        return []
    return [" ".join(name.split()) for name in names]
