"""Rows become the rows that they stand for: each prompt of a template, at each point of a sweep; streamed.

How many there are is known before the first one is made. What dice choose follows from the row alone - its template,
seed and custom id, not its place - so the same manifest gives the same prompts for ever, also after rows were added.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.manifest.problems import FieldError, Problems
from pipeline.manifest.row import FIELDS, Row
from pipeline.manifest.sweep import Sweep
from pipeline.request import MAX_SEED
from pipeline.templates.binding import Binder
from pipeline.templates.dice import Dice
from pipeline.templates.forms import MANY, Form
from pipeline.templates.parsing import is_plain
from pipeline.templates.syntax import TemplateError

_VERSION = 1
"""Raised when dice would fall in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """How prompts are read as templates."""

    binder: Binder
    draws: int | None
    """So many prompts of each row, by dice; None: all that there are."""
    limit: int
    """At most so many requests of one row, before `images_per_prompt`."""


class Expansion:
    """Makes rows of rows.

    Args:
        templates: None: prompts are just text.
        sweep: its points.
        seed: of rows that give none.
        images_per_prompt: the n-th draw of a row begins where the seeds of the one before end.
    """

    def __init__(self, *, templates: Templates | None, sweep: Sweep, seed: int, images_per_prompt: int) -> None:
        self.rows_read = 0
        """Rows of the manifest so far."""
        self._templates = templates
        self._sweep = sweep
        self._swept = len(sweep.points) > 1 or bool(sweep.names)
        self._seed = seed
        self._images = images_per_prompt

    def rows(self, rows: Iterable[Row], problems: Problems) -> Iterator[Row]:
        """The rows that these stand for; a row with a problem passes as it is, no longer `sound`."""
        nothing_to_do = self._templates is None and not self._swept
        for row in rows:
            self.rows_read += 1
            if nothing_to_do or not row.sound:
                yield row
            else:
                yield from self._expanded(row, problems)

    def _expanded(self, row: Row, problems: Problems) -> Iterator[Row]:
        """One row's rows. Stops at the first that its reader finds wrong, as the others would be wrong likewise."""
        form: Form | None = None
        try:
            if self._swept and (problem := self._sweep.problem(row)):
                raise FieldError(problem)
            if self._templates is not None:
                form = None if is_plain(row.prompt) else self._templates.binder.bind(row.prompt)
                self._refuse_many(form, self._templates)
        except (TemplateError, FieldError) as error:
            problems.add(row.line, f"prompt, {error}" if isinstance(error, TemplateError) else str(error))
            yield row._replace(sound=False)
            return
        prompts = self._prompts(row, form)
        count = len(self._sweep.points) * self._prompt_count(form)
        wrong: set[int] = set()
        place = 0
        for prompt in prompts:
            for point, swept in enumerate(self._sweep.of(prompt) if self._swept else (prompt,)):
                before = problems.count
                if point not in wrong:
                    yield self._finished(swept, place, count, problems)
                if problems.count != before:
                    wrong.add(point)
                place += 1
            if len(wrong) == len(self._sweep.points):
                return

    def _refuse_many(self, form: Form | None, templates: Templates) -> None:
        """Raises: FieldError: the row stands for too many requests."""
        prompts = self._prompt_count(form)
        if prompts * len(self._sweep.points) > templates.limit:
            found = f"{prompts:,} prompts" if prompts < MANY else "more prompts than anyone counts"
            times = f" at {len(self._sweep.points):,} points of the sweep" if self._swept else ""
            raise FieldError(
                f"prompt stands for {found}{times}, at most {templates.limit:,} requests are allowed;"
                " take choices out, draw some with templates: {count: 100}, or raise templates.limit"
            )

    def _prompt_count(self, form: Form | None) -> int:
        draws = None if self._templates is None else self._templates.draws
        return draws or (1 if form is None else form.count)

    def _prompts(self, row: Row, form: Form | None) -> Iterator[Row]:
        """The row with each of its prompts."""
        draws = None if self._templates is None else self._templates.draws
        if draws is None:
            for index in range(1 if form is None else form.count):
                yield row if form is None else row._replace(prompt=form.at(index, {}))
            return
        seed = self._seed if row.seed is None else row.seed
        key = hashlib.sha256(json.dumps([_VERSION, row.prompt, seed, row.custom_id]).encode()).digest()
        for number in range(draws):
            prompt = row.prompt if form is None else form.draw(Dice(key + number.to_bytes(8, "big")), {})
            yield row._replace(prompt=prompt, seed=seed + number * self._images)

    def _finished(self, row: Row, place: int, count: int, problems: Problems) -> Row:
        """One request's row, checked once more: the words of a wildcard may be none that a prompt can have."""
        changes: dict[str, Any] = {}
        if count > 1 and row.custom_id is not None:
            changes["custom_id"] = f"{row.custom_id}.{place}"
        try:
            if self._templates is not None:
                FIELDS["prompt"](row.prompt)
            if row.seed is not None and row.seed > MAX_SEED:
                raise FieldError(f"templates.count gives seeds up to {row.seed}, beyond {MAX_SEED}; start lower")
        except FieldError as error:
            problems.add(row.line, f"a prompt of this template {error}")
            changes["sound"] = False
        return row._replace(**changes) if changes else row
