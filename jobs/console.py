"""The console script: catches Ctrl-C from the first instruction on, before the imports that a command needs."""

import os
import sys

from jobs.exiting import end_at_once, exit_with

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run `spotrender` with the process's arguments, and exit with its code."""
    end_at_once()
    try:
        from jobs.cli import run  # takes a third of a second, in which Ctrl-C may come

        code = run(sys.argv[1:], debug=bool(os.environ.get("SPOTRENDER_DEBUG")))
    except KeyboardInterrupt:
        os.write(2, b"error: interrupted\n")
        code = EXIT_INTERRUPTED
    exit_with(code)


if __name__ == "__main__":
    main()
