"""The package as a library: what it names, and what that costs."""

import subprocess
import sys

import pytest

import likewise
from likewise.client import Client
from likewise.domain import Value


def test_it_names_what_it_says():
    for name in likewise.__all__:
        assert getattr(likewise, name) is not None
    assert likewise.Client is Client
    assert likewise.Value is Value


def test_it_names_nothing_else():
    with pytest.raises(AttributeError, match="module 'likewise' has no attribute 'Clientt'"):
        likewise.Clientt  # noqa: B018 - looking is enough


def test_importing_it_loads_nothing():
    script = "import sys, likewise; print(*(name for name in sys.modules if name.startswith('likewise')))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "likewise\n"
