"""Which code this is: two processes of one version run the same modules, byte for byte."""

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("pipeline", "infra", "jobs")
"""What decides how a job runs; `configs` is data that a job freezes."""

LIBRARIES = ("ray", "torch", "diffusers", "transformers")
"""What may differ between a driver and its workers, and matters."""


def code_root() -> Path:
    """The folder that holds our packages: a checkout, or site-packages."""
    return Path(__file__).resolve().parent.parent.parent


def package_folder(package: str) -> Path:
    """Where this process takes a package from; Ray unpacks every package that is sent along in a folder of its own.

    Raises:
        ModuleNotFoundError: it is not installed here.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"package {package} of Spotrender is missing here", name=package)
    return Path(spec.origin).parent


def code_version(root: Path | None = None) -> str:
    """The first 16 hex digits of a hash over names and content of all our Python files.

    Args:
        root: folder that holds the packages; where this process takes each of them from when not given.
    """
    digest = hashlib.sha256()
    for package in PACKAGES:
        folder = root / package if root else package_folder(package)
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{package}/{path.relative_to(folder).as_posix()}".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def library_versions() -> Mapping[str, str]:
    """Versions of Python and the libraries that matter, empty where one is missing; imports none of them."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = ""
    return found
