"""Fuzzes the path of a request, led by coverage: `make fuzz`, or `make fuzz ARGS='--seconds 600'`.

It begins with the requests in `seeds`, one of each sort, and with those in `corpus`, which it found before. What it
finds that is new goes to a folder of its own; with --keep the smallest that reach everything become the corpus.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).parent
SEEDS = FOLDER / "seeds"
CORPUS = FOLDER / "corpus"
REQUEST_BYTES_MAX = 2_048


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzz the path of a request, led by coverage.")
    parser.add_argument("--seconds", type=int, default=60, help="for how long [default: 60]")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; 0 draws one")
    parser.add_argument("--found", type=Path, help="the folder for requests that reach something new")
    parser.add_argument("--keep", action="store_true", help="make the corpus anew of all that was found")
    arguments = parser.parse_args()
    if find_spec("atheris") is None:
        print("error: atheris is not installed\n", file=sys.stderr)
        print("hint: .venv/bin/python -m pip install --require-hashes -r requirements/fuzz.lock", file=sys.stderr)
        return 1
    found = arguments.found or Path(tempfile.mkdtemp(prefix="likewise-fuzz-"))
    found.mkdir(parents=True, exist_ok=True)
    failed = fuzz(found, arguments.seconds, arguments.seed)
    if failed:
        return 1
    if arguments.keep:
        keep(found)
    return 0


def fuzz(found: Path, seconds: int, seed: int) -> bool:
    """Fuzz for so long; say whether a request broke something."""
    command = [
        *(sys.executable, "-m", "tests.fuzz.target", str(found), str(SEEDS), str(CORPUS)),
        *(f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={REQUEST_BYTES_MAX}", "-timeout=10"),
        *(f"-dict={FOLDER / 'requests.dict'}", f"-artifact_prefix={found}/broken-", "-print_final_stats=1"),
    ]
    executions = 0
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr is not None
        for line in process.stderr:
            print(line, end="", file=sys.stderr)
            if stated := re.match(r"stat::number_of_executed_units: (\d+)", line):
                executions = int(stated[1])
    broken = sorted(found.glob("broken-*"))
    for each in broken:
        print(f"{each}\n{each.read_bytes()!r}")
    print(f"{executions} executions, {len(broken)} findings; new requests are in {found}")
    return bool(broken) or process.returncode != 0


def keep(found: Path) -> None:
    """Make the corpus of the fewest and smallest requests that reach what all of them reach."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.fuzz.target", "-merge=1", folder, str(SEEDS), str(CORPUS), str(found)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        shutil.rmtree(CORPUS)
        CORPUS.mkdir()
        seeds = {each.read_bytes() for each in SEEDS.iterdir()}
        for each in Path(folder).iterdir():
            if each.read_bytes() not in seeds:
                shutil.copy(each, CORPUS)


if __name__ == "__main__":
    sys.exit(main())
