"""The console script: catches Ctrl-C from the first instruction on, before the imports that a command needs."""

import os
import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run `spotrender` with the process's arguments, and exit with its code."""
    try:
        from jobs.cli import run  # takes a third of a second, in which Ctrl-C may come

        code = run(sys.argv[1:], debug=bool(os.environ.get("SPOTRENDER_DEBUG")))
    except KeyboardInterrupt:
        os.write(2, b"error: interrupted\n")
        code = EXIT_INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
