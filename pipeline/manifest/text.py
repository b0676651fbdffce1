"""Plain text: each line that is not blank is one prompt, kept exactly but for its line end."""

from collections.abc import Iterator
from typing import BinaryIO

from pipeline.manifest.lines import decoded, read_lines
from pipeline.manifest.problems import FieldError, Problems
from pipeline.manifest.row import Row, row_of


def read_text(stream: BinaryIO, problems: Problems) -> Iterator[Row]:
    """Rows of a plain text manifest."""
    for number, line in read_lines(stream, problems):
        try:
            prompt = decoded(line).removesuffix("\n").removesuffix("\r")
            if "\r" in prompt:
                raise FieldError("a bare carriage return stands inside the line; end lines with \\n (tr '\\r' '\\n')")
        except FieldError as error:
            problems.add(number, str(error))
            continue
        if prompt and not prompt.isspace():
            yield row_of({"prompt": prompt}, number, problems)
