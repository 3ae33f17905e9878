"""What stands in deploy/ is true: its settings exist, its paths agree, its locks hold what the project asks for."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from likewise.config import Settings, read_settings, unknown_variables

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.iterdir() if path.is_file())

UNIT = (DEPLOY / "likewise.service").read_text("utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
COMPOSE = (DEPLOY / "compose.yaml").read_text("utf-8")


def directive(name):
    """Return the one value of a directive of the unit."""
    [value] = re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)
    return value


def pins_of(name):
    """Return the versions that a lock pins, by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / "requirements" / name).read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path):
    named = re.findall(r"LIKEWISE_[A-Z_]+", path.read_text("utf-8"))

    assert unknown_variables(dict.fromkeys(named, "")) == []


def test_the_example_settings_are_good_with_either_database():
    lines = (DEPLOY / "likewise.env").read_text("utf-8").splitlines()
    settings = [line.partition("=")[::2] for line in lines if line and not line.startswith("#")]
    [postgres] = [line for line in lines if line.startswith("#LIKEWISE_DATABASE=")]

    assert read_settings(dict(settings)).database.startswith("sqlite:////")
    assert read_settings({"LIKEWISE_DATABASE": postgres.partition("=")[2]}).database.startswith("postgresql://")


def test_unit_user_settings_and_proxy_mean_the_same_folders():
    settings = (DEPLOY / "likewise.env").read_text("utf-8")
    user, home = re.findall(r'^u (\S+) - ".*" (\S+)$', (DEPLOY / "likewise.sysusers").read_text("utf-8"), re.MULTILINE)[
        0
    ]
    [socket] = re.findall(r"^LIKEWISE_SOCKET=(.*)$", settings, re.MULTILINE)

    assert directive("User") == user
    assert directive("WorkingDirectory") == home == f"/var/lib/{directive('StateDirectory')}"
    assert f"sqlite:///{home}/" in settings
    assert Path(socket).parent == Path("/run") / directive("RuntimeDirectory")
    assert f"server unix:{socket};" in (DEPLOY / "nginx.conf").read_text("utf-8")


def test_whoever_stops_it_waits_longer_than_a_shutdown_may_take():
    grace = [directive("TimeoutStopSec"), *re.findall(r"dockerfile: .*?stop_grace_period: (\d+)s", COMPOSE, re.DOTALL)]

    assert len(grace) == 2
    assert all(int(seconds) > Settings().shutdown_seconds_max + 1 for seconds in grace)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path):
    program = tmp_path / "likewise"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "likewise.service"
    unit.write_text(UNIT.replace(directive("ExecStart").split()[0], str(program)))

    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stderr == ""
    assert done.returncode == 0


def test_the_image_copies_what_exists_and_the_build_may_see():
    seen = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8")
    copied = [
        source for line in re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE) for source in line.split()
    ]

    assert {"src", "pyproject.toml", "requirements/serve.lock", "deploy/healthcheck.py"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists(), source
        assert re.search(rf"^!{re.sub(r'[^/]*[.]lock$', r'[*].lock', source)}$", seen, re.MULTILINE), source


def test_both_stages_of_the_image_have_the_same_python():
    assert len(set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))) == 1


def test_the_files_that_compose_names_are_kept_out_of_the_repository():
    secrets = re.findall(r"file: (secrets/\S+)", COMPOSE)

    assert len(secrets) == 3
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert re.search(r"dockerfile: deploy/Dockerfile", COMPOSE)
    assert "PASSWORD:" not in COMPOSE


def test_the_lock_of_the_image_holds_what_the_server_needs_in_the_versions_that_are_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["server"], *extras["postgres"]]
    names = {re.split(r"[^a-z0-9-]", each)[0] for each in needed} - {"likewise"}
    tested = pins_of("dev.lock")

    for lock in ("serve.lock", "build.lock"):
        assert set(pins_of(lock).items()) <= set(tested.items()), f"make lock: {lock} is not what is tested"
    assert names <= set(pins_of("serve.lock"))
    assert {"pytest", "ruff", "hatchling"}.isdisjoint(pins_of("serve.lock"))
