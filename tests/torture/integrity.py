"""What must be true of a database of ours, whatever happened to it."""

from typing import NamedTuple

from tests.torture.service import Database


class Counter(NamedTuple):
    listener: int
    changes: int


_WRONG = {
    "a change number is beyond the listener's counter": """
        SELECT listeners.id, changes, numbered.change
        FROM listeners
        JOIN (
            SELECT listener, change FROM ratings UNION ALL SELECT listener, change FROM library
        ) AS numbered ON numbered.listener = listeners.id
        WHERE numbered.change > changes OR numbered.change < 1
    """,
    "a change number was given twice": """
        SELECT listener, change, count(*)
        FROM (SELECT listener, change FROM ratings UNION ALL SELECT listener, change FROM library) AS numbered
        GROUP BY listener, change
        HAVING count(*) > 1
    """,
    "a catalog item has two library ids": """
        SELECT listener, kind, twin, count(*)
        FROM library
        WHERE twin IS NOT NULL AND CAST(is_dead AS integer) = 0
        GROUP BY listener, kind, twin
        HAVING count(*) > 1
    """,
    "a library id is rated that is unknown, dead or linked": """
        SELECT ratings.listener, ratings.kind, ratings.id, twin, is_dead
        FROM ratings
        LEFT JOIN library
            ON library.listener = ratings.listener AND library.kind = ratings.kind AND library.id = ratings.id
        WHERE ratings.kind >= 6 AND ratings.value <> 0
            AND (library.id IS NULL OR library.twin IS NOT NULL OR CAST(is_dead AS integer) = 1)
    """,
    "something belongs to no listener": """
        SELECT numbered.listener
        FROM (SELECT listener FROM ratings UNION ALL SELECT listener FROM library) AS numbered
        LEFT JOIN listeners ON listeners.id = numbered.listener
        WHERE listeners.id IS NULL
    """,
    "a value is neither a like, a dislike nor a tombstone": """
        SELECT listener, kind, id, value FROM ratings WHERE value NOT IN (-1, 0, 1)
    """,
}


def wrongs(database: Database) -> list[str]:
    """Say what is wrong with the database; nothing, it is to be hoped."""
    found = database.check_engine()
    for what, sql in _WRONG.items():
        found += [f"{what}: {row}" for row in database.rows(sql)]
    return found


def counters(database: Database) -> list[Counter]:
    return [Counter(*row) for row in database.rows("SELECT id, changes FROM listeners ORDER BY id")]
