"""How many connections of clients a worker takes at once."""

import contextlib
import resource

CONNECTIONS_MAX = 10_240
"""One that says nothing costs 2 to 9 KB, and is closed after 10 seconds."""
_OTHER_FILES = 256
"""Databases, logs, libraries: what else a worker has open, with room to spare."""


def connections_max() -> int:
    """Let this process open as many files as it takes, as far as it may; return how many connections fit."""
    open_max, allowed_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + _OTHER_FILES
    if allowed_max != resource.RLIM_INFINITY:
        wanted = min(wanted, allowed_max)
    if open_max != resource.RLIM_INFINITY and open_max < wanted:
        with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, allowed_max))
            open_max = wanted
    if open_max == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(1, min(CONNECTIONS_MAX, open_max - _OTHER_FILES))
