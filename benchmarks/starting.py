"""How long `likewise dev` takes from the start of its process to its first answer.

    first run     in an empty data folder: it makes the database, a key, two listeners and their tokens
    later runs    in the same folder again

The answer is that to GET /v1/me/storefront, on the URL and with the tokens that `likewise dev --json` printed. After
two runs of each sort to warm up the file cache, seven are measured; shown are the medians, with the least and the most.
"""

import argparse
import http.client
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

SECONDS_MAX = 0.7
WARM_UPS = 2
FIRST, LATER = "first run", "later runs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="how many runs of each sort to measure (default: 7)")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where to put the data (default: here)")
    arguments = parser.parse_args()
    # So that processes and folders are cleared away after a `kill` too, not only after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    seconds: dict[str, list[float]] = {FIRST: [], LATER: []}
    try:
        for _ in range(WARM_UPS + arguments.runs):
            with tempfile.TemporaryDirectory(prefix="likewise-benchmark-", dir=arguments.folder) as folder:
                for measured in seconds.values():
                    measured.append(_seconds_to_answer(folder))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    for name, measured in seconds.items():
        counted = measured[WARM_UPS:]
        median = statistics.median(counted)
        verdict = "met" if median <= SECONDS_MAX else "missed"
        spread = f"{median:.2f} s ({min(counted):.2f} … {max(counted):.2f})"
        print(f"{name:10}  {spread}  target ≤ {SECONDS_MAX} s: {verdict}")


def _seconds_to_answer(folder: str) -> float:
    command = [str(Path(sys.executable).with_name("likewise")), "dev", "--json", "--port", "0", "--data", folder]
    started = time.monotonic()
    # Its own session, so Ctrl-C is ours alone.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if line:
            _ask(json.loads(line))
            return time.monotonic() - started
    finally:
        process.terminate()
        try:
            _, complaint = process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            _, complaint = process.communicate()
    sys.exit(f"error: `likewise dev` did not start\n{complaint}\nhint: run it by hand: {' '.join(command)}")


def _ask(printed: dict[str, str | dict[str, str]]) -> None:
    match printed:
        case {"url": str(url), "developer_token": str(token), "music_user_tokens": {"ada": str(user_token)}}:
            connection = http.client.HTTPConnection(urlsplit(url).netloc)
        case _:
            sys.exit(f"error: `likewise dev --json` printed other members than expected: {', '.join(printed)}")
    headers = {"Authorization": f"Bearer {token}", "Music-User-Token": user_token}
    connection.request("GET", "/v1/me/storefront", headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    if response.status != 200:
        sys.exit(f"error: the first answer is {response.status}: {body.decode()}")


if __name__ == "__main__":
    main()
