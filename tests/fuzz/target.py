"""What the fuzzer runs: the service with every branch marked, and one request after another. Needs atheris."""

import logging
import sys

import atheris

with atheris.instrument_imports(include=["likewise", "urllib.parse", "json", "jwt"]):
    from tests.fuzz.world import World


def main() -> None:
    logging.disable()
    world = World()
    # What libFuzzer starts again, to sort out which requests are worth keeping, is a command for the shell.
    atheris.Setup([f"{sys.executable} -m tests.fuzz.target", *sys.argv[1:]], world.ask)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
