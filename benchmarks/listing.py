"""What a page of one's own list costs, wherever it is, and what somebody with a long list costs others.

A listener with a million ratings and one with three share a `likewise dev`. The first page of 100 of the long list, one
from its middle and the last but one are asked for in turns; then the short list, a single rating and a PUT are, while
four clients read the long list without a pause.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from likewise import Client, Value
from likewise.api.lists.cursors import offset_of
from likewise.domain import Item, Kind, Place
from likewise.ndjson import moment

PAGE = 100
HOGS = 4

_YEAR_2020 = 1_577_836_800_000
_LINE = '{{"type":"songs","id":"{id}","value":1,"time":"{time}"}}\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=int, default=1_000_000, help="of the long list (default: 1000000)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each is asked for (default: 15)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="likewise-benchmark-") as folder:
        command = [sys.executable, "-m", "likewise", "dev", "--json", "--port", "0", "--data", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                facts = json.loads(process.stdout.readline())
                _fill(Path(folder), arguments.ratings)
                _measure(facts, arguments.ratings, arguments.rounds)
            finally:
                process.terminate()


def _fill(folder: Path, ratings: int) -> None:
    path = folder / "long.ndjson"
    with path.open("w") as file:
        for number in range(ratings):
            file.write(_LINE.format(id=1_000_000_000 + number, time=moment(_YEAR_2020 + number)))
    command = [sys.executable, "-m", "likewise", "import", str(path), "--listener", "ada"]
    url = f"sqlite:///{folder}/likewise.db"
    subprocess.run([*command, "--database", url], check=True, stdout=subprocess.DEVNULL)


def _measure(facts: dict[str, Any], ratings: int, rounds: int) -> None:
    middle, last = (_YEAR_2020 + number for number in (ratings // 2, PAGE + 1))
    with _http(facts, "ada") as ada, _client(facts, "ben") as ben:
        ben.write_ratings([("songs", id, Value.LIKE) for id in ("1", "2", "3")])
        pages = {
            "page 1": partial(_read_page, ada, None),
            f"page {ratings // 2 // PAGE:,}": partial(_read_page, ada, middle),
            f"page {ratings // PAGE - 1:,}": partial(_read_page, ada, last),
        }
        _tell(_in_turns(pages, rounds))
        _measure_others(facts, ben, middle, rounds)


def _measure_others(facts: dict[str, Any], ben: Client, place: int, rounds: int) -> None:
    others: dict[str, Callable[[], object]] = {
        "another's list": lambda: list(ben.list_ratings()),
        "another's GET one": lambda: ben.get_rating("songs", "1"),
        "another's PUT": lambda: ben.put_rating("songs", "1", Value.LIKE),
    }
    _tell(_in_turns(others, rounds))
    has_ended = threading.Event()
    hogs = [threading.Thread(target=_read_on, args=(facts, place, has_ended)) for _ in range(HOGS)]
    for hog in hogs:
        hog.start()
    try:
        found = _in_turns(others, rounds)
    finally:
        has_ended.set()
        for hog in hogs:
            hog.join()
    _tell({f"{name}, beside {HOGS} who read on": seconds for name, seconds in found.items()})


def _http(facts: dict[str, Any], name: str) -> httpx2.Client:
    tokens = {
        "Authorization": f"Bearer {facts['developer_token']}",
        "Music-User-Token": facts["music_user_tokens"][name],
    }
    return httpx2.Client(base_url=facts["url"], headers=tokens, timeout=60)


def _client(facts: dict[str, Any], name: str) -> Client:
    return Client(facts["developer_token"], facts["music_user_tokens"][name], base_url=facts["url"])


def _read_page(http: httpx2.Client, time: int | None) -> None:
    offset = {} if time is None else {"offset": offset_of(Place(time, Item(Kind.SONG, "1")))}
    answer = http.get("/v1/me/ratings", params={"limit": PAGE, **offset})
    assert len(answer.json()["data"]) == PAGE


def _read_on(facts: dict[str, Any], place: int, has_ended: threading.Event) -> None:
    with _http(facts, "ada") as http:
        while not has_ended.is_set():
            _read_page(http, place)


def _in_turns(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def _tell(found: Mapping[str, list[float]]) -> None:
    for name, seconds in found.items():
        middle, least, most = (1_000 * each for each in (statistics.median(seconds), min(seconds), max(seconds)))
        print(f"{name:48}{middle:8.1f} ms ({least:.1f} … {most:.1f})")


if __name__ == "__main__":
    main()
