"""Health of what Prefect runs: the server, the workers of each pool, runs that nobody has started.

A worker is judged by the age of its heartbeat: the server still calls it ONLINE a minute and a half after it was killed. A heartbeat from
the future is as far away as one of the past: by a clock that was wrong, a dead worker would live for as long. Without a worker for the gpu pool decisions are HOLD by `fallback`: that is degraded, unless these settings send decisions there.
"""

from datetime import datetime

from ffe.errors import FfeError
from ffe.observe.health_models import Component, Status, degraded, healthy, unhealthy
from ffe.observe.masking import masked
from ffe.observe.prefect_api import Api, distance
from ffe.settings import Settings

SERVER, LATE = "prefect server", "late runs"
CPU, GPU = "cpu", "gpu"
POOLS = (CPU, GPU)
NAMES = (SERVER, *(f"workers {pool}" for pool in POOLS), LATE)


def prefect_health(settings: Settings, api: Api | None, now: datetime) -> list[Component]:
    """`now` is the wall clock's: heartbeats are. Without a server nothing else can be asked."""
    if api is None:
        where = f"PREFECT_API_URL is not set and no `ffe up` runs on {settings.data_dir}"
        return _nothing(f"no Prefect server is known: {where}")
    try:
        api.healthy()
    except FfeError as error:
        return _nothing(masked(str(error)))
    server = healthy(SERVER, f"{api.url} answers")
    return [server, *(_workers(settings, api, pool, now) for pool in POOLS), _late(api)]


def _nothing(why: str) -> list[Component]:
    server, *others = NAMES
    return [unhealthy(server, why), *(unhealthy(name, "not known without a Prefect server") for name in others)]


def _workers(settings: Settings, api: Api, pool: str, now: datetime) -> Component:
    name, limit = f"workers {pool}", settings.health.worker_seconds
    try:
        seen = [each for each in api.workers(pool) if each.last_heartbeat is not None]
    except FfeError as error:
        return unhealthy(name, masked(str(error)))
    all_ages = [(now - each.last_heartbeat).total_seconds() for each in seen if each.last_heartbeat is not None]
    ages = sorted(all_ages, key=abs)
    alive = [age for age in ages if abs(age) <= limit]
    if alive:
        return healthy(
            name,
            f"{len(alive)} worker(s), the last one heard {distance(alive[0])}; limit {limit:.0f} s",
            alive[0],
            limit,
        )
    needed = pool != GPU or settings.decide == "pool"
    heard = f"the last one was heard {distance(ages[0])}" if ages else "none was ever heard"
    effect = "" if pool != GPU else "; decisions sent there become HOLD by fallback"
    return Component(
        name=name,
        status=Status.UNHEALTHY if needed else Status.DEGRADED,
        detail=f"no worker of pool {pool}: {heard}, limit {limit:.0f} s{effect}",
        value=ages[0] if ages else None,
        limit=limit,
    )


def _late(api: Api) -> Component:
    try:
        late = api.late_runs()
    except FfeError as error:
        return unhealthy(LATE, masked(str(error)))
    if late > 0:
        return degraded(LATE, f"{late} scheduled runs were not started in time, 0 should be", late, 0)
    return healthy(LATE, "0 runs are late, 0 should be", 0, 0)
