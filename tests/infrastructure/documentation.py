"""The commands of the README, as they are written there."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def commands(heading: str) -> list[str]:
    """The lines of the first block of shell under a heading, without their comments."""
    text = README.read_text(encoding="utf-8").split(f"\n{heading}\n", 1)[1]
    found = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert found is not None, heading
    return [line.partition("  #")[0].strip() for line in found[1].splitlines() if line.strip()]
