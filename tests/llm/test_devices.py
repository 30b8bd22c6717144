"""NVIDIA devices: none is no error, a card is described, and a driver that fails is told."""

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from ffe.llm.devices import Device, DeviceError, devices

GIB = 1024**3
CARD = {"name": "NVIDIA L4", "capability": (8, 9), "memory": SimpleNamespace(total=24 * GIB, used=3 * GIB)}


class FakeNvml:
    """Stands where the driver's library would: the functions of `pynvml` that are called, and how often it was opened and closed."""

    def __init__(self, *cards: dict[str, Any], driver: str = "580.65.06") -> None:
        self.cards, self.driver, self.opened, self.closed = cards, driver, 0, 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "FakeNvml":
        for name in [name for name in dir(self) if name.startswith("nvml")]:
            monkeypatch.setattr(pynvml, name, getattr(self, name))
        return self

    def nvmlInit(self) -> None:
        self.opened += 1

    def nvmlShutdown(self) -> None:
        self.closed += 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return self.driver

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        return self.cards[index]

    def nvmlDeviceGetName(self, card: dict[str, Any]) -> str:
        return card["name"]

    def nvmlDeviceGetCudaComputeCapability(self, card: dict[str, Any]) -> tuple[int, int]:
        return card["capability"]

    def nvmlDeviceGetMemoryInfo(self, card: dict[str, Any]) -> Any:
        if isinstance(card["memory"], Exception):
            raise card["memory"]
        return card["memory"]


def test_the_library_itself_answers_on_this_host_with_or_without_a_card() -> None:
    assert [device.index for device in devices()] == list(range(len(devices())))


@pytest.mark.parametrize(
    "absence",
    [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED, pynvml.NVML_ERROR_GPU_NOT_FOUND],
)
def test_a_host_without_library_driver_or_card_has_no_devices(monkeypatch: pytest.MonkeyPatch, absence: int) -> None:
    nvml = FakeNvml(CARD).install(monkeypatch)

    def absent() -> None:
        raise pynvml.NVMLError(absence)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    assert devices() == ()
    assert nvml.closed == 0


def test_every_card_is_described_in_bytes_and_the_library_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"name": "Tesla K80", "capability": (3, 7), "memory": SimpleNamespace(total=12 * GIB, used=0)}
    nvml = FakeNvml(CARD, old).install(monkeypatch)

    first, second = devices()

    assert first == Device(
        index=0,
        name="NVIDIA L4",
        capability=8.9,
        driver="580.65.06",
        memory_total=24 * GIB,
        memory_used=3 * GIB,
    )
    assert first.memory_free == 21 * GIB
    assert (second.index, second.name, second.capability) == (1, "Tesla K80", 3.7)
    assert (nvml.opened, nvml.closed) == (1, 1)


def test_a_driver_without_cards_has_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml().install(monkeypatch)
    assert devices() == ()
    assert nvml.closed == 1


def test_a_card_that_shares_the_memory_of_the_host_has_none_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = CARD | {"capability": (12, 1), "memory": pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)}
    FakeNvml(shared).install(monkeypatch)

    (device,) = devices()

    assert (device.capability, device.memory_total, device.memory_used, device.memory_free) == (12.1, None, None, None)
    assert device.model_copy(update={"memory_total": GIB}).memory_free is None


def test_a_driver_that_does_not_fit_its_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def mismatch() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)

    FakeNvml(CARD).install(monkeypatch)
    monkeypatch.setattr(pynvml, "nvmlInit", mismatch)
    with pytest.raises(DeviceError, match="version mismatch"):
        devices()


def test_a_lost_card_is_told_and_the_library_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = CARD | {"memory": pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)}
    nvml = FakeNvml(lost).install(monkeypatch)
    with pytest.raises(DeviceError, match="NVML failed: GPU is lost"):
        devices()
    assert nvml.closed == 1
