"""sweep: one strategy with many parameters, chosen in sample and judged out of sample. It places no order.

    read history        once, laid out as arrays for whoever computes
    map the cells       what the folder does not have yet, in chunks, over a task runner
    publish             in sample beside out of sample, and what choosing by the first was worth in the second

`threads`: each thread drives a process of its own. `processes`: Prefect's process pool. `dask`: the cluster that DASK_SCHEDULER_ADDRESS
names, on as many machines as it has, which all see the data folder; else a local one. A run that was stopped goes on where it was, whatever
runs it next. Run it in process with `python -m flows.sweep`.
"""

import importlib
import math
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Failed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from pydantic import Field

from ffe.errors import ConfigurationError
from ffe.market.models import parse_instrument, parse_timeframe
from ffe.observe.masked_errors import keeps_secrets
from ffe.replay.request import ReplayRequest
from ffe.replay.sweep import RESULT, Planned, SweepRequest, finished, planned
from ffe.replay.sweep_cell import Cell
from ffe.replay.sweep_space import parse_space
from ffe.replay.sweep_store import CellStore
from ffe.replay.sweep_table import document
from flows.history_parameters import BarFile, RuleName
from flows.parameters import InstrumentName, TimeframeName
from tasks import runtime
from tasks.incidents import flow_cancelled, flow_failed
from tasks.replay import progress
from tasks.sweep import PROGRESS_KEY, Computed, publish_sweep, read_history, sweep_cells

Runner = TaskRunner[Any]
# Name of the state of a sweep that did all it could and did not get every cell.
CELLS_FAILED = "CellsFailed"
THREADS, PROCESSES, DASK = "threads", "processes", "dask"
# Chunks for each worker: what is lost with a killed run is one chunk each, and what a task run costs is paid for each.
CHUNKS = 4
MOST_CELLS = 50


@flow(name="sweep", on_failure=[flow_failed], on_crashed=[flow_failed], on_cancellation=[flow_cancelled])
@keeps_secrets
def sweep(
    params: dict[str, str],
    *,
    bars: list[BarFile] | None = None,
    instruments: list[InstrumentName] | None = None,
    timeframe: TimeframeName | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    strategy: RuleName = "sma-cross",
    oos: Annotated[float, Field(gt=0, lt=1)] = 0.3,
    train_days: Annotated[float | None, Field(gt=0)] = None,
    test_days: Annotated[float | None, Field(gt=0)] = None,
    at_random: Annotated[int | None, Field(ge=1)] = None,
    seed: int = 7,
    rank: str = "sharpe",
    costs: bool = True,
    task_runner: Literal["threads", "processes", "dask"] = "threads",
    workers: Annotated[int, Field(ge=1, le=64)] = 1,
) -> dict[str, Any] | State[Any]:
    """The document that `ffe sweep --json` prints.

    Args:
        params: values by name, such as fast 5,10,20 and slow 50:200:50; also risk.reward_risk 1.5,2.
        bars: CSV or Parquet files on the worker; the stored bars when left empty.
        instruments: names such as BTCUSD or EUR_USD; all of the files, or the settings' own, when left empty.
        timeframe: of the bars to decide on; the files' or the settings' own when left empty.
        start: bars that open then or later; everything when left empty.
        end: bars that close by then; everything when left empty.
        strategy: whose parameters are tried.
        oos: the last share of time, which is judged on and never chosen by.
        train_days: walk forward instead, so many days in sample at a time.
        test_days: and so many out of sample after each.
        at_random: so many combinations only.
        seed: of the random choice.
        rank: the in-sample number that the choice is made by, such as sharpe, return or calmar.
        costs: spread, fees and slippage; off only to see what they take.
        task_runner: threads or processes on this machine, or a dask cluster.
        workers: how many at a time.
    """
    asked = ReplayRequest(
        bars=tuple(Path(each) for each in bars or []),
        instruments=tuple(parse_instrument(each) for each in instruments or []),
        timeframe=None if timeframe is None else parse_timeframe(timeframe),
        start=start,
        end=end,
        strategy=strategy,
        costs=costs,
    )
    space = parse_space(f"{name}={values}" for name, values in params.items())
    feeds, plan = read_history(asked)
    request = SweepRequest(strategy, plan, space, oos, train_days, test_days, at_random, seed, rank, workers, costs)
    folder = runtime.engine().settings.data_dir / "sweeps"
    with planned(feeds, request, folder) as (wanted, kept), runner(task_runner, workers) as running:
        failures = _computed(wanted, kept, running, workers, isolated=task_runner == THREADS)
        swept = finished(request, wanted, kept, failures, folder)
    publish_sweep(swept, str(folder / RESULT))
    if swept.failed:
        return Failed(name=CELLS_FAILED, message=f"{len(swept.failed)} cells failed; first: {swept.failed[0].error}")
    return document(swept)


def runner(name: str, workers: int) -> Runner:
    """Where the cells are computed.

    Raises:
        ConfigurationError: dask without the package prefect-dask.
    """
    if name == PROCESSES:
        return ProcessPoolTaskRunner(max_workers=workers)
    if name == DASK:
        return _dask(workers)
    return ThreadPoolTaskRunner(max_workers=workers)


def _dask(workers: int) -> Runner:
    try:
        made = importlib.import_module("prefect_dask").DaskTaskRunner
    except ImportError as error:
        raise ConfigurationError("the task runner dask needs the package prefect-dask") from error
    # Not a parameter: whoever may start a run does not choose which machine this process trusts.
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    local = {"n_workers": workers, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    found: Runner = made(address=address) if address else made(cluster_kwargs=local)
    return found


def _computed(wanted: Planned, kept: CellStore, running: Runner, workers: int, *, isolated: bool) -> dict[str, str]:
    """Puts every cell that is missing into the store; why there is nothing of the others, by key."""
    told = progress(PROGRESS_KEY, f"sweep of {wanted.shared.strategy}")
    chunks = list(chunked(wanted.missing, workers))
    futures = []
    for number, chunk in enumerate(chunks, start=1):
        given = {"name": f"cells {number} of {len(chunks)}", "shared": wanted.shared, "cells": chunk}
        futures.append(running.submit(sweep_cells, parameters=given | {"isolated": isolated}))
    failures: dict[str, str] = {}
    done = len(wanted.cells) - len(wanted.missing)
    told("what was there already", done, len(wanted.cells))
    for chunk, future in zip(chunks, futures, strict=True):
        for cell, (record, reason) in zip(chunk, _results(future, len(chunk)), strict=True):
            if record is None:
                failures[cell.key] = str(reason)
            else:
                kept.add(record)
        done += len(chunk)
        told(f"{done} of {len(wanted.cells)} cells", done, len(wanted.cells))
    return failures


def _results(future: PrefectFuture[Any], count: int) -> Computed:
    """Of a task that itself failed, or whose worker has died, the reason for each of its cells."""
    try:
        found: Computed = future.result()
    except Exception as error:  # noqa: BLE001 - the cells say it; the others go on
        return [(None, f"{type(error).__name__}: {error}")] * count
    return found


def chunked(cells: Sequence[Cell], workers: int) -> Iterator[tuple[Cell, ...]]:
    """In the order of the cells, so that a worker finds the bars of a window cut already."""
    size = min(MOST_CELLS, max(1, math.ceil(len(cells) / (workers * CHUNKS))))
    for first in range(0, len(cells), size):
        yield tuple(cells[first : first + size])


if __name__ == "__main__":
    sweep({"fast": "10,20", "slow": "50,100"})
