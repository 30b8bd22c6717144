"""replay: history through the same engine, with an answer to "would you let it trade?". It places no order.

    replay              a progress artifact while it goes; the report into the data folder
    publish             for each instrument the answer, its reasons and pictures, and the numbers beside those of the baselines

Run it in process with `python -m flows.replay`: the stored bars of the settings' instruments.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from ffe.market.models import parse_instrument, parse_timeframe
from ffe.observe.masked_errors import keeps_secrets
from ffe.replay.request import ReplayRequest
from flows.history_parameters import BarFile, StrategyName
from flows.parameters import InstrumentName, TimeframeName
from tasks.incidents import flow_cancelled, flow_failed
from tasks.replay import publish_replay, replay_history


@flow(name="replay", on_failure=[flow_failed], on_crashed=[flow_failed], on_cancellation=[flow_cancelled])
@keeps_secrets
def replay(
    *,
    bars: list[BarFile] | None = None,
    instruments: list[InstrumentName] | None = None,
    timeframe: TimeframeName | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    strategy: StrategyName = "sma-cross",
    params: dict[str, float] | None = None,
    model: Literal["embedded", "ollama"] | None = None,
    every: Annotated[int, Field(ge=1)] = 1,
    costs: bool = True,
    lookahead: bool = False,
) -> list[dict[str, Any]]:
    """One document an instrument, as `ffe replay --json` prints it.

    Args:
        bars: CSV or Parquet files on the worker; the stored bars when left empty.
        instruments: names such as BTCUSD or EUR_USD; all of the files, or the settings' own, when left empty.
        timeframe: of the bars to decide on; the files' or the settings' own when left empty.
        start: bars that open then or later; everything when left empty.
        end: bars that close by then; everything when left empty.
        strategy: whose decisions are replayed; llm asks the language model at every bar, which takes as long as it does live.
        params: of the strategy, such as fast 10 and slow 40; its defaults when left empty.
        model: which model llm asks, embedded or ollama; the settings' own when left empty.
        every: llm is asked at every that many bars.
        costs: spread, fees and slippage; off only to see what they take.
        lookahead: run the strategy again on cut-off bars, and say where an earlier decision changes.
    """
    request = ReplayRequest(
        bars=tuple(Path(each) for each in bars or []),
        instruments=tuple(parse_instrument(each) for each in instruments or []),
        timeframe=None if timeframe is None else parse_timeframe(timeframe),
        start=start,
        end=end,
        strategy=strategy,
        params=params or {},
        every=every,
        costs=costs,
        lookahead=lookahead,
        command="the flow replay",
    )
    replayed = replay_history(request, model, str(flow_run.get_id() or uuid4()))
    publish_replay(replayed)
    return replayed.documents


if __name__ == "__main__":
    replay()
