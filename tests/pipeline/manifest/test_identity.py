"""The canonical JSON of a request is RFC 8785, whatever the request."""

import hashlib

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from pipeline.request import MAX_SEED, Lora, Request, Variant, canonical_json, document

WORDS = st.text(st.characters(exclude_categories=["Cs"]))
LORAS = st.builds(Lora, revision=WORDS, scale=st.floats(-10, 10), source=WORDS)
VARIANTS = st.builds(
    Variant,
    model=WORDS,
    renderer=WORDS,
    pixel_version=st.integers(0, 10**6),
    precision=WORDS,
    width=st.integers(1, 65536),
    height=st.integers(1, 65536),
    steps=st.integers(1, 1000),
    guidance_scale=st.floats(0, 100),
    scheduler=WORDS,
    loras=st.lists(LORAS, max_size=3).map(tuple),
)


@given(VARIANTS, WORDS, WORDS, st.integers(0, MAX_SEED))
def test_canonical_json_is_rfc_8785(variant: Variant, prompt: str, negative_prompt: str, seed: int) -> None:
    """The quick splice gives the bytes of the reference implementation, and the id is their hash."""
    reference = rfc8785.dumps(document(variant, prompt, negative_prompt, seed))  # type: ignore[arg-type]
    assert canonical_json(variant, prompt, negative_prompt, seed) == reference
    request = Request(prompt=prompt, negative_prompt=negative_prompt, seed=seed, variant=variant)
    assert request.image_id == hashlib.sha256(reference).hexdigest()
