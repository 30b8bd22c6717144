"""The sweep flow over its three task runners: the same table, what is there already is kept, and a failed cell is named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from benchmarks.generated_bars import generated
from ffe.clock import SystemClock
from ffe.cycle.engine import Engine
from ffe.errors import ConfigurationError
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.bar_parquet import write_parquet
from ffe.settings import load_settings
from ffe.sources.store import BarStore
from flows import sweep as flow_module
from tasks import runtime

pytestmark = pytest.mark.slow

PARAMS = {"fast": "5,10,15", "slow": "20"}


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bars") / "EUR-USD_1h_bidask_generated.parquet"
    write_parquet(generated(parse_instrument("EURUSD"), Timeframe.H1, 1500, 1), path)
    return str(path)


@pytest.fixture
def engine(tmp_path: Path, prefect_api: str) -> Iterator[Engine]:
    assert prefect_api
    settings = load_settings(data_dir=tmp_path / "data")
    ledger = Ledger.open(settings.resolved_ledger_url)
    opened = Engine(settings=settings, clock=SystemClock(), ledger=ledger, store=BarStore(tmp_path / "data" / "bars"))
    runtime.use(opened)
    yield opened
    runtime.use(None)
    opened.close()


async def newest(key: str) -> Any:
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return max(found, key=lambda each: str(each.created))


async def told(state: Any) -> dict[str, Any]:
    assert state.is_completed(), state.message
    document: dict[str, Any] = await state.aresult()
    return {name: value for name, value in document.items() if name not in ("computed", "kept")}


async def test_every_runner_gives_the_same_table_and_it_is_published(
    engine: Engine, bars: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runners write into one folder: each starts from nothing. Two chunks, of two cells and of one."""
    from distributed import LocalCluster

    monkeypatch.setattr(flow_module, "CHUNKS", 2)
    found = {}
    for name in ("threads", "processes"):
        found[name] = flow_module.sweep(PARAMS, bars=[bars], task_runner=name, return_state=True)
        (engine.settings.data_dir / "sweeps" / "cells.jsonl").unlink()
    local = {"n_workers": 1, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    with LocalCluster(**local) as cluster:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.scheduler_address)
        found["dask"] = flow_module.sweep(PARAMS, bars=[bars], task_runner="dask", return_state=True)
    threads = await told(found["threads"])
    assert len(threads["rows"]) == 3
    assert await told(found["processes"]) == threads
    assert await told(found["dask"]) == threads
    assert (await found["dask"].aresult())["computed"] == 3

    again = flow_module.sweep(PARAMS, bars=[bars], return_state=True)
    document = await again.aresult()
    assert (document["computed"], document["kept"]) == (0, 3)
    rows = json.loads((await newest("sweep")).data)
    assert len(rows) == 3
    assert {"sharpe, in", "sharpe, out"} <= set(rows[0])
    page = str((await newest("sweep-verdict")).data)
    assert "best in sample is" in page
    assert "3 were there already" in page
    assert (await newest("sweep-progress")).data == 100


async def test_a_cell_that_fails_is_named_and_the_rest_is_kept(
    engine: Engine, bars: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failed(wanted: Any, *_: Any, **__: Any) -> dict[str, str]:
        return {cell.key: "the worker was ended by SIGKILL" for cell in wanted.missing}

    monkeypatch.setattr(flow_module, "_computed", failed)
    state = flow_module.sweep({"fast": "5", "slow": "20"}, bars=[bars], return_state=True)
    assert (state.is_failed(), state.name) == (True, "CellsFailed")
    assert "1 cells failed; first: the worker was ended by SIGKILL" in str(state.message)
    assert "cells failed and are in no ranking" in str((await newest("sweep-verdict")).data)


async def test_a_sweep_without_costs_says_so_in_both_artifacts(
    engine: Engine, bars: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_module, "_computed", lambda wanted, *_, **__: {cell.key: "not" for cell in wanted.missing})
    flow_module.sweep({"fast": "5", "slow": "20"}, bars=[bars], costs=False, return_state=True)
    for key in ("sweep", "sweep-verdict"):
        assert (await newest(key)).description.endswith("COSTS OFF")
    assert "Costs are off" in str((await newest("sweep-verdict")).data)


def test_a_task_that_died_is_the_reason_of_each_of_its_cells() -> None:
    class Died:
        def result(self) -> Any:
            raise ConnectionError("the worker has gone")

    died: Any = Died()
    assert flow_module._results(died, 2) == [(None, "ConnectionError: the worker has gone")] * 2


@pytest.mark.parametrize(
    ("cells", "workers", "sizes"), [(0, 2, []), (3, 1, [1, 1, 1]), (9, 2, [2, 2, 2, 2, 1]), (500, 1, [50] * 10)]
)
def test_chunks_are_small_and_in_order(cells: int, workers: int, sizes: list[int]) -> None:
    given: Any = list(range(cells))
    made = list(flow_module.chunked(given, workers))
    assert [len(chunk) for chunk in made] == sizes
    assert [each for chunk in made for each in chunk] == given


def test_dask_without_its_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(flow_module.importlib, "import_module", gone)
    with pytest.raises(ConfigurationError, match="prefect-dask"):
        flow_module.runner("dask", 1)


def test_dask_without_an_address_is_a_cluster_of_this_machine() -> None:
    made: Any = flow_module.runner("dask", 3)
    assert made.cluster_kwargs["n_workers"] == 3
    assert made.cluster_kwargs["host"] == "127.0.0.1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "/tmp/mine.py"},
        {"strategy": "llm"},
        {"oos": 1.5},
        {"task_runner": "ray"},
        {"bars": ["/etc/passwd"]},
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused_before_anything_starts(wrong: dict[str, Any]) -> None:
    from prefect.exceptions import ParameterTypeError

    with pytest.raises(ParameterTypeError, match=next(iter(wrong))):
        flow_module.sweep.validate_parameters({"params": {}} | wrong)
