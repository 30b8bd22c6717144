"""Is the worker of this container heard? `python -m deployments.docker.heartbeat POOL [NAME]`: exit 0 when the API heard it lately.

A process worker has no port. A worker whose process lives and which can't reach the API is not healthy, so it is the API that is asked,
for the name that `ffe worker POOL` takes by itself.
"""

import argparse
import socket
import sys

from ffe.clock import SystemClock
from ffe.errors import FfeError
from ffe.observe.prefect_api import Api
from ffe.settings import load_settings


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.docker.heartbeat")
    parser.add_argument("pool")
    parser.add_argument("name", nargs="?", help="the worker's; left out: pool and host, as `ffe worker` has it")
    given = parser.parse_args(argv)
    name = given.name or f"{given.pool}-{socket.gethostname()}"
    try:
        problem = silence(Api.from_environment(), given.pool, name, load_settings().health.worker_seconds)
    except FfeError as error:
        problem = str(error)
    if problem is not None:
        print(problem, file=sys.stderr)
    return 0 if problem is None else 1


def silence(api: Api, pool: str, name: str, seconds: float) -> str | None:
    """Why the worker counts as gone; None when it was heard within `seconds`. Raises FfeError: no answer."""
    heard = [seen.last_heartbeat for seen in api.workers(pool) if seen.name == name]
    if not heard or heard[0] is None:
        return f"the API has never heard of {name} in the pool {pool}"
    age = (SystemClock().now() - heard[0]).total_seconds()
    return None if age <= seconds else f"{name} was last heard {age:.0f} s ago, the limit is {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
