"""Builds the tokenizer: one token for each word of the grammar, bytes for all else."""

import json
from pathlib import Path

from transformers import CLIPTokenizer

START = "<|startoftext|>"
END = "<|endoftext|>"
MAX_TOKENS = 77
_WORD_END = "</w>"


def build_tokenizer(vocabulary: list[str], *, folder: Path) -> CLIPTokenizer:
    """Write ``vocab.json`` and ``merges.txt`` into ``folder`` and load them.

    Every entry of ``vocabulary`` becomes a single token; other text, in any script,
    falls back to the tokens of its UTF-8 bytes, so no text is ever unknown.
    """
    letters = list(_byte_letters().values())
    merges: list[tuple[str, str]] = []
    for word in vocabulary:
        merges += _missing_merges(word, merges)
    tokens = [*letters, *(letter + _WORD_END for letter in letters)]
    tokens += ["".join(pair) for pair in merges]
    tokens += [START, END]
    if len(tokens) != len(set(tokens)):
        raise ValueError("vocabulary: two merges make the same token; reorder the words")
    folder.mkdir(parents=True, exist_ok=True)
    vocab = {token: number for number, token in enumerate(tokens)}
    vocab_path, merges_path = folder / "vocab.json", folder / "merges.txt"
    vocab_path.write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    merges_path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return CLIPTokenizer(
        vocab,
        list(merges),
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=MAX_TOKENS,
    )


def _missing_merges(word: str, merges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the merges to add so that byte-pair encoding makes ``word`` one token.

    A merge added later ranks lower, so words that were whole before stay whole.
    """
    pieces = [*word[:-1], word[-1] + _WORD_END]
    for left, right in merges:
        at = 0
        while at < len(pieces) - 1:
            if pieces[at] == left and pieces[at + 1] == right:
                pieces[at : at + 2] = [left + right]
            at += 1
    added = []
    while len(pieces) > 1:
        added.append((pieces[0], pieces[1]))
        pieces[:2] = [pieces[0] + pieces[1]]
    return added


def _byte_letters() -> dict[int, str]:
    """Map each byte to the printable letter that byte-level encoding writes for it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    return letters | {byte: chr(256 + i) for i, byte in enumerate(hidden)}
