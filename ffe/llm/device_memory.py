"""Device memory before and after a model is loaded: what the second sign of its placement is made of.

A reading says nothing when the server is on another host, when NVML has no card or fails, or when the model was there already; each
gives its reason. After an unload the memory comes back with a delay, and a reading taken too early would hide the next rise,
so it is waited for until it falls no more.
"""

from collections.abc import Callable

import ollama
from pydantic import BaseModel, ConfigDict

from ffe.errors import ModelUnavailableError
from ffe.llm.devices import Device, DeviceError, devices
from ffe.llm.ollama_server import Deadline, Server, address
from ffe.llm.ollama_state import loaded
from ffe.settings import OllamaSettings, Settings, is_loopback

PAUSE_SECONDS = 0.5
UNLOAD_PAUSES = 40
SETTLE_PAUSES = 20


class Reading(BaseModel):
    """`reason`: why the memory says nothing of the model; None when it does. `resident`: the model was loaded when this was read."""

    model_config = ConfigDict(frozen=True)

    devices: tuple[Device, ...] = ()
    reason: str | None = None
    resident: bool = False

    @property
    def used(self) -> int:
        """Bytes, of all devices."""
        return sum(device.memory_used for device in self.devices if device.memory_used is not None)


def read(settings: Settings) -> Reading:
    """The devices of this host, if they can be those of the model."""
    if not is_local(settings):
        where = address(settings.ollama.host)
        return Reading(reason=f"the server is on another host ({where}); its devices can't be read from here")
    try:
        found = devices()
    except DeviceError as error:
        return Reading(reason=str(error))
    if not found:
        return Reading(reason="no NVIDIA device or driver on this host")
    if any(device.memory_used is None for device in found):
        return Reading(devices=found, reason="NVML gives no memory for a device of this host")
    return Reading(devices=found)


def before_load(settings: Settings, *, reload: bool, sleep: Callable[[float], None]) -> Reading:
    """The reading before the model is loaded; with `reload` it is unloaded first.

    Raises:
        ModelUnavailableError: the server could not be asked, or would not unload the model.
    """
    now = read(settings)
    if settings.model != "ollama" or now.reason is not None or loaded(settings.ollama) is None:
        return now
    if not reload:
        return now.model_copy(update={"resident": True})
    _unload(settings.ollama, sleep)
    return _settled(settings, sleep)


def rises(before: Reading, after: Reading) -> dict[int, int]:
    """Bytes by which each device's memory rose, by index; empty where the readings do not enclose a load."""
    if before.resident or before.reason is not None or after.reason is not None:
        return {}
    was, now = ({device.index: device.memory_used for device in reading.devices} for reading in (before, after))
    both = {index: (was.get(index), used) for index, used in now.items()}
    return {index: new - old for index, (old, new) in both.items() if old is not None and new is not None}


def is_local(settings: Settings) -> bool:
    """Whether the model runs on this host: a server on loopback, or none at all."""
    return settings.model != "ollama" or is_loopback(address(settings.ollama.host))


def _unload(settings: OllamaSettings, sleep: Callable[[float], None]) -> None:
    """Until the server lists none of the chain. A request without a prompt and with keep_alive 0 loads nothing."""
    server = Server(settings)
    for _ in range(UNLOAD_PAUSES):
        there = loaded(settings)
        if there is None:
            return
        server.call(there.model, Deadline(settings.timeout_seconds), _expire(there.model))
        sleep(PAUSE_SECONDS)
    waited = UNLOAD_PAUSES * PAUSE_SECONDS
    raise ModelUnavailableError(f"{server.address} still lists a model as loaded {waited:g} s after its unload")


def _expire(model: str) -> Callable[[ollama.Client], ollama.GenerateResponse]:
    return lambda client: client.generate(model, keep_alive=0)


def _settled(settings: Settings, sleep: Callable[[float], None]) -> Reading:
    now = read(settings)
    for _ in range(SETTLE_PAUSES):
        sleep(PAUSE_SECONDS)
        last, now = now, read(settings)
        if now.used >= last.used:
            break
    return now
