"""NVIDIA devices of this host, as its driver describes them.

NVML and not `nvidia-smi`: the same library without text to parse. Where there is no NVIDIA library, driver or card it answers within
milliseconds, and that is no error here: most hosts have none. Every other failure is told, because a card that is there and
cannot be read (driver and library of different versions, a lost card, no permission) is why a model runs on the CPU. Per-process
memory is not read: in a container NVML shows the process ids of the host, and under WDDM it gives no memory at all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pynvml
from pydantic import BaseModel, ConfigDict

from ffe.errors import FfeError


class DeviceError(FfeError):
    """NVML is there and failed; the message says at what."""

    exit_code = 3


class Device(BaseModel):
    """One card. Memory in bytes, of all processes; None where NVML gives none (chips that share the host's memory)."""

    model_config = ConfigDict(frozen=True)

    index: int
    name: str
    capability: float
    driver: str
    memory_total: int | None
    memory_used: int | None

    @property
    def memory_free(self) -> int | None:
        if self.memory_total is None or self.memory_used is None:
            return None
        return self.memory_total - self.memory_used


def devices() -> tuple[Device, ...]:
    """Every card of this host by NVML's index; () without NVIDIA.

    Raises:
        DeviceError: NVML is there and could not be read.
    """
    try:
        with _nvml() as there:
            if not there:
                return ()
            driver = pynvml.nvmlSystemGetDriverVersion()
            return tuple(_device(index, driver) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        raise DeviceError(f"NVML failed: {error}") from error


@contextmanager
def _nvml() -> Iterator[bool]:
    """False where there is nothing of NVIDIA. What was opened is closed, also when a reading fails."""
    absent = (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded, pynvml.NVMLError_GpuNotFound)
    try:
        pynvml.nvmlInit()
    except absent:
        yield False
        return
    try:
        yield True
    finally:
        pynvml.nvmlShutdown()


def _device(index: int, driver: str) -> Device:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    total, used = _memory(handle)
    return Device(
        index=index,
        name=pynvml.nvmlDeviceGetName(handle),
        capability=float(f"{major}.{minor}"),
        driver=driver,
        memory_total=total,
        memory_used=used,
    )


def _memory(handle: Any) -> tuple[int | None, int | None]:
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError_NotSupported:
        return None, None
    return memory.total, memory.used
