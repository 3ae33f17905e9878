"""The benchmarks start, compare like with like, and say what they measured; how fast anything is, is not tested."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import ExitStack

import pytest
from benchmarks import charts, documents, results
from benchmarks.measuring import ROOT, Run, allotted
from benchmarks.results import Measured
from benchmarks.rivals.answers import Asker, ensure_alike, ensure_same_answer
from benchmarks.rivals.starts import INSTALL_RIVALS, PRISM, RIVALS_PYTHON, Starter
from benchmarks.seeding import seed, write_requests
from benchmarks.tables import tables

needs_tools = pytest.mark.skipif(
    shutil.which("wrk") is None or shutil.which("taskset") is None or len(os.sched_getaffinity(0)) < 2,
    reason="needs wrk, taskset and two cores",
)


def measured(**speeds):
    """Two rounds in which each had this many requests a second, and somewhat more."""
    return Measured(
        "a machine; Python",
        1,
        [
            {name: Run(speed * more, 1e6 / speed, 1.0, 1.5, 50.0) for name, speed in speeds.items()}
            for more in (1.0, 1.1)
        ],
    )


@needs_tools
def test_a_benchmark_measures_who_is_there_and_names_who_is_not(tmp_path):
    command = [sys.executable, "-m", "benchmarks.serving", "--rounds", "1", "--seconds", "1", "--only", "GET one"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], capture_output=True, text=True, timeout=120, cwd=ROOT, check=False
    )

    assert done.returncode == 0, done.stderr
    assert re.search(r"^GET one +[\d,]+ ", done.stdout, re.MULTILINE)
    for name, is_installed in [("Starlette", RIVALS_PYTHON.exists()), ("Prism", PRISM.exists())]:
        assert (f"{name}, GET one" in done.stdout) == is_installed
        assert (f"{name} is not installed and is left out; install it with {INSTALL_RIVALS}" in done.stderr) != (
            is_installed
        )
    assert list(tmp_path.iterdir()) == []


@needs_tools
def test_a_rival_that_answers_otherwise_is_not_measured(tmp_path):
    private_key = write_requests(tmp_path)
    asyncio.run(seed(f"sqlite:///{tmp_path}/likewise.db", private_key))
    with ExitStack() as stack:
        starter, asker = Starter(stack, tmp_path, allotted()), Asker(tmp_path)
        ours = starter.likewise(f"sqlite:///{tmp_path}/likewise.db", 1)
        empty = starter.empty(ours)

        ensure_same_answer(asker, ours.port, empty.port, "the empty application")
        with pytest.raises(SystemExit, match="does not answer GET /v1/me/ratings/songs/"):
            ensure_alike(asker, ours.port, empty.port, "the empty application")


def test_what_was_kept_makes_the_same_tables_again(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    ours = measured(**{"GET one": 100.0, "GET one, 512 connections": 90.0, "empty": 110.0})
    results.save("serving", ours)

    assert tables(results.load("serving")) == tables(ours)


def test_a_target_is_met_or_missed_by_the_median():
    text = tables(measured(**{"GET one": 90.0, "PUT": 50.0, "empty": 100.0}))

    assert re.search(r"^GET one / empty +0\.90 \(0\.90 … 0\.90\) +≥ 0\.8 +met", text, re.MULTILINE)
    assert re.search(r"^PUT / empty +0\.50 \(0\.50 … 0\.50\) +≥ 0\.55 +missed", text, re.MULTILINE)


def test_a_chart_has_a_bar_and_its_spread_for_each_who_was_measured():
    bars = [charts.Bar("us & them", [1.0, 2.0, 3.0], is_ours=True), charts.Bar("others", [4.0])]
    chart = ET.fromstring(charts.svg("A title", "a unit", [charts.Panel("A panel", bars)]))
    texts = ["".join(text.itertext()) for text in chart.iter("{http://www.w3.org/2000/svg}text")]

    assert [text for text in texts if "us & them" in text or "others" in text] == ["us & them", "others"]
    assert "2\u00a01 … 3" in texts


def test_a_document_is_renewed_where_it_has_a_place_and_only_there(tmp_path, monkeypatch):
    document = tmp_path / "evidence.md"
    document.write_text("before\n<!-- measured: speed -->\n```\nold\n```\n<!-- end -->\nafter\n", "utf-8")
    monkeypatch.setattr(documents, "DOCUMENTS", (document,))
    documents.renew("speed", "new \\1\n")

    assert document.read_text("utf-8") == ("before\n<!-- measured: speed -->\n```\nnew \\1\n```\n<!-- end -->\nafter\n")
    with pytest.raises(SystemExit, match="no document has a place for size"):
        documents.renew("size", "new")
