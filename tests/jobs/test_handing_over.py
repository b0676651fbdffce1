"""What a driver on a cluster's head is started with."""

import subprocess
import sys
from pathlib import Path

from jobs.driving import head_python


def test_head_uses_the_python_of_the_same_place_or_its_own(tmp_path: Path) -> None:
    """A container has another path than the laptop that submits; words stay whole either way."""
    own = tmp_path / "python"
    own.write_text(f'#!/bin/sh\necho "its own"\nexec {sys.executable} "$@"\n')
    own.chmod(0o755)
    show = ["-c", "import sys; print(sys.argv[1:])", "a b", "$c"]
    for place, said in ((sys.executable, ""), ("/nowhere/bin/python", "its own\n")):
        words = [*head_python(place), *show]
        path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(words, env=path, capture_output=True, text=True, check=True)
        assert done.stdout == f"{said}['a b', '$c']\n"
