"""How a `likewise dev` that runs on this machine is found: by a file it leaves in its data folder while it runs.

    dev.running.PID.json    its URL; mode 0600, and locked by the server as long as it lives

The kernel lets go of the lock however the server ends, so a file without one is a stale one, whatever process has its
number by now.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

FILES = "dev.running.*.json"
_FACTS = "dev.json"
_FILE_BYTES_MAX = 64 * 1024


class Neighbour(NamedTuple):
    """A `likewise dev` on this machine, and what is needed to ask it."""

    url: str
    private_key: Path
    team_id: str
    key_id: str
    user_tokens: dict[str, str]

    def __repr__(self) -> str:
        return f"Neighbour(url={self.url!r})"


def default_folder() -> Path:
    """Name the folder in which `likewise dev` keeps its data unless it is told another."""
    from platformdirs import user_data_path  # noqa: PLC0415 - needed where no folder is named

    return user_data_path("likewise", appauthor=False)


@contextmanager
def announced(folder: Path, url: str) -> Iterator[None]:
    """Let others find the server at `url` while the block runs."""
    import fcntl  # noqa: PLC0415 - absent where nothing but the client runs

    for stale in folder.glob(FILES):
        if not _is_locked(stale):
            stale.unlink(missing_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".likewise-")  # its mode is 0600
    path = folder / FILES.replace("*", str(os.getpid()))
    with os.fdopen(handle, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # before it has its name, so that nobody takes it for a stale one
        json.dump({"url": url, "pid": os.getpid()}, file)
        file.flush()
        Path(temporary).replace(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def find_neighbour(folder: Path) -> Neighbour | None:
    """Find the `likewise dev` that runs on a data folder; of several, the one that was started last."""
    try:
        files = sorted(folder.glob(FILES), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        url = next((_read(path)["url"] for path in files if _is_locked(path)), None)
        if url is None:
            return None
        facts = _read(folder / _FACTS)
        key_id = str(facts["key_id"])
        tokens = {str(name): str(token) for name, token in facts["music_user_tokens"].items()}
        return Neighbour(str(url), folder / f"AuthKey_{key_id}.p8", str(facts["team_id"]), key_id, tokens)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # it is on its way out, or no data folder of ours


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        document: dict[str, Any] = json.loads(file.read(_FILE_BYTES_MAX))
    return document


def _is_locked(path: Path) -> bool:
    import fcntl  # noqa: PLC0415 - see above

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
