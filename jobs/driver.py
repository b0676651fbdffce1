"""`python -m jobs.driver JOB --store URI`: what `submit --detach` starts on a cluster's head."""

import argparse
import sys

from jobs.driving import drive, stored_job, stored_requests
from jobs.exiting import end_at_once, exit_with
from jobs.wiring import open_store
from pipeline.errors import SpotrenderError, UserError
from pipeline.status import Status


def main() -> None:
    """Drive a job that stands in the store, on the Ray cluster that this process belongs to."""
    parser = argparse.ArgumentParser(prog="python -m jobs.driver", description=__doc__)
    parser.add_argument("job")
    parser.add_argument("--store", required=True)
    parser.add_argument("--workers", type=int)
    arguments = parser.parse_args()
    end_at_once()
    try:
        store = open_store(arguments.store)
        job, printer = stored_job(store, arguments.job), _Printer()
        with stored_requests(store, job) as table:
            status = drive(
                job, table, store, address="auto", workers=arguments.workers, on_status=printer, say=printer.say
            )
    except SpotrenderError as error:
        sys.stderr.write(f"error: {error}\n")
        exit_with(2 if isinstance(error, UserError) else 1)
    else:
        exit_with(status.state.exit_code)


class _Printer:
    """A line for each new phase, for Ray's job log."""

    def __init__(self) -> None:
        self._last = ""

    def say(self, text: str) -> None:
        """Print what there is to say beside the status."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def __call__(self, status: Status) -> None:
        """Print the phase when it changed."""
        if status.phase != self._last:
            self._last = status.phase
            done = status.rendered + status.reused
            sys.stdout.write(f"{status.state} {status.phase}: {done}/{status.total} images {status.message}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
