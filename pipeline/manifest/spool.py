"""A manifest becomes the requests table: streamed, every problem collected, and nothing left if there is one."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.manifest.problems import Problems
from pipeline.manifest.repeats import CustomIds, ImageIds
from pipeline.manifest.resolve import Resolved, Resolver
from pipeline.manifest.row import Row
from pipeline.manifest.table import Chunk, TableWriter
from pipeline.model import Model
from pipeline.request import Variant, canonical_json
from pipeline.request_table import id_words

CountTokens = Callable[[Model, str], int | None]
"""How many tokens a model's text encoder makes of a prompt, its own marks included; None when that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """A manifest that has no problems, as requests files."""

    rows: int
    """Manifest rows."""
    images: int
    """Rows of the requests files: manifest rows x images of each."""
    distinct_images: int
    """What is to be rendered: rows that are the same image are rendered once."""
    variants: tuple[Variant, ...]
    """What the `variant` column counts into."""
    variant_models: tuple[str, ...]
    """Name of the model of each variant."""
    digest: str
    """sha256 over image ids, custom ids and tags in order, 64 hex digits: it identifies the resolved manifest."""
    files: tuple[Path, ...]
    """The requests files in order."""
    warnings: tuple[str, ...]
    """The first 20, by line."""
    warning_count: int
    """All of them."""

    @property
    def repeated_images(self) -> int:
        """Rows that cost nothing, since an earlier row is the same image."""
        return self.images - self.distinct_images


def spool(
    rows: Iterable[Row],
    resolver: Resolver,
    folder: Path,
    problems: Problems,
    *,
    count_tokens: CountTokens | None = None,
) -> Spooled:
    """Write the requests files of a manifest as `00000.parquet`, ... into a folder, in manifest order.

    Memory is bounded: a chunk of rows, and some 24 bytes for every image.

    Args:
        rows: as a reader of `formats` yields them.
        resolver: fills in what rows leave open.
        folder: made when missing.
        problems: the same that the reader reports to.
        count_tokens: for the warning that a prompt will be cut off; asked only for prompts long enough for it.

    Raises:
        ManifestError: the manifest has problems; the files are removed again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(resolver, TableWriter(folder), problems, count_tokens)
    try:
        for row in rows:
            run.take(row)
        return run.finish()
    except BaseException:
        run.writer.discard()
        raise


class _Run:
    """The state of one pass over a manifest."""

    def __init__(
        self, resolver: Resolver, writer: TableWriter, problems: Problems, count_tokens: CountTokens | None
    ) -> None:
        self.writer = writer
        self._resolver = resolver
        self._problems = problems
        self._warnings = problems.beside()
        self._count_tokens = count_tokens
        self._copies = range(resolver.images_per_prompt)
        self._digest = hashlib.sha256()
        self._custom_ids = CustomIds()
        self._image_ids = ImageIds()
        self._rows = 0
        self._seen = False
        self._chunk = Chunk(0, len(self._copies))

    def take(self, row: Row) -> None:
        """Resolve one row and put it into the chunk."""
        self._seen = True
        custom_id = row.custom_id
        if custom_id is not None:
            self._custom_ids.add(custom_id)
        resolved = self._resolver.resolve(row, self._problems)
        if resolved is None or not row.sound:
            if custom_id is not None:
                self._custom_ids.keep(row.line, custom_id)
            return
        ordinal, variant, negative, seed, tags = resolved
        prompt = row.prompt
        chunk = self._chunk
        for copy in self._copies:
            canonical = canonical_json(variant, prompt, negative, seed + copy)
            chunk.image_ids.append(hashlib.sha256(canonical).hexdigest())
        chunk.lines.append(row.line)
        chunk.custom_ids.append(custom_id)
        chunk.prompts.append(prompt)
        chunk.negatives.append(negative)
        chunk.seeds.append(seed)
        chunk.ordinals.append(ordinal)
        chunk.tags.append(tags)
        chunk.characters += len(self._copies) * (len(prompt) + len(negative))
        if self._count_tokens is not None:
            self._warn_if_cut(row, resolved, self._count_tokens)
        if chunk.full:
            self._flush()

    def finish(self) -> Spooled:
        """Write what is left and sum up. Raises: ManifestError."""
        if not self._seen and not self._problems.count:
            self._problems.add(None, "there is no prompt in it; write at least one row")
        self._flush()
        self.writer.close()
        self._custom_ids.report(self.writer.files, self._problems)
        self._problems.raise_any()
        return Spooled(
            rows=self._rows,
            images=self._rows * len(self._copies),
            distinct_images=self._image_ids.distinct(),
            variants=tuple(self._resolver.variants),
            variant_models=tuple(model.name for model in self._resolver.models),
            digest=self._digest.hexdigest(),
            files=tuple(self.writer.files),
            warnings=self._warnings.messages(),
            warning_count=self._warnings.count,
        )

    def _flush(self) -> None:
        """Write the chunk and begin another."""
        chunk = self._chunk
        if not chunk.lines:
            return
        self._digest.update(chunk.digest_text())
        for batch in chunk.batches(self._resolver):
            self._image_ids.add(id_words(batch["image_id"]))
            self.writer.write(batch)
        self._rows += len(chunk.lines)
        self._chunk = Chunk(self._rows, len(self._copies))

    def _warn_if_cut(self, row: Row, resolved: Resolved, count_tokens: CountTokens) -> None:
        """Warn of a prompt whose end the text encoder will not read."""
        model = self._resolver.models[resolved.ordinal]
        limit = model.max_prompt_tokens
        # A token covers a byte at least, and two mark begin and end: a short prompt needs no count.
        if limit is None or (len(row.prompt) if row.prompt.isascii() else len(row.prompt.encode())) + 2 <= limit:
            return
        tokens = count_tokens(model, row.prompt)
        if tokens is not None and tokens > limit:
            self._warnings.add(
                row.line,
                f"prompt has {tokens} tokens, the text encoder reads {limit}: the end is cut off; shorten it",
            )
