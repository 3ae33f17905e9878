"""Puts what was measured where the documents have a place for it, between two comments."""

import re
from pathlib import Path

from benchmarks.measuring import ROOT, fail

DOCUMENTS = (ROOT / "docs" / "evidence.md", ROOT / "docs" / "performance.md")


def renew(name: str, text: str) -> None:
    """Replace the block of this name in each document that has one; end the benchmark where none has."""
    place = re.compile(rf"(<!-- measured: {name} -->\n```\n).*?(```\n<!-- end -->)", re.DOTALL)
    found = [document for document in DOCUMENTS if place.search(document.read_text("utf-8"))]
    if not found:
        fail(f"no document has a place for {name}", f"put it between <!-- measured: {name} --> and <!-- end -->")
    for document in found:
        _write(document, place.sub(lambda parts: f"{parts[1]}{text.rstrip()}\n{parts[2]}", document.read_text("utf-8")))


def _write(document: Path, text: str) -> None:
    document.write_text(text, "utf-8")
