"""The description is true: Schemathesis reads it from a running service, asks whatever it allows and whatever it does
not, and compares the answers. All its checks are on."""

import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from likewise.app import now
from likewise.domain import DeveloperKey, Item, Kind
from likewise.stores import open_store
from likewise.tokens import mint_developer_token, read_public_key
from tests.description.hooks import LIBRARY_SONG, LISTENER
from tests.e2e.server import environment, running, wait_for_line
from tests.house import KEY_ID, TEAM_ID, issue_user_token

ROOT = Path(__file__).parents[2]
ADMIN_TOKEN = "correct-horse-battery-staple-and-more"
EXAMPLES_MAX = 8
SECONDS_MAX = 300


@pytest.fixture
def tokens(tmp_path, private_key):
    """Begin a database with a listener; return the headers that say that one is ada."""
    return asyncio.run(begin(f"sqlite:///{tmp_path}/likewise.db", private_key))


async def begin(url, private_key):
    store = await open_store(url)
    await store.add_developer_key(DeveloperKey(KEY_ID, TEAM_ID, read_public_key(private_key), now()))
    ada = await store.add_listener("ada", "us")
    await store.add_listener(LISTENER, "us")
    await store.link(ada, Item(Kind.LIBRARY_SONG, LIBRARY_SONG), Item(Kind.SONG, "907242702"), now=now())
    token = await issue_user_token(store, ada, now=now())
    await store.close()
    developer_token = mint_developer_token(
        private_key, key_id=KEY_ID, team_id=TEAM_ID, now_seconds=int(time.time()), seconds=3600
    )
    return {"Authorization": f"Bearer {developer_token}", "Music-User-Token": token}


@pytest.fixture
def address(tokens, tmp_path):
    assert tokens
    command = [sys.executable, "-m", "likewise", "serve", "--port", "0"]
    settings = {"LIKEWISE_DATABASE": f"sqlite:///{tmp_path}/likewise.db", "LIKEWISE_ADMIN_TOKEN": ADMIN_TOKEN}
    with running(command, **settings) as process:
        found = re.search(r"http://[0-9.:]+", wait_for_line(process, "serves on"))
        assert found is not None
        yield found.group()


def schemathesis(folder, address, headers, *arguments):
    command = [
        *(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(Path(__file__).with_name("schemathesis.toml")),
        ),
        *("run", f"{address}/openapi.json", "--checks", "all", "--max-examples", str(EXAMPLES_MAX), "--no-color"),
        *("--seed", "1", "--generation-deterministic", "--continue-on-failure"),
        *(argument for name, value in headers.items() for argument in ("--header", f"{name}: {value}")),
        *arguments,
    ]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT)),
        check=False,
    )


def test_it_is_true_of_what_listeners_ask(tmp_path, address, tokens):
    done = schemathesis(tmp_path, address, tokens, "--exclude-path-regex", "^/_likewise/")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout, done.stdout


def test_it_is_true_of_what_operators_ask(tmp_path, address):
    operator = {"Authorization": f"Bearer {ADMIN_TOKEN}"}

    done = schemathesis(tmp_path, address, operator, "--include-path-regex", "^/_likewise/")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout, done.stdout
