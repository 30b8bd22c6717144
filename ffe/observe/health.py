"""Is the running system well? A look from outside for machines: it needs no Prefect, no venue and no other process, and never hangs.

Three groups are looked at side by side, each within its own deadline; one that is late makes its components unhealthy. What is not
running is unhealthy, not absent: on a fresh checkout that is the server and the ledger, and the sentence says how to start them.
"""

import threading
import time
from collections.abc import Callable, Sequence

from ffe.clock import Clock, SystemClock
from ffe.observe import health_ledger, health_machine, health_prefect
from ffe.observe.health_models import Component, Health, unhealthy, worst
from ffe.observe.prefect_api import Api
from ffe.settings import Settings

__all__ = ["SECONDS", "check_health"]

# A locked SQLite ledger is waited for 30 s by whoever trades; a look gives up before.
SECONDS = 15.0

Look = Callable[[], list[Component]]


def check_health(settings: Settings, api: Api | None, clock: Clock | None, seconds: float = SECONDS) -> Health:
    """`api` None: no server is known. `clock` is the engine's; None in `sim` where no simulator runs. Never raises for what it finds."""
    now = SystemClock().now()
    groups: list[tuple[Sequence[str], Look]] = [
        (health_prefect.NAMES, lambda: health_prefect.prefect_health(settings, api, now)),
        (health_ledger.names(settings), lambda: health_ledger.ledger_health(settings, clock)),
        ((health_machine.DISK,), lambda: [health_machine.disk_health(settings)]),
        ((health_machine.CARD,), lambda: [health_machine.gpu_health(settings)]),
    ]
    running = [_Group(names, look) for names, look in groups]
    end = time.monotonic() + seconds
    components = tuple(each for group in running for each in group.found(end))
    return Health(at=now, mode=settings.mode.value, status=worst(components), components=components)


class _Group:
    """One group in a thread of its own, which nobody waits for once its time is over."""

    def __init__(self, names: Sequence[str], look: Look) -> None:
        self._names, self._look = names, look
        self._components: list[Component] | None = None
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._components = self._look()
        except Exception as error:  # noqa: BLE001 - a look that fails in a way nobody foresaw is a failed look
            self._failure = f"the look itself failed: {type(error).__name__}: {error}"

    def found(self, end: float) -> list[Component]:
        """What it found by `end`, a `time.monotonic` moment."""
        self._thread.join(max(0.0, end - time.monotonic()))
        if self._components is not None:
            return self._components
        why = self._failure or "no answer in time"
        return [unhealthy(name, why) for name in self._names]
