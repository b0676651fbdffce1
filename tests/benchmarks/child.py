"""Measures a function in a process of its own, so that no measurement inherits another one's memory, threads or Ray.

The function takes and gives what JSON can hold; the process says how much memory it took at most.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

QUIET: Final[Mapping[str, str]] = MappingProxyType({"TRANSFORMERS_VERBOSITY": "error"})
"""Variables that keep libraries from chatting in between the tables."""


def in_child(
    function: Callable[..., dict[str, Any]], *, environ: Mapping[str, str] | None = None, **arguments: Any
) -> Any:
    """What the function returns, with `peak_rss_mib` of its process added.

    Args:
        function: a module's own; it runs in a fresh interpreter.
        environ: variables to add.
        **arguments: of the function; JSON values.

    Raises:
        RuntimeError: the process failed; its output is on stderr.
    """
    with tempfile.TemporaryDirectory(prefix="sr-bench-") as folder:
        answer = Path(folder) / "answer.json"
        specification = sys.modules[function.__module__].__spec__  # of `__main__` too this tells the real name
        assert specification is not None
        name = f"{specification.name}:{function.__name__}"
        command = [sys.executable, "-m", "tests.benchmarks.child", name, str(answer)]
        done = subprocess.run(
            command, input=json.dumps(arguments).encode(), env={**os.environ, **QUIET, **(environ or {})}, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name} ended with exit code {done.returncode}")
        return json.loads(answer.read_bytes())


def peak_rss_mib() -> float:
    """The most memory that this process has had resident, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run the function that the command line names."""
    name, answer = sys.argv[1:]
    module, _, function = name.partition(":")
    value = getattr(import_module(module), function)(**json.load(sys.stdin))
    Path(answer).write_text(json.dumps({"peak_rss_mib": peak_rss_mib(), **value}), encoding="utf-8")


if __name__ == "__main__":
    main()
