"""What the adapters say of bringing a database up to date."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

OnStep: TypeAlias = Callable[[str], object]
"""Is told of each step that may take long, as in «distributing ratings», before it is taken."""


class Migration(NamedTuple):
    """What was done to a database, or would be.

    The versions are those of the schema; 0 means that there is none. `distributed` names the tables and functions that
    went to the machines of a cluster.
    """

    before: int
    after: int
    distributed: list[str]
