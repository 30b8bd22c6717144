"""The few things that the `ffe worker` command asks of the Prefect API, by plain HTTP: Prefect's own client would cost it 100 MB for good."""

import base64
import os
from dataclasses import dataclass, field
from typing import Self

import httpx

from ffe.errors import ConfigurationError, RefusedError

TIMEOUT = 5.0


@dataclass(frozen=True)
class Api:
    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environment(cls) -> Self:
        """From PREFECT_API_URL, with PREFECT_API_KEY or PREFECT_API_AUTH_STRING as Prefect's client would send them.

        Raises:
            ConfigurationError: no URL. A worker without one would serve an API of its own, where nobody submits anything.
        """
        url = os.environ.get("PREFECT_API_URL", "").rstrip("/")
        if not url:
            raise ConfigurationError(
                "PREFECT_API_URL is not set: it names the API of `ffe up` or `prefect server start`"
            )
        key, password = os.environ.get("PREFECT_API_KEY"), os.environ.get("PREFECT_API_AUTH_STRING")
        if key:
            return cls(url, {"Authorization": f"Bearer {key}"})
        if password:
            return cls(url, {"Authorization": f"Basic {base64.b64encode(password.encode()).decode()}"})
        return cls(url)

    def last_heartbeat(self, pool: str, worker: str) -> str | None:
        """When the worker was last heard, as the API writes it; None: never.

        Raises:
            ConfigurationError: no such pool; a stock worker would make one, without the limits.
            RefusedError: no answer, or a refusal.
        """
        try:
            reply = httpx.post(
                f"{self.url}/work_pools/{pool}/workers/filter",
                json={"limit": 200},
                headers=self.headers,
                timeout=TIMEOUT,
                trust_env=False,
            )
            if reply.status_code == httpx.codes.NOT_FOUND:
                raise ConfigurationError(
                    f"the Prefect API at {self.url} has no work pool {pool}; `python -m deployments.bootstrap` makes cpu and gpu"
                )
            reply.raise_for_status()
        except httpx.HTTPError as error:
            raise RefusedError(f"the Prefect API at {self.url} does not answer: {error}") from error
        seen = [str(each["last_heartbeat_time"]) for each in reply.json() if each["name"] == worker]
        return seen[0] if seen else None
