"""Is the model really on the GPU? A warm call, three signs, a verdict, and what the policy makes of it.

A card or driver that is too old is dropped by Ollama with a line in its own log, and the model then runs on the CPU without another
word. So the placement is observed, not believed, and the floors are checked besides: they name the cause. Memory can only be
compared across a load: of a model that was loaded already it can only deny, unless the caller asks to unload it first. So a
server that keeps its model needs a floor of speed for a lasting "GPU". The embedded model is always loaded afresh. An outage is a verdict too, "unknown" with its reason: this must not stop a worker.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from ffe.clock import Clock
from ffe.errors import ModelError, ModelUnavailableError, RefusedError
from ffe.llm.device_memory import Reading, before_load, read, rises
from ffe.llm.devices import Device
from ffe.llm.factory import open_model
from ffe.llm.gguf import locate
from ffe.llm.models import Completion, JsonSchema, Message, ModelIdentity, Sampling
from ffe.llm.ollama_state import LoadedModel, loaded
from ffe.llm.protocol import LanguageModel
from ffe.llm.signs import Sign, SignReading, judge, memory_sign, reported_sign, resident_sign, speed_sign
from ffe.settings import PlacementPolicy, PlacementSettings, Settings

__all__ = ["FLOOR_NAME", "Placement", "Sign", "SignReading", "check_placement", "enforce", "judge", "unmet_floors"]

# Forced numbers up to a limit of tokens: enough for a speed, whatever the model thinks of them. `num_ctx` is that of decisions.
NUMBERS = range(1, 9)
WARM_UP = (Message(role="user", content="Count from 1 to 8 as JSON."),)
WARM_UP_SCHEMA: JsonSchema = {
    "type": "object",
    "properties": {f"number_{number}": {"type": "integer", "enum": [number]} for number in NUMBERS},
    "required": [f"number_{number}" for number in NUMBERS],
    "additionalProperties": False,
}
WARM_UP_SAMPLING = Sampling(max_tokens=64)
FLOOR_NAME = "FFE_PLACEMENT__MIN_TOKENS_PER_SECOND"
# Before this compute capability the newer driver floor holds.
VOLTA = 7.0


class Placement(BaseModel):
    """`signs` has the keys reported, memory and speed. `device` is the card the model was put on, as far as can be told; None without one.

    `problems` are the floors that `device` does not meet. `reason` says in one sentence why the verdict is what it is.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Sign
    signs: dict[str, SignReading]
    model: str
    digest: str | None
    runtime: str | None = None
    device: Device | None
    devices: tuple[Device, ...] = ()
    problems: tuple[str, ...]
    reason: str
    tokens_per_second: float | None = None
    checked_at: datetime


def check_placement(
    settings: Settings, clock: Clock, *, reload: bool = False, sleep: Callable[[float], None] = time.sleep
) -> Placement:
    """Asks the model twice, for its load and for its speed, and reads the three signs. `reload` unloads it first, on a local Ollama.

    Takes as long as a cold load plus two short answers. Never raises for an outage: that is UNKNOWN with its reason.
    """
    try:
        with closing(open_model(settings)) as model:
            return _observe(settings, clock, model, before_load(settings, reload=reload, sleep=sleep))
    except (ModelError, RefusedError) as error:
        return _unreached(settings, clock, str(error))


def enforce(placement: Placement, policy: PlacementPolicy) -> str | None:
    """Why the model may not be used under `policy`, or None. Only `require-gpu` refuses; a floor that is not met counts."""
    if policy is not PlacementPolicy.REQUIRE_GPU:
        return None
    faults = list(placement.problems)
    if placement.verdict is not Sign.GPU:
        faults.insert(0, f"the placement of {placement.model} is {placement.verdict}: {placement.reason}")
    return f"policy {policy} refuses the model: {'; '.join(faults)}" if faults else None


def unmet_floors(device: Device, floors: PlacementSettings) -> tuple[str, ...]:
    """One sentence with both numbers for each floor that `device` does not meet. A driver that can't be read is a floor unmet."""
    unmet = []
    if device.capability < floors.min_capability:
        unmet.append(
            f"{device.name}: compute capability {device.capability} is below {floors.min_capability}; "
            "the runtime leaves such a card out and uses the CPU"
        )
    wanted = floors.min_driver_before_7_0 if device.capability < VOLTA else floors.min_driver
    branch = device.driver.partition(".")[0]
    if not branch.isdecimal() or int(branch) < wanted:
        unmet.append(f"{device.name}: driver {device.driver or 'unknown'} is below {wanted}")
    return tuple(unmet)


