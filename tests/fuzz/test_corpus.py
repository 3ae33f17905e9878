"""Every request that the fuzzer found worth keeping is answered as it must be, without the fuzzer."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.server import environment
from tests.fuzz.world import World

ROOT = Path(__file__).parents[2]
REQUESTS = sorted(path for name in ("seeds", "corpus") for path in (Path(__file__).parent / name).iterdir())

GOOD = b"""\
PUT /v1/me/ratings/songs/907242702
authorization: Bearer {developer}
music-user-token: {user}

{"attributes":{"value":1}}"""


@pytest.fixture(scope="module")
def world():
    with World() as world:
        yield world


def test_a_request_that_is_written_down_is_asked(world):
    answer = world.ask(GOOD)

    assert answer is not None
    assert answer.status == 200


def test_what_is_no_request_is_not_asked(world):
    assert world.ask(b"nothing") is None


def test_every_request_of_the_corpus_is_answered_as_it_must_be(world):
    assert len(REQUESTS) > 40
    for request in REQUESTS:
        world.ask(request.read_bytes())


@pytest.mark.skipif(find_spec("atheris") is not None, reason="it is installed here")
def test_without_atheris_it_says_how_to_install_it():
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz"], capture_output=True, text=True, cwd=ROOT, env=environment(), check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: atheris is not installed\n\nhint: ")
