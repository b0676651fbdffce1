"""Models on the Hugging Face hub: pinned to a commit, fetched with a token that is never shown."""

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import ModelError

T = TypeVar("T")

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""`org/name`."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DOWNLOADS = 4


def hub_token() -> str | None:
    """The token: `HF_TOKEN`, else the content of the file that `HF_TOKEN_PATH` names, else None."""
    token = os.environ.get("HF_TOKEN", "").strip()
    path = os.environ.get("HF_TOKEN_PATH", "")
    if not token and path and Path(path).is_file():
        token = Path(path).read_text(encoding="utf-8").strip()
    return token or None


def without_token(text: str) -> str:
    """The text in one line, with the hub token struck out, whether ours or any that looks like one."""
    token = hub_token()
    if token:
        text = text.replace(token, "***")
    return " ".join(re.sub(r"hf_[A-Za-z0-9]{8,}", "***", text).split())


class HubFiles:
    """The files of one commit of a hub repository; small ones are read through the hub's local cache."""

    def __init__(self, repository: str, revision: str) -> None:
        """Ask the hub which commit `revision` is and what files it has.

        Raises:
            ModelError: no such repository or revision, no access, or no answer and nothing in the cache.
        """
        self.repository = repository
        self.commit, self._names, self.silence = _ask(repository, lambda: _listing(repository, revision))

    @property
    def place(self) -> str:
        return f"{self.repository}@{self.commit[:8]}"

    def names(self) -> Sequence[str]:
        return self._names

    def read(self, name: str) -> bytes:
        return self.fetch(name).read_bytes()

    def download(self, names: Sequence[str]) -> Path:
        """Fetch these files, those apart that are in the cache; returns the folder that holds them.

        Raises:
            ModelError: as for the constructor.
        """
        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            paths = _ask(self.repository, lambda: list(pool.map(self._download, names)))
        return Path(str(paths[0])[: -len(names[0])])

    def fetch(self, name: str) -> Path:
        """Fetch one file, if it is not in the cache; returns its path. Raises: ModelError: as for the constructor."""
        return _ask(self.repository, lambda: self._download(name))

    def require(self, names: Sequence[str]) -> None:
        """Make sure that each component that is a model has weights among `names`, also if only the cache was asked.

        Raises:
            ModelError: the hub does not answer, and the cache holds only a part of the model.
        """
        for name in names:
            component, _, rest = name.partition("/")
            inside = [other for other in names if other.startswith(f"{component}/")]
            if rest == "config.json" and not any(other.endswith((".safetensors", ".bin")) for other in inside):
                raise _silent(self.repository, self.silence or FileNotFoundError(f"{component} has no weights"))

    def _download(self, name: str) -> Path:
        import huggingface_hub

        path = huggingface_hub.hf_hub_download(
            self.repository, name, revision=self.commit, token=hub_token(), endpoint=os.environ.get("HF_ENDPOINT")
        )
        return Path(path)


def _listing(repository: str, revision: str) -> tuple[str, list[str], Exception | None]:
    """Commit and files of a revision; from the cache, and why, when the hub does not answer."""
    import huggingface_hub
    from huggingface_hub import errors

    api = huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=hub_token())
    try:
        info = api.model_info(repository, revision=revision)
    except errors.HfHubHTTPError as error:
        if _status(error) < 500:
            raise
        return _cached(repository, revision, error)
    except (OSError, errors.OfflineModeIsEnabled) as error:
        return _cached(repository, revision, error)
    except Exception as error:
        if "httpx" in type(error).__module__:
            return _cached(repository, revision, error)
        raise
    return str(info.sha), sorted(sibling.rfilename for sibling in info.siblings or []), None


def _cached(repository: str, revision: str, error: Exception) -> tuple[str, list[str], Exception]:
    """Commit and files of a revision as an earlier download left them in the hub's cache."""
    from huggingface_hub import constants

    home = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    reference = home / "refs" / revision
    commit = reference.read_text().strip() if reference.is_file() else revision
    folder = home / "snapshots" / commit
    if not _COMMIT.fullmatch(commit) or not folder.is_dir():
        raise error
    return commit, sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()), error


def _ask(repository: str, call: Callable[[], T]) -> T:
    """Call the hub; its refusals become one line with a remedy."""
    from huggingface_hub import errors

    try:
        return call()
    except errors.GatedRepoError as error:
        remedy = "accept its terms on its page, and give a token with access (HF_TOKEN, or a file by HF_TOKEN_PATH)"
        raise ModelError(f"{repository}: this repository is gated; {remedy}") from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{repository}: has no such revision; name a branch, a tag or a commit of it") from error
    except errors.RepositoryNotFoundError as error:
        remedy = "mend its name, or give a token with access if it is private (HF_TOKEN, or a file by HF_TOKEN_PATH)"
        raise ModelError(f"{repository}: there is no such folder here and no such repository; {remedy}") from error
    except errors.HfHubHTTPError as error:
        status = _status(error)
        if status in (401, 403):
            remedy = "give a token with access (HF_TOKEN, or a file by HF_TOKEN_PATH)"
            raise ModelError(f"{repository}: the hub refuses access (HTTP {status}); {remedy}") from error
        raise _silent(repository, error) from error
    except ModelError:
        raise
    except Exception as error:
        raise _silent(repository, error) from error


def _silent(repository: str, error: Exception) -> ModelError:
    from huggingface_hub import errors

    offline = isinstance(error, errors.OfflineModeIsEnabled)
    reason = "HF_HUB_OFFLINE is set" if offline else without_token(f"{type(error).__name__}: {error}")[:300]
    return ModelError(
        f"{repository}: there is no such folder here, and the hub does not answer ({reason}); "
        "give a local folder, or try again with a network"
    )


def _status(error: Any) -> int:
    """HTTP status of a hub error; 0 when there was no response."""
    return int(getattr(getattr(error, "response", None), "status_code", 0) or 0)
