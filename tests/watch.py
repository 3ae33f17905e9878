"""Everything that the product says while it is tested, searched for secrets.

Heard are: each entry of a log with its fields and traceback, what is written to stdout and stderr, in this process and
by every process that is waited for, the arguments of our own commands, and the pages of the metrics. Tokens and private
keys are known by their form, whoever made them; admin tokens and passwords of databases because tests hand them in.

Exceptions, on stdout alone: a token by itself on a line, as `likewise dev`, `likewise token user` and `likewise token
developer` print it, and as the value of the members of JSON that these three document.
"""

import logging
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from likewise.app import App
from likewise.config import Settings
from likewise.logs import Lines

_FORMS = {
    "a developer token": re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{86}"),
    "a music user token": re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{86}=="),
    "a private key": re.compile(r"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"),
}
_MEANT_FOR_STDOUT = [
    re.compile(r"^[\w-]+\.[\w-]+\.[\w-]{86}$|^[A-Za-z0-9+/]{86}==$", re.MULTILINE),
    re.compile(r'"(developer_token|music_user_token)": ?"[^"]*"|"music_user_tokens": ?\{[^}]*\}'),
]
_DIFFERENT_CHARACTERS_MIN = 8
"""A secret with fewer is none, and would be found everywhere."""
_ADMIN_TOKEN, _DATABASE = "LIKEWISE_ADMIN_TOKEN", "LIKEWISE_DATABASE"


class Watch:
    """Knows secrets, hears texts, and remembers where one was in the other; never the secret itself."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._found: list[str] = []

    def know(self, secret: str | None) -> None:
        if secret and len(set(secret)) >= _DIFFERENT_CHARACTERS_MIN:
            self._known.add(secret)

    def know_settings(self, environment: Mapping[str, Any]) -> None:
        self.know(environment.get(_ADMIN_TOKEN))
        self.know(_password(str(environment.get(_DATABASE) or "")))

    def hear(self, where: str, text: str | bytes | None) -> None:
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text or ""
        if where == "stdout":
            for pattern in _MEANT_FOR_STDOUT:
                text = pattern.sub("", text)
        self._found += [f"{what} in {where}" for what, form in _FORMS.items() if form.search(text)]
        self._found += [f"a secret of the settings in {where}" for secret in self._known if secret in text]

    def take(self) -> list[str]:
        """Return what was found since this was asked last."""
        found, self._found = self._found, []
        return found

    @contextmanager
    def expecting(self) -> Iterator[list[str]]:
        """Put what is found in this block into a list, and hold it against nobody: for tests of the watch itself."""
        found: list[str] = []
        before = self.take()
        yield found
        found += self.take()
        self._found = before


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None


WATCH = Watch()


class _Entries(logging.Handler):
    """Hears log entries as people would read them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(Lines())

    def emit(self, record: logging.LogRecord) -> None:
        WATCH.hear("a log", self.format(record))


@contextmanager
def listening() -> Iterator[None]:
    """Listen to everything until the block ends."""
    entries = _Entries()
    with pytest.MonkeyPatch.context() as patch:
        logging.getLogger().addHandler(entries)
        for kind, name, hearing in (
            (pytest.CaptureFixture, "readouterr", _hearing_capture),
            (subprocess.Popen, "__init__", _hearing_arguments),
            (subprocess.Popen, "communicate", _hearing_process),
            (httpx2.Client, "send", _hearing_answer),
            (App, "numbers", _hearing_numbers),
            (Settings, "__init__", _hearing_settings),
        ):
            patch.setattr(kind, name, hearing(getattr(kind, name)))
        try:
            yield
        finally:
            logging.getLogger().removeHandler(entries)


def _hearing_capture(read: Any) -> Any:
    def readouterr(capture: Any) -> Any:
        captured = read(capture)
        WATCH.hear("stdout", captured.out)
        WATCH.hear("stderr", captured.err)
        return captured

    return readouterr


def _hearing_arguments(make: Any) -> Any:
    def init(process: Any, args: Any, *rest: Any, **options: Any) -> None:
        WATCH.know_settings(options.get("env") or os.environ)
        words = [args] if isinstance(args, str | bytes | os.PathLike) else list(args)
        texts = [os.fsdecode(word) for word in words]
        if "likewise" in texts:
            WATCH.hear("the list of processes", "\n".join(texts))
        make(process, args, *rest, **options)

    return init


def _hearing_process(wait: Any) -> Any:
    def communicate(process: Any, *rest: Any, **options: Any) -> Any:
        out, err = wait(process, *rest, **options)
        WATCH.hear("stdout", out)
        WATCH.hear("stderr", err)
        return out, err

    return communicate


def _hearing_answer(send: Any) -> Any:
    def sending(client: Any, request: Any, **options: Any) -> Any:
        response = send(client, request, **options)
        if request.url.path == "/metrics":
            WATCH.hear("the metrics", response.content)
        return response

    return sending


def _hearing_numbers(write: Any) -> Any:
    def numbers(app: App) -> Any:
        text, content_type = write(app)
        WATCH.hear("the metrics", text)
        return text, content_type

    return numbers


def _hearing_settings(make: Any) -> Any:
    def init(settings: Settings, *rest: Any, **options: Any) -> None:
        make(settings, *rest, **options)
        WATCH.know(settings.admin_token)

    return init
