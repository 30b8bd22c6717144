"""The report of a replay: a folder with one page, the numbers as JSON, trades and equity as Parquet, and the charts as PNG.

The same run gives the same bytes. Two runs of the same command differ where they say when they ran and how long they took, and nowhere else:
trades.parquet, equity.parquet and the charts are equal.
"""

import json
from pathlib import Path

import pyarrow as pa

from ffe.replay.document import documents
from ffe.replay.report_charts import account_charts, instrument_charts
from ffe.replay.report_page import page
from ffe.replay.request import ReplayRun
from ffe.sources.files import disk_faults, parquet_bytes, replace

PAGE, NUMBERS, TRADES, EQUITY = "report.html", "replay.json", "trades.parquet", "equity.parquet"


def write_report(run: ReplayRun, folder: Path) -> Path:
    """Everything into `folder`, which is made where it is missing; each file is whole or not there. Path of the page.

    Raises:
        DataError: a file can't be written.
    """
    charts = [instrument_charts(run, at) for at in range(len(run.feeds))]
    accounts = account_charts(run)
    with disk_faults(folder, "written"):
        for chart in (*(each for found in charts for each in found.values()), *accounts):
            replace(folder / f"{chart.name}.png", chart.png)
        replace(folder / TRADES, parquet_bytes(run.result.trades, _about(run)))
        replace(folder / EQUITY, parquet_bytes(equity_table(run), _about(run)))
        replace(folder / NUMBERS, numbers(run, folder))
        replace(folder / PAGE, page(run, charts, accounts).encode())
    return folder / PAGE


def numbers(run: ReplayRun, folder: Path | None = None) -> bytes:
    """`replay.json`: the document of one instrument, or the list of them."""
    found = documents(run, folder)
    content = found[0] if len(found) == 1 else found
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def equity_table(run: ReplayRun) -> pa.Table:
    """`time` (epoch seconds, the closes of all instruments) and for each instrument its equity, what is held, and each baseline's equity, USD."""
    columns: dict[str, pa.Array] = {"time": pa.array(run.result.times)}
    for at, name in enumerate(run.result.instruments):
        columns[f"{name} equity"] = pa.array(run.result.equity(at))
        columns[f"{name} held"] = pa.array(run.result.notional[:, at])
        for each in run.baselines[at]:
            columns[f"{name} {each.strategy}"] = pa.array(each.equity)
    return pa.table(columns)


def _about(run: ReplayRun) -> dict[str, str]:
    """What must not be lost when a table is passed on without its page."""
    about = {"strategy": run.strategy, "costs": "on" if run.costs else "off", "command": run.command}
    if any(run.contaminated):
        about["watermark"] = run.watermark or "contaminated"
    return about
