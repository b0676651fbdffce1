"""Programs on a disk of their own that is small, in a mount namespace that vanishes with them."""

import os
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

_WAYS = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])
"""As root; and as anybody, where the kernel lets anybody have namespaces of his own."""


@cache
def way_to_mount() -> tuple[str, ...] | None:
    """The command before a program that may mount; None where this machine allows nobody to."""
    for way in _WAYS:
        tried = [*way, "sh", "-c", "mount -t tmpfs -o size=64k spotrender /mnt"]
        try:
            if subprocess.run(tried, capture_output=True, check=False).returncode == 0:
                return tuple(way)
        except FileNotFoundError:
            return None
    return None


def run_on_small_disk(folder: Path, program: str, *, kibibytes: int) -> str:
    """Run a Python program whose `sys.argv[1]` is a new, empty disk of this size; what it prints.

    Args:
        folder: an existing one to mount over.
        program: source; indented as it likes.
        kibibytes: size of the disk.

    Raises:
        CalledProcessError: the program failed; its output was shown.
    """
    way = way_to_mount()
    if way is None:
        raise RuntimeError("nobody may mount here")
    mount = f'mount -t tmpfs -o size={kibibytes}k spotrender "$0" && exec "$@"'
    command = [*way, "sh", "-c", mount, str(folder), sys.executable, "-c", textwrap.dedent(program), str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ})
    return done.stdout
