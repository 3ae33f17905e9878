"""CSV: records with their columns by name, whatever their order, case and separator."""

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from likewise.transfer.formats.heads import delimiter_of, header_of
from likewise.transfer.formats.rows import BadRow, shortened
from likewise.transfer.formats.streams import ROW_BYTES_MAX, Unreadable, lines_of

# A cell that a spreadsheet may take for a formula, perhaps guarded already; some take the wide signs of East Asia too.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


class Record(NamedTuple):
    """One record; `cells` are by the columns' names in lower case, trimmed."""

    line: int
    cells: dict[str, str]


def guarded(cell: str) -> str:
    """Keep a spreadsheet from running what is no formula: an apostrophe before what might be one."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """Take back what `guarded` did, and nothing else."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def records_of(stream: IO[bytes], *, required: Sequence[Sequence[str]]) -> Iterator[Record | BadRow]:
    """Yield records; each of `required` is the spellings of a column that has to be there, in lower case.

    Raise `Unreadable` where a column is missing.
    """
    lines = _Lines(stream)
    header = next(lines, "")
    delimiter = delimiter_of(header)
    columns = [name.casefold() for name in header_of(header.rstrip("\n"), delimiter)]
    for spellings in required:
        if not set(spellings) & set(columns):
            raise Unreadable(1, f"the column {shortened(spellings[0])} is missing")
    while True:
        try:
            line, cells = lines.begin(), next(csv.reader(lines, delimiter=delimiter, strict=True))
        except StopIteration:
            yield from lines.bad_rows()
            return
        except csv.Error as error:
            yield from lines.bad_rows()
            yield BadRow(lines.forgive(), f"the quotes or columns make no sense ({error})")
            continue
        yield from lines.bad_rows()
        if cells:
            yield _record(line, columns, cells, required)


def _record(line: int, columns: list[str], cells: list[str], required: Sequence[Sequence[str]]) -> Record | BadRow:
    if len(cells) > len(columns) and any(cells[len(columns) :]):
        return BadRow(line, f"there are {len(cells)} columns where the header has {len(columns)}")
    by_name = {name: cell.strip(" ") for name, cell in zip(columns, cells, strict=False)}
    for spellings in required:
        if not any(spelling in by_name for spelling in spellings):
            return BadRow(line, f"the row ends before the column {shortened(spellings[0])}")
    return Record(line, by_name)


class _Lines:
    """The lines of a file as the reader of `csv` takes them, which can be given back when a record makes no sense."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._lines = lines_of(stream)
        self._given_back: deque[tuple[int, str]] = deque()
        self._taken: list[tuple[int, str]] = []
        self._bad: list[BadRow] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        numbered = self._given_back.popleft() if self._given_back else self._next_good()
        self._taken.append(numbered)
        return numbered[1]

    def _next_good(self) -> tuple[int, str]:
        for number, line in self._lines:
            if line is None:
                self._bad.append(BadRow(number, f"the row has more than {ROW_BYTES_MAX >> 20} MiB"))
                continue
            try:
                return number, line.decode() + "\n"
            except UnicodeDecodeError:
                self._bad.append(BadRow(number, "the row is not in UTF-8; save the file as CSV in UTF-8"))
        raise StopIteration

    def begin(self) -> int:
        """Begin a record; return the number of the line it begins on, as far as that is known."""
        self._taken.clear()
        if not self._given_back:
            self._given_back.append(self._next_good())
        return self._given_back[0][0]

    def forgive(self) -> int:
        """Give the record up: its first line is bad and its number returned, the others are tried once more."""
        first, *rest = self._taken
        self._given_back.extendleft(reversed(rest))
        return first[0]

    def bad_rows(self) -> Iterator[BadRow]:
        """Yield, once, the lines that could not even be read."""
        yield from self._bad
        self._bad.clear()
