"""A parameter sweep: many combinations in the same windows, each replayed in sample and out of sample, in several processes.

    space            combinations of values                       sweep_space
    windows          what is chosen by, what it is judged on      sweep_windows
    cells            a combination in a window                    sweep_cell, in the workers of sweep_workers
    store            what is computed already is not again        sweep_store
    table            ranks, deflated Sharpe ratio, an honest line sweep_table

`planned` says what there is to compute, `finished` makes the table of what is there: who computes in between is free to do it in
processes, as `sweep` does, or on a cluster, as the flow can.

What is kept is named by a hash of what its numbers come from: bars, gates, venue rules, plan, window, combination, our own code, and the
strategy's file. Modules that such a file imports are not in it: whoever changes one has to sweep into another folder.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from ffe.errors import ConfigurationError, FfeError
from ffe.ledger.ledger import Ledger
from ffe.replay.models import Feed, Plan
from ffe.replay.preparing import feed_of, wanted_bars
from ffe.replay.request import Gatekeeper, Progress, ReplayRequest
from ffe.replay.run import plan_of as plan_of_replay
from ffe.replay.strategies import find_strategy
from ffe.replay.sweep_cell import Cell, Shared, compute, file_sha256
from ffe.replay.sweep_feeds import digest, laid_out, own_folder
from ffe.replay.sweep_space import Combination, Space, combinations, of_strategy, plan_of
from ffe.replay.sweep_store import CellStore, opened
from ffe.replay.sweep_table import Refused, Swept, check_rank, document, tabled
from ffe.replay.sweep_windows import Window, check, split, walk
from ffe.replay.sweep_workers import computed
from ffe.settings import Settings
from ffe.sources.store import BarStore

RESULT = "sweep.json"
SLIPPAGE = "plan.slippage_bps"
_PACKAGE = Path(__file__).parents[1]
# Whose change may change a number; what only tells of it (the report, the table) is not among them.
_CODE = ("replay", "risk", "venues", "market", "cycle", "orders/models.py", "money.py")


@dataclass(frozen=True)
class SweepRequest:
    """`space`: values by name. `oos`: share of the moments out of sample, where `train_days` is None; else windows that walk.

    `at_random`: so many combinations only, drawn by `seed`. `rank`: by which in-sample number the choice is made. `costs`: whether feeds and
    plan have them, as `material` was asked; the result says so.
    """

    strategy: str
    plan: Plan
    space: Space = field(default_factory=dict)
    oos: float = 0.3
    train_days: float | None = None
    test_days: float | None = None
    at_random: int | None = None
    seed: int = 7
    rank: str = "sharpe"
    workers: int = 1
    costs: bool = True


def material(
    asked: ReplayRequest,
    settings: Settings,
    *,
    gates: Gatekeeper,
    now: datetime,
    ledger: Ledger | None = None,
    store: BarStore | None = None,
) -> tuple[tuple[Feed, ...], Plan]:
    """Feeds and plan of a sweep, as a replay would have them. Raises as `ffe.replay.preparing.wanted_bars`."""
    found = wanted_bars(asked, settings, store, now)
    feeds = tuple(feed_of(each.bars, settings, gates, ledger, costs=asked.costs) for each in found)
    return feeds, plan_of_replay(asked, settings)


@dataclass(frozen=True)
class Planned:
    """`cells`: by (window, combination) each with its key. `missing`: those that the store does not have, window by window."""

    shared: Shared
    windows: tuple[Window, ...]
    combined: tuple[Combination, ...]
    refused: tuple[Refused, ...]
    cells: Mapping[tuple[int, int], Cell]
    missing: tuple[Cell, ...]


def sweep(feeds: Sequence[Feed], request: SweepRequest, folder: Path, told: Progress | None = None) -> Swept:
    """Computes what is missing and writes `sweep.json` into the folder. `told`: what was done, how many are done, how many there are.

    Raises:
        ConfigurationError: a strategy that can't be swept, windows that the bars don't hold, or a folder in which another sweep works.
        UnknownNameError: a strategy, parameter or rank that does not exist.
    """
    with planned(feeds, request, folder) as (plan, kept):
        failures: dict[str, str] = {}
        for done, (index, record, reason) in enumerate(
            computed(plan.missing, compute, plan.shared, request.workers), start=1
        ):
            cell = plan.missing[index]
            if record is None:
                failures[cell.key] = str(reason)
            else:
                kept.add(record)
            if told is not None:
                told(request.strategy, len(plan.cells) - len(plan.missing) + done, len(plan.cells))
        return finished(request, plan, kept, failures, folder)


@contextmanager
def planned(feeds: Sequence[Feed], request: SweepRequest, folder: Path) -> Iterator[tuple[Planned, CellStore]]:
    """What there is to compute, with the folder's store held and the bars laid out for the workers meanwhile. Raises as `sweep`."""
    check_rank(request.rank)
    if not request.costs and SLIPPAGE in request.space:
        raise ConfigurationError(f"{SLIPPAGE} is a cost, and costs are off")
    sha256 = file_sha256(request.strategy)
    combined, refused = _sorted_out(request)
    windows = _windows(feeds, request)
    check(feeds, windows)
    with opened(folder) as kept, own_folder(folder) as bars:
        shared = Shared(laid_out(feeds, bars), request.strategy, request.plan, sha256)
        cells = _cells(feeds, request, sha256, windows, combined)
        missing = tuple(cell for cell in cells.values() if cell.key not in kept.found)
        yield Planned(shared, windows, tuple(combined), tuple(refused), cells, missing), kept