def _observe(settings: Settings, clock: Clock, model: LanguageModel, before: Reading) -> Placement:
    model.complete(WARM_UP, WARM_UP_SCHEMA, WARM_UP_SAMPLING)
    answer = model.complete(WARM_UP, WARM_UP_SCHEMA, WARM_UP_SAMPLING)
    server = loaded(settings.ollama) if settings.model == "ollama" else None
    after = read(settings)
    speed = _speed(answer)
    signs = {
        "reported": _reported(settings, answer.identity, server),
        "memory": _memory(before, after, _size(settings, server)),
        "speed": speed_sign(speed, settings.placement.min_tokens_per_second),
    }
    verdict = judge(*(reading.sign for reading in signs.values()))
    device = _device(before, after)
    return Placement(
        verdict=verdict,
        signs=signs,
        model=answer.identity.model,
        digest=answer.identity.digest,
        runtime=answer.identity.runtime,
        device=device,
        devices=after.devices,
        problems=() if device is None else unmet_floors(device, settings.placement),
        reason=_reason(verdict, signs),
        tokens_per_second=speed,
        checked_at=clock.now(),
    )


def _unreached(settings: Settings, clock: Clock, reason: str) -> Placement:
    now = read(settings)
    device = _device(Reading(reason="not read"), now)
    silent = SignReading(sign=Sign.UNKNOWN, detail="the model was not reached")
    return Placement(
        verdict=Sign.UNKNOWN,
        signs=dict.fromkeys(("reported", "memory", "speed"), silent),
        model=settings.ollama.model if settings.model == "ollama" else _weights_name(settings),
        digest=None,
        device=device,
        devices=now.devices,
        problems=() if device is None else unmet_floors(device, settings.placement),
        reason=reason,
        checked_at=clock.now(),
    )


def _reported(settings: Settings, identity: ModelIdentity, server: LoadedModel | None) -> SignReading:
    """What the runtime says of itself: Ollama of the bytes on devices, the embedded one of its backend."""
    if settings.model == "embedded":
        known = {"cpu": Sign.CPU, "cuda": Sign.GPU}
        detail = f"the runtime {identity.runtime} reports the device {identity.device}"
        return SignReading(sign=known.get(identity.device, Sign.UNKNOWN), detail=detail)
    if server is None:
        detail = f"after the call the server lists no model as loaded (keep_alive {settings.ollama.keep_alive})"
        return SignReading(sign=Sign.UNKNOWN, detail=detail)
    if server.digest != identity.digest:
        detail = f"the server lists {server.model} {server.digest[:12]} as loaded, {identity.model} {identity.digest[:12]} answered"
        return SignReading(sign=Sign.UNKNOWN, detail=detail)
    return reported_sign(server.size, server.size_vram)


def _memory(before: Reading, after: Reading, size: int) -> SignReading:
    for reading in (before, after):
        if reading.reason is not None:
            return SignReading(sign=Sign.UNKNOWN, detail=reading.reason)
    return resident_sign(size, after.used) if before.resident else memory_sign(size, before.used, after.used)


def _size(settings: Settings, server: LoadedModel | None) -> int:
    """Bytes to hold a rise against; 0 when nobody can say."""
    if settings.model == "ollama":
        return 0 if server is None else server.size
    path = locate(settings.embedded.model_path, settings.embedded.model_sha256).path
    try:
        return path.stat().st_size
    except OSError as error:
        raise ModelUnavailableError(f"model file {path} cannot be read: {error.strerror}") from error


def _weights_name(settings: Settings) -> str:
    return locate(settings.embedded.model_path, settings.embedded.model_sha256).path.stem


def _speed(answer: Completion) -> float | None:
    """Generated tokens per second by the runtime's own clock."""
    if answer.generation_ms is None or answer.generation_ms <= 0 or answer.completion_tokens <= 0:
        return None
    return answer.completion_tokens / answer.generation_ms * 1000


def _device(before: Reading, after: Reading) -> Device | None:
    """The card whose memory rose most; where none can be told to have risen, the one of the highest capability: runtimes drop the unfit."""
    risen = rises(before, after)
    return max(after.devices, key=lambda device: (risen.get(device.index, 0), device.capability), default=None)


def _reason(verdict: Sign, signs: dict[str, SignReading]) -> str:
    said = ", ".join(f"{name} {reading.sign}" for name, reading in signs.items())
    if verdict is not Sign.UNKNOWN:
        return f"no known sign disagrees ({said})"
    if signs["reported"].sign is Sign.UNKNOWN:
        return f"the runtime does not say where the model is ({signs['reported'].detail})"
    others: Sequence[SignReading] = (signs["memory"], signs["speed"])
    if all(reading.sign is Sign.UNKNOWN for reading in others):
        return f"only the runtime itself says gpu, and one more sign must agree ({said}): set {FLOOR_NAME}"
    return f"the signs disagree ({said})"
