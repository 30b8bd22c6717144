"""Health of the machine: free space in the data folder, and the GPU where the policy demands one.

Where a model runs is proved at a worker's start and by `ffe models doctor`, which load it; here only what can be read at once is asked.
"""

import shutil

from ffe.errors import FfeError, ModelError
from ffe.llm.device_memory import is_local
from ffe.llm.devices import DeviceError, devices
from ffe.llm.ollama_state import LoadedModel, loaded
from ffe.llm.placement import unmet_floors
from ffe.llm.signs import WHOLE
from ffe.observe.health_models import Component, degraded, healthy, unhealthy
from ffe.observe.masking import masked
from ffe.settings import PlacementPolicy, Settings

DISK, CARD = "disk", "gpu"
_MEGABYTE = 1024 * 1024


def disk_health(settings: Settings) -> Component:
    """Unhealthy below FFE_HEALTH__MIN_FREE_MB, degraded below twice that."""
    limit = settings.health.min_free_mb
    try:
        free = shutil.disk_usage(settings.data_dir).free // _MEGABYTE
    except OSError as error:
        return unhealthy(DISK, f"the free space of {settings.data_dir} can't be read: {error.strerror}")
    said = f"{free} MB are free in {settings.data_dir}, at least {limit} MB have to be"
    if free < limit:
        return unhealthy(DISK, said, free, limit)
    return (
        degraded(DISK, f"{said}; that is less than twice as much", free, limit)
        if free < 2 * limit
        else healthy(DISK, said, free, limit)
    )


def gpu_health(settings: Settings) -> Component:
    """A model that is loaded is judged by its share on the device; else the cards of this host are, by their floors."""
    policy = settings.placement.policy
    if policy is not PlacementPolicy.REQUIRE_GPU:
        return healthy(CARD, f"not needed: FFE_PLACEMENT__POLICY is {policy}")
    if settings.model != "ollama":
        return _cards(settings)
    try:
        running = loaded(settings.ollama)
        here = is_local(settings)
    except (ModelError, FfeError) as error:
        return unhealthy(CARD, masked(str(error)))
    if running is not None:
        return _share(running)
    return _cards(settings) if here else degraded(CARD, f"no model is loaded at {settings.ollama.host} now")


def _share(running: LoadedModel) -> Component:
    share = running.size_vram / running.size if running.size > 0 else 0.0
    said = f"{share:.0%} of {running.model} is on the device, {WHOLE:.0%} has to be"
    return (healthy if share >= WHOLE else unhealthy)(CARD, said, share, WHOLE)


def _cards(settings: Settings) -> Component:
    try:
        found = devices()
    except DeviceError as error:
        return unhealthy(CARD, str(error))
    problems = [unmet_floors(card, settings.placement) for card in found]
    good = [card.name for card, unmet in zip(found, problems, strict=True) if not unmet]
    if good:
        return healthy(CARD, f"{', '.join(good)}: driver and capability meet the floors", len(good), 1)
    why = "; ".join(text for unmet in problems for text in unmet) or "this host has no NVIDIA card that answers"
    return unhealthy(CARD, f"the policy requires a GPU: {why}", 0, 1)