def finished(request: SweepRequest, plan: Planned, kept: CellStore, failures: Mapping[str, str], folder: Path) -> Swept:
    """The table of everything, also in `sweep.json`. `failures`: why there is nothing, by key."""
    records = {
        place: kept.found.get(cell.key, failures.get(cell.key, "not computed")) for place, cell in plan.cells.items()
    }
    lines, choices = tabled(plan.windows, plan.combined, records, request.rank)
    done = sum(cell.key in kept.found for cell in plan.missing)
    there = len(plan.cells) - len(plan.missing)
    swept = Swept(request.strategy, request.rank, lines, choices, plan.refused, done, there, request.costs)
    scratch = folder / f"{RESULT}.part"
    scratch.write_text(json.dumps(document(swept), indent=1))
    scratch.replace(folder / RESULT)
    return swept


def _sorted_out(request: SweepRequest) -> tuple[list[Combination], list[Refused]]:
    """The combinations that strategy and settings take, and the others with the reason. Raises that reason when they take none."""
    taken: list[Combination] = []
    refused: list[Refused] = []
    first: FfeError | None = None
    for each in combinations(request.space, request.at_random, request.seed):
        try:
            plan_of(request.plan, each)
            strategy = find_strategy(request.strategy, of_strategy(each))
        except ConfigurationError as error:
            first = first or error
            refused.append(Refused(each, str(error)))
            continue
        if strategy.unbounded:
            raise ConfigurationError(f"{strategy.name} follows no rules, so there is nothing to sweep")
        taken.append(each)
    if not taken and first is not None:
        raise first
    return taken, refused


def _windows(feeds: Sequence[Feed], request: SweepRequest) -> tuple[Window, ...]:
    if request.train_days is None and request.test_days is None:
        if not 0 < request.oos < 1:
            raise ConfigurationError(f"out of sample is a share between 0 and 1, it is {request.oos:g}")
        return split(feeds, request.oos)
    train, test = request.train_days, request.test_days
    if train is None or test is None or train <= 0 or test <= 0:
        raise ConfigurationError("windows that walk need days in sample and days out of sample, both above 0")
    return walk(feeds, train, test)


def _cells(
    feeds: Sequence[Feed],
    request: SweepRequest,
    sha256: str | None,
    windows: Sequence[Window],
    combined: Sequence[Combination],
) -> dict[tuple[int, int], Cell]:
    base = _base([digest(feed) for feed in feeds], request, sha256)
    return {
        (window.number, index): Cell(_key(base, window, each), each, window)
        for window in windows
        for index, each in enumerate(combined)
    }


def _base(bars: list[str], request: SweepRequest, sha256: str | None) -> str:
    """What all keys of a sweep share: bars, strategy, plan and code."""
    plan = {name: str(value) for name, value in vars(request.plan).items() if name != "risk"}
    risk = request.plan.risk.model_dump(mode="json")
    told = {"bars": bars, "strategy": sha256 or request.strategy, "plan": plan, "risk": risk, "code": _code()}
    return json.dumps(told, sort_keys=True)


def _key(base: str, window: Window, combination: Combination) -> str:
    own = [[span.start, span.end] for span in (window.inside, window.outside)]
    return hashlib.sha256(json.dumps([base, own, dict(combination)], sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    found = hashlib.sha256()
    for name in _CODE:
        place = _PACKAGE / name
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            if not path.name.startswith(("report", "charts", "sweep_table", "sweep.")):
                found.update(path.read_bytes())
    return found.hexdigest()
