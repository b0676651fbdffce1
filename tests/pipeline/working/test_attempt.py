"""The life of one task on one worker, in one thread: what is committed, what fails, what is handed back."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.stores.memory import MemoryStore
from pipeline.assignment import Output
from pipeline.errors import DeviceBrokenError, OutOfMemoryError
from pipeline.events import DeviceTaken, DidNotFit
from pipeline.imaging.metadata import read_request
from pipeline.record import Cause, Outcome, record_from_json, record_to_json
from pipeline.request import Request
from tests.pipeline.single_worker import (
    Worked,
    Wrapped,
    assignment,
    load_synthetic,
    node,
    synthetic_model,
    variant_of,
    work,
    worker,
)

EIGHT = [f"prompt {number}" for number in range(8)]


def with_trouble(mark: str, place: int = 5) -> list[str]:
    """Eight prompts, one of which asks for trouble."""
    return [f"{prompt} {mark}" if number == place else prompt for number, prompt in enumerate(EIGHT)]


def all_but_one(worked: Worked, prompts: Sequence[str], place: int = 5) -> None:
    """Every image but this one is rendered once, and stored."""
    ids = assignment(prompts).image_ids
    rendered = [image for image in worked.images if image.outcome is Outcome.RENDERED]
    assert sorted(image.image_id for image in rendered) == sorted(set(ids) - {ids[place]})
    for image in rendered:
        assert hashlib.sha256(worked.store.get(image.key)).hexdigest() == image.sha256


def test_every_image_is_committed_under_the_hash_of_its_bytes() -> None:
    """Each object is there before its record, has the size and hash that the record says, and knows its request."""
    given_work = assignment(EIGHT)
    worked = work(given_work)
    assert worked.ended.cause == Cause.SUCCEEDED
    assert [image.image_id for image in worked.images] == list(given_work.image_ids)
    for image, request in zip(worked.images, given_work.requests, strict=True):
        body = worked.store.get(image.key)
        assert (len(body), hashlib.sha256(body).hexdigest()) == (image.bytes, image.sha256)
        assert image.key == f"images/{image.image_id[:2]}/{image.image_id}-{image.sha256[:16]}.png"
        assert read_request(body) == (request, image.image_id)


def test_bad_request_is_bisected_out_and_told_as_a_suspect() -> None:
    """A refused prompt costs its neighbours nothing but a second try; that it is bad, no single process can say."""
    prompts = with_trouble("[[bad-request]]")
    worked = work(assignment(prompts, batch_size=8))
    all_but_one(worked, prompts)
    (suspect,) = worked.ended.suspects
    assert (worked.ended.cause, suspect.cause, suspect.place) == (Cause.BAD_REQUEST, Cause.BAD_REQUEST, 5)
    assert "[[bad-request]]" in suspect.message
    assert all(image.outcome is Outcome.RENDERED for image in worked.images)
    assert {record.profile.batch_size for record in worked.records if record.profile} == {8}


@pytest.mark.parametrize(("mark", "says"), [("[[black]]", "black"), ("[[nan]]", "NaN")])
def test_picture_that_the_gate_refuses_is_no_image_and_costs_what_it_cost(mark: str, says: str) -> None:
    """The others of its batch are committed by the very same record, which names its share of the time as well."""
    prompts = with_trouble(mark)
    worked = work(assignment(prompts))
    all_but_one(worked, prompts)
    (refused,) = [image for image in worked.images if image.outcome is not Outcome.RENDERED]
    assert (refused.outcome, refused.cause, refused.key) == (Outcome.REFUSED, Cause.BAD_OUTPUT, "")
    assert refused.gpu_nanoseconds > 0
    assert says in refused.message
    assert (worked.ended.cause, worked.ended.message) == (Cause.BAD_OUTPUT, refused.message)
    assert [len(record.images) for record in worked.records] == [4, 4]


def test_blanked_picture_has_failed_at_once() -> None:
    """The safety checker would blank it again; that is an outcome of its own."""
    prompts = with_trouble("[[blank]]")
    worked = work(assignment(prompts))
    all_but_one(worked, prompts)
    (failed,) = [image for image in worked.images if image.outcome is not Outcome.RENDERED]
    assert (failed.outcome, failed.cause) == (Outcome.FAILED, Cause.SAFETY_BLANKED)
    assert (failed.key, failed.sha256, failed.bytes, failed.tags) == ("", "", 0, {"place": "5"})
    assert worked.ended.cause == Cause.SUCCEEDED


def test_picture_that_the_format_cannot_hold_is_a_bad_output() -> None:
    """A WebP has at most 16,383 pixels a side: that is the image's failure and not the worker's."""
    model = synthetic_model()
    wide = assignment(["a wall"], variant=variant_of(model, width=16384, height=8), output=Output(format="webp"))
    worked = work(wide)
    assert worked.ended.cause == Cause.BAD_OUTPUT
    (image,) = worked.images
    assert (image.outcome, image.cause) == (Outcome.REFUSED, Cause.BAD_OUTPUT)
    assert "16383" in image.message


def test_batch_that_does_not_fit_is_halved_and_so_are_all_that_follow() -> None:
    """`[[oom]]` fits alone: each size is tried once, and the driver hears which ones did not fit."""
    prompts = with_trouble("[[oom]]", place=1)
    worked = work(assignment(prompts))
    assert worked.ended.cause == Cause.SUCCEEDED
    assert all(image.outcome is Outcome.RENDERED for image in worked.images)
    shapes = [(record.profile.batch_size if record.profile else 0, len(record.images)) for record in worked.records]
    assert shapes == [(1, 1)] * 8
    told = [(event.size, event.width, event.height) for event in worked.events if isinstance(event, DidNotFit)]
    assert told == [(4, 16, 8), (2, 16, 8)]


def test_worker_tries_no_size_again_that_did_not_fit() -> None:
    """Its next assignment of this shape begins with what fitted; one of another shape does not."""
    store, tried = MemoryStore(), []

    def refuse(batch: Sequence[Request], size: int) -> None:
        tried.append((batch[0].variant.width, size))
        if size > 2 and batch[0].variant.width == 16:
            raise OutOfMemoryError("does not fit")

    one = worker(store, load=lambda model: Wrapped(load_synthetic(model), before=refuse))
    wide = variant_of(synthetic_model(), width=32)
    one.work(assignment(EIGHT[:2]))
    one.work(assignment(EIGHT[2:4], attempt="a2"))
    one.work(assignment(EIGHT[4:], attempt="a3", variant=wide))
    assert tried == [(16, 4), (16, 2), (16, 2), (32, 4)]


def test_assignment_may_say_that_no_larger_batch_fits() -> None:
    """What another worker learned is not learned again."""
    worked = work(replace(assignment(EIGHT), most_at_once=3))
    assert [len(record.images) for record in worked.records] == [3, 3, 2]


def test_image_that_fits_not_even_alone_is_a_suspect() -> None:
    """Its neighbours are rendered; whether another type of node can hold it is for the driver to find out."""
    prompts = with_trouble("huge")
    tried: list[int] = []

    def refuse(batch: Sequence[Request], size: int) -> None:
        if any("huge" in request.prompt for request in batch):
            tried.append(size)
            raise OutOfMemoryError("does not fit")

    worked = work(assignment(prompts), load=lambda model: Wrapped(load_synthetic(model), before=refuse))
    all_but_one(worked, prompts)
    (suspect,) = worked.ended.suspects
    assert (suspect.place, suspect.cause, suspect.message) == (5, Cause.OUT_OF_MEMORY, "does not fit")
    assert worked.ended.cause == Cause.OUT_OF_MEMORY
    assert tried == [4, 2, 1]


def test_decoder_out_of_memory_ends_the_attempt_for_the_driver_to_shrink() -> None:
    """The latents are lost with the batch, so nothing of it is recorded."""

    def refuse() -> None:
        raise OutOfMemoryError("the decoder does not fit")

    worked = work(assignment(EIGHT), load=lambda model: Wrapped(load_synthetic(model), after=refuse))
    assert worked.ended.cause == Cause.OUT_OF_MEMORY
    assert worked.stored == []


@pytest.mark.parametrize("error", [ZeroDivisionError, ValueError, TypeError, KeyError])
def test_python_error_of_the_pipeline_is_bisected_like_a_refusal(error: type[Exception]) -> None:
    """It was raised before the device had anything to do with it, so the process goes on."""

    def stumble(batch: Sequence[Request], size: int) -> None:
        if any(request.prompt == EIGHT[5] for request in batch):
            raise error("of all things")

    worked = work(assignment(EIGHT), load=lambda model: Wrapped(load_synthetic(model), before=stumble))
    all_but_one(worked, EIGHT)
    assert (worked.ended.cause, worked.ended.poisoned) == (Cause.BAD_REQUEST, False)
    (suspect,) = worked.ended.suspects
    assert error.__name__ in suspect.message


@pytest.mark.parametrize("error", [DeviceBrokenError("CUDA error: device-side assert"), RuntimeError("who knows")])
@pytest.mark.parametrize("decoding", [False, True])
def test_broken_device_ends_the_trust_in_its_process(error: Exception, *, decoding: bool) -> None:
    """What was committed before counts, the batch is blamed, and whatever the process is given next comes back."""
    batches: list[str] = []

    def break_down(batch: Sequence[Request], size: int) -> None:
        batches.append(batch[0].prompt)
        if not decoding and len(batches) == 2:
            raise error

    def break_decoder() -> None:
        if decoding and len(batches) == 2:
            raise error

    store = MemoryStore()
    one = worker(store, load=lambda model: Wrapped(load_synthetic(model), before=break_down, after=break_decoder))
    one.work(assignment([*EIGHT, "prompt 8"]))
    worked = Worked(events=tuple(one.poll(0)), store=store)
    assert [len(record.images) for record in worked.stored] == [4]
    assert (worked.ended.cause, worked.ended.poisoned) == (Cause.BAD_REQUEST, True)
    assert worked.ended.blamed == (4, 5, 6, 7)
    one.work(assignment(EIGHT, attempt="a2"))
    after = Worked(events=tuple(one.poll(0)), store=store)
    assert after.ended.cause == Cause.HANDED_BACK
    assert "device failed in this process" in after.ended.message
    assert len(batches) == 2


def test_released_worker_commits_what_is_in_flight_and_hands_back_the_rest() -> None:
    """The batch that the device holds is finished, the next one is not begun."""
    store = MemoryStore()
    let_go: list[Callable[[], None]] = []
    one = worker(store, load=lambda model: Wrapped(load_synthetic(model), before=lambda _batch, _size: let_go[0]()))
    let_go.append(one.release)
    one.work(assignment(EIGHT))
    worked = Worked(events=tuple(one.poll(0)), store=store)
    assert worked.ended.cause == Cause.HANDED_BACK
    assert [len(record.images) for record in worked.stored] == [4]


def test_released_worker_begins_nothing_until_it_is_given_work_again() -> None:
    """What stands in the inbox at a release is handed back untouched; a new assignment takes the release back."""
    store = MemoryStore()
    one = worker(store)
    one.release()
    one.work(assignment(EIGHT))
    handed = Worked(events=tuple(one.poll(0)), store=store)
    assert handed.ended.cause == Cause.HANDED_BACK
    assert handed.stored == []
    again = assignment(EIGHT, attempt="a2")
    one.assign(again)
    one.work(again)
    assert Worked(events=tuple(one.poll(0)), store=store).ended.cause == Cause.SUCCEEDED


@given(
    images=st.integers(1, 9),
    batch_size=st.integers(1, 5),
    nano=st.integers(0, 40_000_000_000),
    gpus=st.integers(2, 8),
)
def test_costs_of_a_batch_add_up_exactly(images: int, batch_size: int, nano: int, gpus: int) -> None:
    """The images' nanoseconds and nano-dollars are the batch's, whatever the price and the numbers."""
    price = Decimal(nano) / 10**9
    prompts = [f"prompt {number}" for number in range(images)]
    worked = work(assignment(prompts, batch_size=batch_size), on=node(usd_per_hour=price, gpu_count=gpus))
    assert len(worked.records) == -(-images // batch_size)
    for record in worked.records:
        assert sum(image.usd for image in record.images) == record.usd
        assert sum(image.gpu_nanoseconds for image in record.images) == record.gpu_nanoseconds
        assert record.gpu_nanoseconds == record.ended_ns - record.started_ns > 0
        shares = [image.gpu_nanoseconds for image in record.images]
        assert max(shares) - min(shares) <= 1


def test_device_has_one_owner_at_a_time_and_records_tell_the_same_times() -> None:
    """The time line that the books are made of is the one in the records; a failed batch's time is told as well."""
    worked = work(assignment(with_trouble("[[bad-request]]", place=0)))
    line = [event for event in worked.events if isinstance(event, DeviceTaken)]
    assert all(earlier.at_ns <= later.at_ns for earlier, later in pairwise(line))
    owned = {
        (event.attempt, event.sequence): (event.at_ns, following.at_ns)
        for event, following in pairwise(line)
        if event.attempt is not None
    }
    for record in worked.records:
        if record.gpu_nanoseconds:
            assert owned.pop((record.attempt, record.sequence)) == (record.started_ns, record.ended_ns)
    assert owned, "the batches that failed as a whole had their time too"
    assert line[-1].attempt is None


def test_records_survive_json() -> None:
    """What the events tell, what the store holds and what is read back are one and the same."""
    worked = work(assignment([*with_trouble("[[oom]]"), "a ☃ [[black]]", 'quotes " and \\ [[bad-request]]']))
    assert worked.stored == sorted(worked.records, key=lambda record: record.name)
    for record in worked.records:
        assert record_from_json(record_to_json(record)) == record
        if record.gpu_nanoseconds:
            assert set(record.stages_ns) == {"denoise", "decode", "encode", "upload"}


def test_attempt_lets_the_renderer_choose_when_nobody_says_a_batch_size() -> None:
    """The model's own batch size holds then."""
    worked = work(assignment(EIGHT, model=synthetic_model(batch_size="3"), batch_size=None))
    assert [len(record.images) for record in worked.records] == [3, 3, 2]
