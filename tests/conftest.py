"""What every room's tests share: a clean environment, recorded bars, and one Prefect API for the whole session."""

import atexit
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ffe.observe import masking
from ffe.processes import Child

# On a shared machine a deadline per example measures the neighbours.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _set_prefect_up() -> None:
    """Prefect reads its settings when it is first imported: they have to be there before any other conftest is."""
    for name in [name for name in os.environ if name.startswith(("FFE_", "PREFECT_"))]:
        del os.environ[name]
    home = tempfile.mkdtemp(prefix="ffe-prefect-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ |= {
        "PREFECT_HOME": home,
        "PREFECT_API_URL": f"http://127.0.0.1:{_free_port()}/api",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "DO_NOT_TRACK": "1",
    }


_set_prefect_up()


def pytest_unconfigure() -> None:
    """The APIs have ended. What still waits to be sent to one would be tried again at exit, ten times each, for hours."""
    if "prefect" in sys.modules:
        from tasks.undelivered import deliver

        deliver(0)


@pytest.fixture(autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    """What a test (or a command it runs in process) puts into the environment ends with it, and so does every secret that was loaded.

    It asks for no other fixture, so that it ends last: `monkeypatch` would put back what a command had set in between.
    """
    before, known = dict(os.environ), set(masking._remembered)
    yield
    os.environ.clear()
    os.environ.update(before)
    masking._remembered.clear()
    masking._remembered.update(known)


@pytest.fixture(scope="session")
def recorded_bars() -> Path:
    """Folder of real recorded bars: BTC, ETH and EUR on 2018-04-04, GBP on 2012-02-29, 400 minutes each."""
    return Path(__file__).parent / "data" / "bars"


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real Prefect API over SQLite, as `ffe run` starts it."""
    from ffe.cli.surroundings import await_healthy

    url = os.environ["PREFECT_API_URL"]
    data_dir = tmp_path_factory.mktemp("prefect-api")
    port = url.removesuffix("/api").rpartition(":")[2]
    command = [sys.executable, "-m", "tasks.local_api", "--data-dir", str(data_dir), "--port", port]
    with (data_dir / "api.log").open("w") as log:
        child = Child.spawn("prefect api", command, env=dict(os.environ), log=log)
        await_healthy(url, child)
        yield url
        child.close()
