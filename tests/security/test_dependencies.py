"""What comes with Likewise is written down with its reason, and pinned by hash, from nowhere in particular."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))

_ROW = re.compile(r"^\| `([\w-]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def named(requirements):
    """Name the packages of a list of requirements, but for extras of our own and groups in groups."""
    texts = [text for text in requirements if isinstance(text, str) and not text.startswith("likewise[")]
    return {Requirement(text).name for text in texts}


def stated():
    """What the project asks for: each package with what it comes with."""
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    found = dict.fromkeys(named(project["dependencies"]), "`likewise`")
    for extra, texts in project["optional-dependencies"].items():
        found |= dict.fromkeys(named(texts), f"`likewise[{extra}]`")
    development = (named(groups["build"]) | named(groups["dev"])) - found.keys()
    found |= dict.fromkeys(development, "development")
    return found | dict.fromkeys(named(groups["fuzz"]), "fuzzing") | dict.fromkeys(named(groups["bench"]), "benchmarks")


def test_each_dependency_is_written_down_where_it_belongs_and_no_other_is():
    table = _ROW.findall((ROOT / "docs" / "dependencies.md").read_text("utf-8"))

    assert {package: comes_with for package, comes_with, _ in table} == stated()
    assert len(table) == len(stated())


def test_each_has_a_reason():
    for package, _, reason in _ROW.findall((ROOT / "docs" / "dependencies.md").read_text("utf-8")):
        assert len(reason) > 3, package


def test_each_group_and_extra_is_looked_at():
    assert set(PYPROJECT["project"]["optional-dependencies"]) == {"server", "postgres"}
    assert set(PYPROJECT["dependency-groups"]) == {"bench", "build", "dev", "fuzz"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_each_package_by_version_and_hash_and_names_no_place(lock):
    text = lock.read_text("utf-8")
    blocks = re.split(r"^(?=[a-zA-Z0-9])", text, flags=re.MULTILINE)[1:]

    assert blocks
    assert text.startswith(blocks[0])  # no options before the first
    for block in blocks:
        head, *rest = block.splitlines()
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+( ; .+)? \\$", head), head
        hashes = [line for line in rest if not line.lstrip().startswith("#")]
        assert hashes, head
        for line in hashes:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
    assert not re.search(r"https?:|--(index|extra-index|find-links|trusted)|@ file", text)
