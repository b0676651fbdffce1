"""From a LoRA as the user wrote it to a frozen one; reads no weights into memory and imports no torch."""

from pathlib import Path

from pipeline.errors import ModelError
from pipeline.renderers.diffusion.folder import content_revision
from pipeline.renderers.diffusion.hub import REPOSITORY, HubFiles
from pipeline.request import Lora

_USUAL = "pytorch_lora_weights.safetensors"


def resolve_lora(source: str, *, scale: float = 1.0, revision: str = "main") -> Lora:
    """Freeze a LoRA: a safetensors file, a folder with one, `org/name` or `org/name/file.safetensors` on the hub.

    Args:
        source: where it is.
        scale: strength, 1.0 as trained.
        revision: branch, tag or commit, for the hub.

    Raises:
        ModelError: there is none, several in one place, or it is pickled.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        names = sorted(found.name for found in path.iterdir() if found.is_file())
        path = path / _only(source, names)
    if path.is_file():
        if path.suffix != ".safetensors":
            raise ModelError(f"{source}: a LoRA must be safetensors; convert it, others can run code when read")
        return Lora(revision=content_revision([("lora", path)]), scale=scale, source=str(path.resolve()))
    parts = source.split("/", 2)
    repository, inside = "/".join(parts[:2]), "/".join(parts[2:])
    if not REPOSITORY.fullmatch(repository):
        raise ModelError(f"{source}: no such file or folder, and no hub repository (org/name); mend the LoRA's source")
    files = HubFiles(repository, revision)
    name = inside or _only(source, [name for name in files.names() if "/" not in name])
    if name not in files.names() or not name.endswith(".safetensors"):
        raise ModelError(f"{source}: {files.place} has no such safetensors file; mend the LoRA's source")
    return Lora(revision=f"hub:{repository}@{files.commit}#{name}", scale=scale, source=f"{repository}/{name}")


def _only(source: str, names: list[str]) -> str:
    """The one LoRA file among these names."""
    found = [name for name in names if name.endswith(".safetensors")]
    if _USUAL in found:
        return _USUAL
    if len(found) != 1:
        what = f"holds several safetensors ({', '.join(found[:5])})" if found else "holds no safetensors file"
        raise ModelError(f"{source}: {what}; name the LoRA's file")
    return found[0]
