"""The proxy as a process of its own: `python -m tests.faults --upstream http://127.0.0.1:9000 --rate slow_down=0.1`.

Prints one line of JSON, `{"proxy": url, "control": url}`, and runs until its stdin ends, so that it never outlives
whoever started it.
"""

import argparse
import json
import sys
import threading

from tests.faults.control import serve_control
from tests.faults.proxy import Listener
from tests.faults.weather import Weather


def main() -> None:
    """Parse, serve, wait."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--upstream", required=True, help="URL of the real S3 server")
    parser.add_argument("--rate", action="append", default=[], metavar="FAULT=SHARE", help="may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stall-seconds", type=float, default=5.0)
    options = parser.parse_args()
    rates = {name: float(share) for name, _, share in (text.partition("=") for text in options.rate)}
    weather = Weather(rates=rates, seed=options.seed, stall_seconds=options.stall_seconds)
    listener = Listener(options.upstream, weather)
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    with serve_control(weather) as control:
        sys.stdout.write(json.dumps({"proxy": listener.url, "control": control.url}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
    listener.end()


if __name__ == "__main__":
    main()
