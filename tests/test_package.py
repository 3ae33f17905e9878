"""The package as one installs it: what it names, what that costs, and what each extra is good for."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import likewise
from likewise.cli.commands import COMMANDS, EXTRAS, missing_extra
from likewise.client import Client
from likewise.domain import Value
from tests.e2e.server import environment

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]

# Runs a command where only some modules of others can be imported, as if nothing else were installed.
WITH_THESE_ALONE = """
import sys

class Nothing:
    def __init__(self, allowed):
        self.allowed = allowed
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in self.allowed and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nothing({"likewise", *sys.argv.pop(1).split(",")}))
from likewise.cli import main
main(sys.argv[1:])
"""


def modules_of(extra):
    """Name the modules that `pip install likewise[extra]` brings, with all that they need in turn."""
    chosen = [*PROJECT["dependencies"], *requirements_of(extra)]
    found: set[str] = set()
    waiting = [Requirement(text) for text in chosen]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [Requirement(text) for text in metadata.requires(name) or ()]
    return [
        module
        for module, names in metadata.packages_distributions().items()
        if any(canonicalize_name(name) in found for name in names)
    ]


def requirements_of(extra):
    found: list[str] = []
    for text in PROJECT["optional-dependencies"][extra] if extra else []:
        own = re.fullmatch(r"likewise\[(\w+)\]", text)
        found += requirements_of(own[1]) if own else [text]
    return found


@pytest.fixture
def run_with(tmp_path):
    def run(extra, *arguments):
        command = [sys.executable, "-c", WITH_THESE_ALONE, ",".join(modules_of(extra)), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment(), check=False
        )

    return run


class TestTheLibrary:
    def test_it_names_what_it_says(self):
        for name in likewise.__all__:
            assert getattr(likewise, name) is not None
        assert likewise.Client is Client
        assert likewise.Value is Value

    def test_it_names_nothing_else(self):
        with pytest.raises(AttributeError, match="module 'likewise' has no attribute 'Clientt'"):
            likewise.Clientt  # noqa: B018 - looking is enough

    def test_importing_it_loads_nothing(self):
        script = "import sys, likewise; print(*(name for name in sys.modules if name.startswith('likewise')))"

        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

        assert done.stdout == "likewise\n"


class TestExtras:
    def test_nothing_but_what_an_extra_brings_can_be_imported(self):
        assert "apsw" not in modules_of("")
        assert {"apsw", "granian", "uvloop"} < set(modules_of("server"))
        assert {"apsw", "granian", "uvloop", "asyncpg"} < set(modules_of("postgres"))
        assert not {"pytest", "hypothesis"} & set(modules_of("postgres"))

    def test_each_module_of_an_extra_is_known_by_its_extra(self):
        brought = {
            Requirement(text).name.replace("-", "_"): extra
            for extra, texts in PROJECT["optional-dependencies"].items()
            for text in texts
            if not text.startswith("likewise[")
        }

        assert brought == EXTRAS

    @pytest.mark.parametrize("extra", ["", "server", "postgres"])
    def test_with_any_extra_or_none_the_commands_are_listed(self, run_with, extra):
        done = run_with(extra, "--help")

        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        for command in COMMANDS:
            assert re.search(rf"^  {command} ", done.stdout, re.MULTILINE)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("dev", "--port", "0", "--data", "data"),
            ("serve", "--database", "sqlite:///x.db"),
            ("listener", "add", "ada", "--database", "sqlite:///x.db"),
        ],
        ids=lambda arguments: arguments[0],
    )
    def test_a_command_without_its_extra_says_which_it_needs(self, run_with, arguments):
        done = run_with("", *arguments)

        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(
            r"error: [\w ]+ needs the extra likewise\[server\]\n\n"
            r"hint: install it: pip install 'likewise\[server\]'\n",
            done.stderr,
        )

    def test_postgresql_without_its_extra_says_which_it_needs(self, run_with):
        done = run_with("server", "listener", "list", "--database", "postgresql://ada@127.0.0.1:1/likewise")

        assert done.returncode == 2
        assert done.stderr.startswith("error: PostgreSQL needs the extra likewise[postgres]\n\nhint: ")

    def test_the_servers_extra_keeps_listeners_in_sqlite(self, run_with):
        assert run_with("server", "listener", "add", "ada", "--database", "sqlite:///x.db").returncode == 0

        done = run_with("server", "listener", "list", "--json", "--database", "sqlite:///x.db")

        assert done.stdout == '[{"name": "ada", "storefront": "us"}]\n'

    def test_the_servers_extra_loads_the_server(self, run_with):
        done = run_with("server", "dev", "--port", "0", "--data", "/dev/null/x")

        assert "the data folder /dev/null/x cannot be used" in done.stderr

    def test_the_extra_for_postgresql_reaches_for_the_database(self, run_with):
        done = run_with("postgres", "listener", "list", "--database", "postgresql://ada@127.0.0.1:1/likewise")

        assert done.returncode == 1
        assert "PostgreSQL cannot be reached" in done.stderr


class TestAMissingModule:
    def test_one_that_no_extra_brings_is_a_fault_of_ours(self):
        error = ModuleNotFoundError("No module named 'likewise.nowhere'", name="likewise.nowhere")

        with pytest.raises(ModuleNotFoundError):
            missing_extra(error)

    def test_a_command_that_cannot_be_loaded_leaves_the_others_alone(self, monkeypatch, capsys):
        from likewise.cli import main  # noqa: PLC0415 - beside its use

        monkeypatch.setitem(sys.modules, "granian", None)
        monkeypatch.setitem(COMMANDS, "broken", ("granian", "server"))
        for arguments, code, text in (
            (["--help"], 0, "(this command needs the extra likewise[server])"),
            (["broken", "--any", "thing"], 2, "error: this command needs the extra likewise[server]\n"),
        ):
            with pytest.raises(SystemExit) as stop:
                main(arguments)
            assert stop.value.code == code
            captured = capsys.readouterr()
            assert text in captured.out + captured.err
