"""The data folder of `likewise dev`: one key, two listeners and their tokens, made once and found again.

    likewise.db         the database; of tokens it holds hashes only
    AuthKey_….p8        the developer key's private half
    dev.json            ids, and the user tokens in clear
    ada.curl, ben.curl  both tokens as a configuration file for curl, so that they are in no process list

All files are for their owner alone (mode 0600).
"""

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import stat
import string
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from likewise.admin import Admin, new_key_of, newcomer_of
from likewise.app import now
from likewise.cli import running
from likewise.domain import key_id_of
from likewise.errors import BadName, BadSetting, NoSuchThing
from likewise.store import Store
from likewise.stores import open_store
from likewise.tokens import digest_of, generate_private_key, mint_developer_token, read_public_key

LISTENERS = ("ada", "ben")
_STOREFRONT = "us"
_DEVELOPER_TOKEN_SECONDS = 180 * 86_400
_USER_TOKEN_MILLISECONDS_LEFT_MIN = 86_400_000
_DATABASE = "likewise.db"
_LOCK = "dev.lock"
_SETTLING_LOCK = "dev.settling.lock"
_FACTS = "dev.json"
_FILES = (_DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm", *(f"{name}.curl" for name in LISTENERS), _FACTS)


class Household:
    """What one data folder holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = f"sqlite:///{folder / _DATABASE}"
        self.team_id = _random_id()
        self.key_id = _random_id()
        self.user_tokens: dict[str, str] = {}
        self._read()

    @property
    def private_key(self) -> Path:
        return self.folder / f"AuthKey_{self.key_id}.p8"

    @property
    def reset_command(self) -> str:
        """The command that forgets this folder's data, and no other's."""
        is_default = self.folder == running.default_folder().resolve()
        return f"likewise dev{'' if is_default else f' --data {shlex.quote(str(self.folder))}'} --reset"

    def curl_file(self, name: str) -> Path:
        return self.folder / f"{name}.curl"

    def developer_token(self) -> str:
        return mint_developer_token(
            self.private_key.read_bytes(),
            key_id=self.key_id,
            team_id=self.team_id,
            now_seconds=now() // 1000,
            seconds=_DEVELOPER_TOKEN_SECONDS,
        )

    async def settle(self) -> None:
        """Make what is missing: key, listeners, tokens. What is there and good stays as it is."""
        with _translated(self.folder), _open_lock(self.folder / _SETTLING_LOCK) as lock:
            # Of several that start at once, one settles and the others find it done.
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            store = await open_store(self.database)
            try:
                admin = Admin(store, now=now, random_bytes=os.urandom)
                await self._settle_key(store, admin)
                for name in LISTENERS:
                    await self._settle_listener(store, admin, name)
            finally:
                await store.close()
            self._write()
            self._write_curl_files()

    def _write_curl_files(self) -> None:
        for name, token in self.user_tokens.items():
            lines = [
                f'header = "Authorization: Bearer {self.developer_token()}"',
                f'header = "Music-User-Token: {token}"',
                "globoff",
                "silent",
                "show-error",
                "no-buffer",  # the answer before the status, on a terminal too
                # The status goes to stderr, so that what is piped on is the answer alone.
                r'write-out = "%{stderr}\n%{http_code}\n"',
            ]
            _write_private(self.curl_file(name), "\n".join(lines).encode() + b"\n")

    def _write(self) -> None:
        facts = {"team_id": self.team_id, "key_id": self.key_id, "music_user_tokens": self.user_tokens}
        _write_private(self.folder / _FACTS, json.dumps(facts, indent=2).encode() + b"\n")

    def _read(self) -> None:
        path = self.folder / _FACTS
        try:
            facts: dict[str, Any] = json.loads(path.read_bytes())
            self.team_id = str(facts["team_id"])
            self.key_id = key_id_of(facts["key_id"])  # it is part of a file's name
            self.user_tokens = {name: str(token) for name, token in facts["music_user_tokens"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BadName) as error:
            raise BadSetting(f"{path} cannot be understood", f"start over with `{self.reset_command}`") from error

    async def _settle_key(self, store: Store, admin: Admin) -> None:
        registered = await store.developer_key(self.key_id)
        if self.private_key.exists():
            public_key = read_public_key(self.private_key.read_bytes())
            if registered is not None and (registered.revoked is not None or registered.public_key != public_key):
                self.key_id = _random_id()  # the old key was revoked; a revoked key id stays so
                registered = None
        elif registered is not None:
            self.key_id = _random_id()  # the private half was lost
            registered = None
        if not self.private_key.exists():
            _write_private(self.private_key, generate_private_key())
        if registered is None:
            self._write()  # first, so that a run that is cut short here leaves no key that nobody knows of
            key = self.private_key.read_bytes()
            await admin.register_key(new_key_of(self.key_id, self.team_id, key))

    async def _settle_listener(self, store: Store, admin: Admin, name: str) -> None:
        try:
            await admin.listener(name)
        except NoSuchThing:
            await admin.add_listener(newcomer_of(name, _STOREFRONT))
        token = self.user_tokens.get(name)
        known = await store.user_token(digest_of(token.encode())) if token else None
        is_good = (
            known is not None
            and known.revoked is None
            and known.team_id == self.team_id
            and known.expires > now() + _USER_TOKEN_MILLISECONDS_LEFT_MIN
        )
        if not is_good:
            issued = await admin.issue_user_token(name, self.team_id)
            self.user_tokens[name] = issued.text


@contextmanager
def open_household(folder: Path, *, reset: bool) -> Iterator[Household]:
    """Open a data folder, making it where there is none; raise `BadSetting` when that cannot be."""
    with ExitStack() as stack:
        with _translated(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_ours(folder)
            lock = stack.enter_context(_open_lock(folder / _LOCK))
            if reset:
                _reset(folder, lock.fileno())
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield Household(folder.resolve())


def _check_ours(folder: Path) -> None:
    """Raise `BadSetting` for a folder in which somebody else could put a database, keys and tokens for us to take."""
    found = folder.stat()
    is_strangers = os.geteuid() not in {0, found.st_uid}  # root is often lent a folder, as containers are
    if is_strangers or found.st_mode & stat.S_IWOTH:
        raise BadSetting(
            f"others may write to the data folder {folder}", "give another one with --data, or keep it to yourself"
        )


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadSetting(
            f"the data folder {folder} cannot be used ({error.strerror})", "give another one with --data"
        ) from error


def _open_lock(path: Path) -> IO[str]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))


def _reset(folder: Path, lock: int) -> None:
    """Remove what `dev` made, and nothing else that is in the folder."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BadSetting(f"another `likewise dev` uses {folder}", "stop it, then reset") from error
    with contextlib.suppress(BadSetting):  # whatever is there cannot be understood, and goes
        Household(folder).private_key.unlink(missing_ok=True)
    for path in (*(folder / name for name in _FILES), *folder.glob(running.FILES)):
        path.unlink(missing_ok=True)


def _write_private(path: Path, content: bytes) -> None:
    """Write a file for its owner alone, whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".likewise-")  # its mode is 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _random_id() -> str:
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(10))
