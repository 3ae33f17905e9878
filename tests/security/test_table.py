"""The table of `SECURITY.md` and its tests are of one mind: each «cannot» has its test, and each test its «cannot»."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "SECURITY.md").read_text("utf-8")


def sentences_of(text):
    """Read each «cannot» of the table as the name of a test."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0] != "whoever has, or is"]
    return [name_of(f"{row[0]} cannot {claim}") for row in rows if len(row) == 3 for claim in row[2].split("; ")]


def name_of(sentence):
    words = re.sub(r"\]\([^)]*\)|['`\[]", "", sentence.lower())
    return "test_" + "_".join(re.findall("[a-z0-9]+", words))


def names_in(name):
    return re.findall(r"^(?:async )?def (test_\w+)", (Path(__file__).parent / name).read_text("utf-8"), re.MULTILINE)


def test_each_cannot_of_the_table_is_tested_and_nothing_else_is_in_its_file():
    sentences = sentences_of(TABLE)

    assert len(sentences) >= 25
    assert sorted(sentences) == sorted(names_in("test_cannots.py"))


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("| a thing | all | fly |", ["test_a_thing_cannot_fly"]),
        ("| ada's `key` | x | a, b; [c](d.md#e) f |", ["test_adas_key_cannot_a_b", "test_adas_key_cannot_c_f"]),
        ("| the network | everything |  |", []),
        ("|---|---|---|", []),
    ],
)
def test_a_row_is_read_as_the_names_of_tests(row, names):
    assert sentences_of(row) == names


def test_a_cannot_without_a_test_would_be_missed():
    planted = TABLE + "| the moon | shine | fall down |\n"

    assert set(sentences_of(planted)) - set(sentences_of(TABLE)) == {"test_the_moon_cannot_fall_down"}
    assert "test_the_moon_cannot_fall_down" not in names_in("test_cannots.py")
