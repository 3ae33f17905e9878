"""`python -m likewise` is the command `likewise`, and this is where both begin."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line and run it; Ctrl-C is one line while it loads too, which takes a tenth of a second."""
    try:
        from likewise.cli import main as run  # noqa: PLC0415 - see above

        run()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
