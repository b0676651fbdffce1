"""What this process can tell of its GPU without loading torch."""

import subprocess
from pathlib import Path


def gpu_name(gpu_id: str) -> str:
    """The name that NVIDIA's driver gives this GPU, such as `NVIDIA L4`; empty when it gives none.

    Args:
        gpu_id: index or UUID, as Ray hands it out.
    """
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "-i", gpu_id]
    try:
        shown = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return shown.stdout.strip().partition("\n")[0].strip()


def gpu_present() -> bool:
    """Whether the operating system shows any GPU to this process (`/dev/dxg`: under Windows)."""
    return Path("/dev/dxg").exists() or any(Path("/dev").glob("nvidia[0-9]*"))
