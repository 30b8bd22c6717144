"""Three signs and the verdict: GPU is never said without two of them that agree and none that disagrees."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.llm.signs import CONTEXT_BYTES, Sign, judge, memory_sign, reported_sign, resident_sign, speed_sign

GIB = 1024**3
SIZE = 2_400_000_000
EVERY_COMBINATION = list(itertools.product(Sign, repeat=3))


@pytest.mark.parametrize(("reported", "memory", "speed"), EVERY_COMBINATION)
def test_gpu_needs_the_report_another_sign_and_no_dissent_in_every_combination(
    reported: Sign, memory: Sign, speed: Sign
) -> None:
    verdict = judge(reported, memory, speed)
    dissent = {memory, speed} - {Sign.GPU, Sign.UNKNOWN}
    believed = reported is Sign.GPU and Sign.GPU in (memory, speed) and not dissent
    assert (verdict is Sign.GPU) == believed
    assert verdict in (reported, Sign.UNKNOWN)


@pytest.mark.parametrize(("reported", "memory", "speed"), EVERY_COMBINATION)
def test_a_memory_sign_that_disagrees_with_the_report_leaves_nothing_known(
    reported: Sign, memory: Sign, speed: Sign
) -> None:
    if memory not in (reported, Sign.UNKNOWN):
        assert judge(reported, memory, speed) is Sign.UNKNOWN


def test_cpu_and_split_are_believed_on_the_report_alone() -> None:
    for careful in (Sign.CPU, Sign.SPLIT):
        assert judge(careful, Sign.UNKNOWN, Sign.UNKNOWN) is careful


def test_a_split_model_may_be_slow_or_quick_and_a_model_on_the_cpu_may_not_be_quick() -> None:
    assert judge(Sign.SPLIT, Sign.UNKNOWN, Sign.GPU) is Sign.SPLIT
    assert judge(Sign.SPLIT, Sign.SPLIT, Sign.CPU) is Sign.SPLIT
    assert judge(Sign.CPU, Sign.UNKNOWN, Sign.GPU) is Sign.UNKNOWN


@pytest.mark.parametrize(
    ("share", "sign"), [(1.0, Sign.GPU), (0.99, Sign.GPU), (0.98, Sign.SPLIT), (0.01, Sign.SPLIT), (0.0, Sign.CPU)]
)
def test_the_report_is_gpu_from_99_percent_on_and_cpu_at_nothing(share: float, sign: Sign) -> None:
    said = reported_sign(10_000_000_000, int(10_000_000_000 * share))
    assert said.sign is sign
    assert f"of 10.00 GB on the device ({share:.0%})" in said.detail


def test_a_report_without_a_size_says_nothing() -> None:
    assert reported_sign(0, 0).sign is Sign.UNKNOWN
    assert memory_sign(0, 0, SIZE).sign is Sign.UNKNOWN


@pytest.mark.parametrize(
    ("rise", "sign"),
    [
        (SIZE, Sign.GPU),
        (int(SIZE * 0.8), Sign.GPU),
        (int(SIZE * 0.79), Sign.SPLIT),
        (CONTEXT_BYTES + 1, Sign.SPLIT),
        (CONTEXT_BYTES, Sign.UNKNOWN),
        (int(SIZE * 0.09), Sign.CPU),
        (0, Sign.CPU),
        (-SIZE, Sign.CPU),
    ],
)
def test_memory_must_rise_by_80_percent_of_the_model(rise: int, sign: Sign) -> None:
    assert memory_sign(SIZE, 5 * GIB, 5 * GIB + rise).sign is sign


def test_a_rise_that_a_cuda_context_explains_is_no_proof_of_a_small_model() -> None:
    said = memory_sign(98_362_432, 0, 400_000_000)
    assert said.sign is Sign.UNKNOWN
    assert "a CUDA context alone takes as much" in said.detail


@given(size=st.integers(1, 10**12), before=st.integers(0, 10**12), after=st.integers(0, 10**12))
def test_a_rise_below_80_percent_or_within_a_context_is_never_gpu(size: int, before: int, after: int) -> None:
    rise = after - before
    believed = memory_sign(size, before, after).sign is Sign.GPU
    assert believed == (rise >= 0.8 * size and rise > CONTEXT_BYTES)


def test_speed_is_held_against_the_floor_of_the_settings() -> None:
    assert speed_sign(41.0, 40.0).sign is Sign.GPU
    assert speed_sign(40.0, 40.0).sign is Sign.GPU
    below = speed_sign(39.96, 40.0)
    assert (below.sign, below.detail) == (Sign.CPU, "40.0 tokens/s, floor 40")


def test_speed_says_nothing_without_a_floor_or_a_time() -> None:
    unset = speed_sign(41.0, None)
    assert unset.sign is Sign.UNKNOWN
    assert "41.0 tokens/s" in unset.detail
    assert "FFE_PLACEMENT__MIN_TOKENS_PER_SECOND" in unset.detail
    assert speed_sign(None, 40.0).sign is Sign.UNKNOWN


@pytest.mark.parametrize(
    ("used", "sign"),
    [(10 * SIZE, Sign.UNKNOWN), (int(SIZE * 0.8), Sign.UNKNOWN), (int(SIZE * 0.79), Sign.SPLIT), (0, Sign.CPU)],
)
def test_memory_of_a_model_that_was_loaded_already_can_deny_and_never_confirm(used: int, sign: Sign) -> None:
    assert resident_sign(SIZE, used).sign is sign
    assert resident_sign(0, used).sign is Sign.UNKNOWN
