"""The search for the best batch size, for devices of any speed."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from pipeline.working.tuner import CLOSE, LONGEST_SECONDS, Tuner, best_size

SECONDS = st.floats(1e-6, 1e4, allow_nan=False)


def search(tuner: Tuner, seconds: Mapping[int, float], *, fits: int = 1 << 20) -> list[int]:
    """Render what the search wants until it ends; gives the sizes of all batches tried, those that do not fit too."""
    tried = []
    while tuner.chosen is None:
        size = tuner.wanted
        tried.append(size)
        assert len(tried) < 100, "the search does not end"
        if size > fits:
            tuner.limit(size // 2)
        else:
            tuner.rendered(size, seconds[size])
    return tried


@given(st.dictionaries(st.integers(1, 64), SECONDS, min_size=1))
def test_best_size_is_the_smallest_that_is_close_to_the_fastest(seconds: dict[int, float]) -> None:
    """No size is faster by more than 3 %, and every smaller one is slower by more."""
    chosen = best_size(seconds)
    best = max(size / taken for size, taken in seconds.items())
    assert chosen / seconds[chosen] >= best * (1 - CLOSE)
    assert all(size / taken < best * (1 - CLOSE) for size, taken in seconds.items() if size < chosen)


@given(
    fixed=st.floats(0, 10),
    each=st.floats(1e-4, 10),
    first=st.integers(1, 8),
    most=st.integers(1, 32),
    fits=st.integers(1, 40),
)
def test_search_ends_with_a_size_that_fits_and_that_was_measured(
    fixed: float, each: float, first: int, most: int, fits: int
) -> None:
    """Whatever the device: nothing larger than allowed is tried, each size takes two batches, and the best is kept."""
    seconds = {size: fixed + each * size for size in range(1, 33)}
    tuner = Tuner(first=first, most=most)
    tried = search(tuner, seconds, fits=fits)
    assert tuner.chosen is not None
    assert tuner.chosen <= min(most, fits)
    assert max(tried) <= most
    assert tuner.chosen == best_size(tuner.seconds) == tuner.wanted == tuner.so_far
    assert all(tuner.seconds[size] == seconds[size] for size in tuner.seconds)
    assert all(tried.count(size) == 2 for size in tuner.seconds)


@given(fixed=st.floats(0, 1), each=st.floats(0.01, 1))
def test_choice_is_close_to_the_best_of_all_sizes_that_were_worth_a_try(fixed: float, each: float) -> None:
    """On a device whose speed flattens out, stopping early forgoes little: a doubling more brings less than 3 %."""
    seconds = {size: fixed + each * size for size in (1, 2, 4, 8, 16, 32)}
    tuner = Tuner()
    search(tuner, seconds)
    assert tuner.chosen is not None
    if (double := tuner.chosen * 2) in seconds and seconds[tuner.chosen] * 2 <= LONGEST_SECONDS:
        assert double / seconds[double] * (1 - CLOSE) <= tuner.chosen / seconds[tuner.chosen] * (1 + 1e-9)


@given(st.floats(LONGEST_SECONDS / 2 + 0.01, 1e6))
def test_no_batch_is_doubled_beyond_a_minute(taken: float) -> None:
    """That is what a reclaim would cost, whatever it would bring."""
    tuner = Tuner()
    assert search(tuner, {1: taken}) == [1, 1]
    assert tuner.chosen == 1


def test_first_batch_of_each_size_is_not_measured() -> None:
    """It compiles and allocates: however long that takes, it speaks against no size."""
    tuner = Tuner(most=2)
    for size, seconds in [(1, 90.0), (1, 1.0), (2, 90.0), (2, 1.1)]:
        assert tuner.wanted == size
        tuner.rendered(size, seconds)
    assert (tuner.chosen, tuner.seconds) == (2, {1: 1.0, 2: 1.1})


def test_batches_of_other_sizes_say_nothing() -> None:
    """The rest of a task goes through in what is known to be good, and is not taken for what is being measured."""
    tuner = Tuner()
    for size, seconds in [(1, 1.0), (1, 1.0), (2, 1.0), (1, 0.001), (2, 1.0)]:
        tuner.rendered(size, seconds)
    assert tuner.seconds == {1: 1.0, 2: 1.0}
    assert (tuner.wanted, tuner.so_far) == (4, 2)


def test_chosen_size_that_stops_fitting_gives_way_to_the_best_smaller_one() -> None:
    """The decoder may run out of memory after the denoiser was measured."""
    tuner = Tuner(most=8)
    search(tuner, {1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0})
    tuner.limit(4)
    assert tuner.chosen == 4
