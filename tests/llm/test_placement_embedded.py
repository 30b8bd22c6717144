"""Where the embedded model runs: what its runtime says of itself, held against the card's memory and the speed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from ffe.clock import FixedClock
from ffe.errors import ModelUnavailableError
from ffe.llm import device_memory, placement
from ffe.llm.devices import Device
from ffe.llm.models import Completion, ModelIdentity
from ffe.llm.placement import Placement, Sign, check_placement
from ffe.settings import Settings, load_settings

NOW = datetime(2026, 11, 21, tzinfo=UTC)
GIB = 1024**3
DIGEST = "a" * 64
CARD = Device(index=0, name="NVIDIA L4", capability=8.9, driver="580.65.06", memory_total=24 * GIB, memory_used=GIB)


def checked(settings: Settings) -> Placement:
    return check_placement(settings, FixedClock(NOW), sleep=lambda seconds: None)


def signs(found: Placement) -> tuple[Sign, ...]:
    return tuple(found.signs[name].sign for name in ("reported", "memory", "speed"))


class Scripted:
    """An adapter on a device of its own: 40 tokens in `generation_ms`."""

    def __init__(self, device: str, generation_ms: float | None, on_load: Callable[[], None]) -> None:
        self.identified = ModelIdentity(
            adapter="embedded", model="mine", digest=DIGEST, runtime="xllamacpp 1", device=device
        )
        self.generation_ms, self.on_load, self.closed = generation_ms, on_load, False

    def complete(self, messages: Sequence[Any], schema: Any, sampling: Any) -> Completion:
        self.on_load()
        return Completion(
            text="{}",
            finish_reason="stop",
            prompt_tokens=20,
            completion_tokens=40,
            latency_ms=1,
            generation_ms=self.generation_ms,
            identity=self.identified,
        )

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[..., Placement]:
    """A GGUF of 1 GB (on paper) on the device that is asked for."""
    weights = tmp_path / "mine.gguf"
    with weights.open("wb") as file:
        file.truncate(10**9)

    def check(device: str, *, lands: int = 10**9, ms: float | None = 500.0, path: Any = weights) -> Placement:
        used = [GIB]
        monkeypatch.setattr(device_memory, "devices", lambda: (CARD.model_copy(update={"memory_used": used[-1]}),))
        model = Scripted(device, ms, lambda: used.append(GIB + lands))
        monkeypatch.setattr(placement, "open_model", lambda settings: model)
        section = load_settings().embedded.model_copy(update={"model_path": path, "gpu_layers": 999})
        found = checked(load_settings(embedded=section))
        assert model.closed
        return found

    return check


def test_the_embedded_model_on_cuda_is_on_the_gpu_when_the_card_fills(embedded: Callable[..., Placement]) -> None:
    found = embedded("cuda")
    assert (found.verdict, signs(found)) == (Sign.GPU, (Sign.GPU, Sign.GPU, Sign.UNKNOWN))
    assert "xllamacpp 1 reports the device cuda" in found.signs["reported"].detail


def test_the_embedded_model_that_says_cuda_while_the_card_stays_empty_is_not_believed(
    embedded: Callable[..., Placement],
) -> None:
    assert embedded("cuda", lands=0).verdict is Sign.UNKNOWN


def test_the_embedded_model_on_the_cpu_and_on_a_backend_nobody_knows(embedded: Callable[..., Placement]) -> None:
    assert embedded("cpu", lands=0).verdict is Sign.CPU
    assert embedded("vulkan").verdict is Sign.UNKNOWN


@pytest.mark.parametrize("ms", [None, 0.0])
def test_a_runtime_without_timings_has_no_speed(embedded: Callable[..., Placement], ms: float | None) -> None:
    found = embedded("cuda", ms=ms)
    assert found.tokens_per_second is None
    assert found.signs["speed"].detail == "the runtime gave no generation time"


def test_weights_that_vanish_under_the_model_are_an_unknown_placement(
    embedded: Callable[..., Placement], tmp_path: Any
) -> None:
    found = embedded("cpu", path=tmp_path / "gone.gguf")
    assert (found.verdict, found.model) == (Sign.UNKNOWN, "gone")
    assert "cannot be read: No such file or directory" in found.reason


def test_live_mode_that_refuses_the_embedded_model_is_an_unknown_placement() -> None:
    found = checked(load_settings(mode="live"))
    assert found.verdict is Sign.UNKNOWN
    assert "live mode refuses the embedded model" in found.reason


def test_a_model_that_gives_out_is_closed_and_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ModelUnavailableError("the model process crashed")

    model = Scripted("cpu", 1.0, fail)
    monkeypatch.setattr(placement, "open_model", lambda settings: model)
    found = checked(load_settings())
    assert (found.verdict, found.reason, model.closed) == (Sign.UNKNOWN, "the model process crashed", True)


@pytest.mark.slow
def test_the_packaged_model_itself_runs_on_the_cpu_and_gives_its_speed() -> None:
    found = check_placement(load_settings(), FixedClock(NOW))
    assert (found.verdict, found.model) == (Sign.CPU, "SmolLM2-135M-Instruct.Q4_1")
    assert found.tokens_per_second is not None
    assert found.tokens_per_second > 0
