"""The watch over secrets bites: what is planted is found, wherever it is said."""

import logging
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from likewise.config import Settings
from likewise.logs import fields
from likewise.tokens import generate_private_key, mint_developer_token
from tests.e2e.server import environment
from tests.house import KEY_ID, TEAM_ID, issue_user_token
from tests.watch import WATCH

ROOT = Path(__file__).parents[2]
ADMIN_TOKEN = "an-admin-token-that-was-planted-here"
PASSWORD = "planted-password"


@pytest.fixture(params=["a developer token", "a music user token", "a private key", "a secret of the settings"])
async def secret(request, house):
    """What the watch calls it, and the secret."""
    match request.param:
        case "a developer token":
            text = mint_developer_token(house.private_key, key_id=KEY_ID, team_id=TEAM_ID, now_seconds=1, seconds=60)
        case "a music user token":
            text = await issue_user_token(house.app.store, house.ada)
        case "a private key":
            text = generate_private_key().decode()
        case _:
            text = ADMIN_TOKEN
            Settings(admin_token=ADMIN_TOKEN)
    return request.param, text


def test_a_secret_in_a_log_is_found(secret):
    what, text = secret
    with WATCH.expecting() as found:
        logging.getLogger("likewise").warning("it is %s", text)
        logging.getLogger("likewise").warning("it is in a field", extra=fields(token=text))
        logging.getLogger("likewise").error("it is in a traceback", exc_info=ValueError(text))

    assert found == [f"{what} in a log"] * 3


def test_a_secret_on_stderr_is_found(secret, capsys):
    what, text = secret
    with WATCH.expecting() as found:
        sys.stderr.write(f"error: {text}\n{text}\n")
        capsys.readouterr()

    assert found == [f"{what} in stderr"]


def test_a_secret_in_a_sentence_on_stdout_is_found_and_a_token_by_itself_is_meant_to_be_there(secret, capsys):
    what, text = secret
    with WATCH.expecting() as found:
        sys.stdout.write(f"it is {text}\n")
        capsys.readouterr()
    assert found == [f"{what} in stdout"]

    with WATCH.expecting() as found:
        sys.stdout.write(f'{text}\n{{"music_user_token": "{text}"}}\n')
        capsys.readouterr()
    assert found == ([] if what in {"a developer token", "a music user token"} else [f"{what} in stdout"])


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_secret_that_another_process_says_is_found(secret, stream):
    what, text = secret
    with WATCH.expecting() as found:
        script = f"import sys; sys.{stream}.write('said: ' + sys.stdin.read())"
        subprocess.run([sys.executable, "-c", script], input=text, capture_output=True, text=True, check=True)

    assert found == [f"{what} in {stream}"]


def test_a_secret_in_an_argument_of_a_command_is_found(secret):
    what, text = secret
    with WATCH.expecting() as found:
        command = [sys.executable, "-c", "", "likewise", "rate", text]
        subprocess.run(command, capture_output=True, check=True)

    assert found == [f"{what} in the list of processes"]


def test_a_password_in_the_environment_of_a_command_is_known(capsys):
    with WATCH.expecting() as found:
        environment = {"LIKEWISE_DATABASE": f"postgresql://ada:{PASSWORD}@127.0.0.1/x"}
        subprocess.run([sys.executable, "-c", ""], env=environment, check=True)
        sys.stderr.write(f"cannot connect with {PASSWORD}")
        capsys.readouterr()

    assert found == ["a secret of the settings in stderr"]


def test_a_secret_in_the_metrics_is_found(secret):
    what, text = secret
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, text=f'x{{token="{text}"}} 1'))
    with WATCH.expecting() as found, httpx2.Client(transport=transport, base_url="http://x") as client:
        client.get("/metrics")
        client.get("/v1/me/storefront")

    assert found == [f"{what} in the metrics"]


def test_what_is_no_secret_is_not_found(capsys):
    with WATCH.expecting() as found:
        sys.stderr.write("eyJ.eyJ.sig -----BEGIN PUBLIC KEY----- dGVzdA== " + "0" * 200)
        WATCH.know("short")
        WATCH.know("0" * 64)
        WATCH.hear("stderr", "short 0000" + "0" * 64)
        capsys.readouterr()

    assert found == []


@pytest.mark.parametrize("workers", [(), ("-n", "2", "--dist=loadfile")], ids=["alone", "with workers"])
def test_a_test_in_which_a_secret_is_said_fails(tmp_path, workers):
    """The whole of it: the fixtures of `tests/conftest.py`, around a test that says a token and passes."""
    planted = tmp_path / "test_planted.py"
    planted.write_text(
        "import logging\n"
        "from tests.conftest import listening_for_secrets, nothing_secret_was_said\n"
        "def test_that_says_a_token(caplog):\n"
        "    logging.getLogger('x').warning('eyJ' + 'a' * 20 + '.' + 'b' * 20 + '.' + 'c' * 86)\n"
        "def test_that_says_nothing():\n"
        "    assert True\n"
    )
    options = ["-q", "-p", "no:schemathesis", "--import-mode=importlib", "--rootdir", str(tmp_path)]
    with WATCH.expecting():  # the report repeats what was planted
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *workers, str(planted)],
            capture_output=True, text=True, cwd=ROOT, env=environment(PYTHONPATH=str(ROOT)), timeout=120, check=False,
        )  # fmt: skip

    assert done.returncode == 1
    assert "2 passed, 1 error" in done.stdout
    assert "a developer token in a log" in done.stdout
