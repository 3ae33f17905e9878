"""What the adapters share for everything at once: where each record is kept, and what must never be in a database."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from msgspec.structs import astuple

from likewise.errors import BadFile
from likewise.matching import key_of
from likewise.records import KeyRecord, LibraryRecord, ListenerRecord, NameRecord, RatingRecord, Record, TokenRecord

PAGE_RECORDS = 5_000
LISTENERS_AT_ONCE = 500
"""How many listeners one statement asks for when only some are wanted."""


class Table(NamedTuple):
    """Where records of one type are; the columns bear the names of the record's members."""

    name: str
    record: type[Record]
    order: str
    listener: str | None
    """The column that says whose a row is."""

    derived: tuple[str, ...] = ()
    """Columns that no record has, for they follow from others."""

    @property
    def columns(self) -> tuple[str, ...]:
        return self.record.__struct_fields__


TABLES: Mapping[type[Record], Table] = {
    table.record: table
    for table in (
        Table("developer_keys", KeyRecord, "id", None),
        Table("listeners", ListenerRecord, "id", "id"),
        Table("user_tokens", TokenRecord, "listener, digest", "listener"),
        Table("item_names", NameRecord, "listener, kind, id", "listener", ("title_key", "artist_key")),
        Table("library", LibraryRecord, "listener, kind, id", "listener"),
        Table("ratings", RatingRecord, "listener, kind, id", "listener"),
    )
}
"""All tables in the order of `RECORDS`."""


def row_of(record: Record) -> tuple[Any, ...]:
    """Return what goes into the columns of a record's table, the derived ones last."""
    if isinstance(record, NameRecord):
        return (*astuple(record), key_of(record.title), key_of(record.artist))
    return astuple(record)


class Check(NamedTuple):
    """A question whose answer should be 0: how many such rows there are, and the smallest id of their listeners."""

    text: str
    sql: str
    is_slow: bool = False
    """It sorts all ratings; what loads records leaves it out."""


_GONE = """
SELECT count(*), min(each.listener)
FROM {schema}%s AS each
LEFT JOIN {schema}listeners ON listeners.id = each.listener
WHERE listeners.id IS NULL
"""

_UNCOUNTED = """
SELECT count(*), min(each.listener)
FROM {schema}%s AS each
JOIN {schema}listeners ON listeners.id = each.listener
WHERE each.change > listeners.changes
"""

_NUMBERED_TWICE = """
SELECT count(*), min(twice.listener)
FROM (
    SELECT listener
    FROM (
        SELECT listener, change FROM {schema}ratings
        UNION ALL
        SELECT listener, change FROM {schema}library
    ) AS each
    GROUP BY listener, change
    HAVING count(*) > 1
) AS twice
"""

_TWO_TWINS = """
SELECT count(*), min(twice.listener)
FROM (
    SELECT listener
    FROM {schema}library
    WHERE twin IS NOT NULL AND NOT is_dead
    GROUP BY listener, kind, twin
    HAVING count(*) > 1
) AS twice
"""

_MISPLACED = """
SELECT count(*), min(ratings.listener)
FROM {schema}ratings
LEFT JOIN {schema}library
    ON library.listener = ratings.listener AND library.kind = ratings.kind AND library.id = ratings.id
WHERE ratings.kind >= 6 AND ratings.value <> 0 AND %s
"""

_CHECKS = (
    Check("ratings whose listener is gone", _GONE % "ratings"),
    Check("library items whose listener is gone", _GONE % "library"),
    Check("user tokens whose listener is gone", _GONE % "user_tokens"),
    Check("names of items whose listener is gone", _GONE % "item_names" + "AND each.listener <> 0"),
    Check(
        "listeners who have forgotten changes to come",
        "SELECT count(*), min(id) FROM {schema}listeners WHERE forgotten > changes",
    ),
    Check("ratings with a change number above their listener's last", _UNCOUNTED % "ratings"),
    Check("library items with a change number above their listener's last", _UNCOUNTED % "library"),
    Check("catalog items with two library ids", _TWO_TWINS),
    Check("ratings of library ids that are dead", _MISPLACED % "library.is_dead"),
    Check(
        "ratings under a library id that has a catalog item",
        _MISPLACED % "NOT library.is_dead AND library.twin IS NOT NULL",
    ),
    Check("ratings of library ids that nobody has met", _MISPLACED % "library.id IS NULL"),
    Check("change numbers that were given twice", _NUMBERED_TWICE, is_slow=True),
)


def checks(*, schema: str) -> Iterator[Check]:
    """Return what is asked of each engine; `schema` is what stands before the name of a table."""
    for text, sql, is_slow in _CHECKS:
        yield Check(text, sql.format(schema=schema), is_slow)


def finding_text(text: str, listener: int | None) -> str:
    return text if listener is None else f"{text} (of listener {listener}, for one)"


def contradiction(what: str) -> BadFile:
    return BadFile(f"the records contradict one another: {what}", "take another backup")
