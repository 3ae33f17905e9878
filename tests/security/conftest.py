"""The command line in this process, on a database and a folder of its own."""

import os
from typing import NamedTuple

import pytest

from likewise.cli import calling, main
from tests.client.apple import apple_server


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def likewise(tmp_path, monkeypatch, capsys):
    for name in list(os.environ):
        if name.startswith("LIKEWISE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(calling, "default_folder", lambda: tmp_path / "nowhere")
    monkeypatch.setattr(calling, "_profiles_folder", lambda: tmp_path / "nowhere")
    monkeypatch.setenv("LIKEWISE_DATABASE", f"sqlite:///{tmp_path}/likewise.db")

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def apple(monkeypatch):
    """A stand-in for Apple's servers, which the commands ask."""
    with apple_server() as account:
        monkeypatch.setenv("LIKEWISE_URL", account.url)
        monkeypatch.setenv("LIKEWISE_DEVELOPER_TOKEN", "developer")
        monkeypatch.setenv("LIKEWISE_USER_TOKEN", "user")
        yield account
