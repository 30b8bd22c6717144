"""A sweep's result: in sample beside out of sample, ranked by what could be known, and what that choice was worth.

The best of many is good by luck alone, so next to it stands the deflated Sharpe ratio, with the number of trials, and its rank out of
sample. Whoever picks by the out-of-sample columns has made them in-sample ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffe.errors import UnknownNameError
from ffe.replay.deflated import CONFIDENCE, Moments, deflated_sharpe, expected_maximum_sharpe, independent_trials
from ffe.replay.sweep_space import Combination, written
from ffe.replay.sweep_windows import Window

# What can be ranked by, all of them better when larger.
RANKS = ("sharpe", "sortino", "calmar", "return", "cagr", "profit_factor", "win_rate", "expectancy")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One combination in one window. `inside_rank`, `outside_rank`: 1 is best; None: it could not be ranked. `record` None: it failed."""

    combination: Combination
    window: int
    record: Record | None
    error: str | None
    inside_rank: int | None
    outside_rank: int | None


@dataclass(frozen=True)
class Choice:
    """What choosing by the in-sample rank led to in one window; `best` None: nothing could be ranked.

    `trials`: combinations that were computed. `independent`: how many independent ones they amount to. `deflated`: the probability that the
    chosen one's true in-sample Sharpe ratio is above what so many trials without skill reach. `agreement`: Spearman's correlation of the
    ranks in and out of sample over all combinations; None with fewer than three.
    """

    window: Window
    best: Line | None
    best_outside: Line | None
    trials: int
    independent: float
    benchmark: float
    deflated: float | None
    agreement: float | None


@dataclass(frozen=True)
class Refused:
    """A combination that the strategy or the settings do not take, such as a fast average that is the slower one."""

    combination: Combination
    reason: str


@dataclass(frozen=True)
class Swept:
    """`lines`: window by window, best in sample first, failed last. `computed`: cells of this run; `kept`: what was there already."""

    strategy: str
    rank: str
    lines: tuple[Line, ...]
    choices: tuple[Choice, ...]
    refused: tuple[Refused, ...]
    computed: int
    kept: int
    costs: bool = True

    @property
    def failed(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.record is None)


def check_rank(name: str) -> None:
    """Raises UnknownNameError for what can't be ranked by."""
    if name not in RANKS:
        raise UnknownNameError("rank", name, RANKS)


def tabled(
    windows: Sequence[Window],
    combined: Sequence[Combination],
    records: Mapping[tuple[int, int], Record | str],
    rank: str,
) -> tuple[tuple[Line, ...], tuple[Choice, ...]]:
    """Lines and choices of all windows. `records`: by (window, combination) what was computed, or why it failed."""
    lines: list[Line] = []
    choices = []
    for window in windows:
        found = {index: records[window.number, index] for index in range(len(combined))}
        own = _lines(window, combined, found, rank)
        lines += own
        choices.append(_choice(window, own, rank))
    return tuple(lines), tuple(choices)


def _lines(window: Window, combined: Sequence[Combination], found: Mapping[int, Record | str], rank: str) -> list[Line]:
    inside, outside = (_ranked(found, side, rank) for side in ("inside", "outside"))
    made = []
    for index, each in found.items():
        record, error = (None, each) if isinstance(each, str) else (each, None)
        made.append(Line(combined[index], window.number, record, error, inside.get(index), outside.get(index)))
    # Unranked ones before failed ones, each in the order in which they were asked for.
    return sorted(made, key=lambda line: (line.record is None, line.inside_rank is None, line.inside_rank or 0))


def _ranked(found: Mapping[int, Record | str], side: str, rank: str) -> dict[int, int]:
    """Rank of each combination that has the number, 1 the largest; of equals the first asked for comes first."""
    known = {index: each[side][rank] for index, each in found.items() if not isinstance(each, str)}
    order = sorted((index for index, value in known.items() if value is not None), key=lambda index: -known[index])
    return {index: place for place, index in enumerate(order, start=1)}


def _choice(window: Window, lines: Sequence[Line], rank: str) -> Choice:
    computed = [line for line in lines if line.record is not None]
    ranked = [line for line in computed if line.inside_rank is not None]
    best = ranked[0] if ranked else None
    outside = [line for line in computed if line.outside_rank is not None]
    independent, benchmark, probability = _deflated(computed, best)
    return Choice(
        window=window,
        best=best,
        best_outside=min(outside, key=lambda line: line.outside_rank or 0) if outside else None,
        trials=len(computed),
        independent=independent,
        benchmark=benchmark,
        deflated=probability,
        agreement=_agreement(computed, rank),
    )


def _deflated(computed: Sequence[Line], best: Line | None) -> tuple[float, float, float | None]:
    """Independent trials, the Sharpe ratio of one return that so many reach without skill, and the probability to be above it."""
    if not computed:
        return 0.0, 0.0, None
    records = [line.record for line in computed if line.record is not None]
    independent = independent_trials(np.array([record["inside"]["curve"] for record in records]))
    sharpes = [record["inside"]["moments"]["sharpe"] for record in records if record["inside"]["moments"] is not None]
    variance = float(np.var(sharpes, ddof=1)) if len(sharpes) > 1 else 0.0
    benchmark = expected_maximum_sharpe(independent, variance)
    if best is None or best.record is None or best.record["inside"]["moments"] is None:
        return independent, benchmark, None
    return independent, benchmark, deflated_sharpe(Moments(**best.record["inside"]["moments"]), independent, variance)


def _agreement(computed: Sequence[Line], rank: str) -> float | None:
    from scipy.stats import spearmanr

    both = [(line.record["inside"][rank], line.record["outside"][rank]) for line in computed if line.record is not None]
    known = np.array([pair for pair in both if None not in pair], dtype=np.float64)
    if len(known) < 3 or (known == known[0]).all(axis=0).any():
        return None
    return float(spearmanr(known[:, 0], known[:, 1]).statistic)


def titled(swept: Swept) -> str:
    """Over every table of it."""
    return f"{swept.strategy}, ranked by {swept.rank} in sample{'' if swept.costs else ', COSTS OFF'}"


def sentences(swept: Swept) -> list[str]:
    """What the table means, in plain words; the first one is what a reader must not miss."""
    told = [_sentence(choice, swept.rank) for choice in swept.choices]
    if len(swept.choices) > 1:
        told.insert(0, _together(swept))
    if not swept.costs:
        told.insert(0, "Costs are off: no spread, no fee, no slippage. Nobody trades like that.")
    if swept.refused:
        told.append(f"Not tried, {len(swept.refused)} of the combinations: {swept.refused[0].reason}.")
    failed = len(swept.failed)
    if failed:
        told.append(f"{failed} of {len(swept.lines)} cells failed and are in no ranking.")
    return told


def _sentence(choice: Choice, rank: str) -> str:
    where = f"Window {choice.window.number + 1} ({choice.window.outside.text()} out of sample)"
    best = choice.best
    if best is None or best.record is None:
        return f"{where}: nothing could be ranked by {rank} in sample, so nothing was chosen."
    inside, outside = best.record["inside"][rank], best.record["outside"][rank]
    name = written(best.combination)
    worth = f"{where}: best in sample is {name} with {rank} {_number(inside)}; out of sample it has {_number(outside)}"
    market = f"the price itself made {best.record['outside']['price_return']:+.2%} before costs"
    return f"{worth}, return {best.record['outside']['return']:+.2%} ({market}). {_place(choice)} {_skill(choice)}"


def _place(choice: Choice) -> str:
    best, other = choice.best, choice.best_outside
    if best is None or other is None:
        return "Nothing could be ranked out of sample."
    if best.outside_rank is None:
        return f"Out of sample it could not be ranked; best there is {written(other.combination)}."
    if best.outside_rank == 1:
        return "It is the best out of sample too."
    return f"Out of sample it is number {best.outside_rank} of {choice.trials}; best there is {written(other.combination)}, which nobody could have known."


def _skill(choice: Choice) -> str:
    if choice.trials < 2:
        return "Only one combination was tried, nothing was selected."
    if choice.deflated is None:
        return "Its returns have no Sharpe ratio to deflate."
    verdict = "more than" if choice.deflated >= CONFIDENCE else "no more than"
    return (
        f"After {choice.trials} trials (worth {choice.independent:.1f} independent ones) its in-sample Sharpe ratio is {verdict} luck "
        f"explains: probability of skill {choice.deflated:.0%}, {CONFIDENCE:.0%} wanted."
    )


def _together(swept: Swept) -> str:
    chosen = [choice.best for choice in swept.choices if choice.best is not None and choice.best.record is not None]
    first = sum(line.outside_rank == 1 for line in chosen)
    if not chosen:
        return "In no window could anything be chosen."
    made = np.prod([1 + line.record["outside"]["return"] for line in chosen if line.record is not None]) - 1
    price = np.prod([1 + line.record["outside"]["price_return"] for line in chosen if line.record is not None]) - 1
    return (
        f"Choosing the best in sample in each of {len(swept.choices)} windows made {made:+.2%} out of sample, one after the other; the price "
        f"itself made {price:+.2%} before costs. The choice was the best out of sample in {first} of {len(chosen)}."
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def document(swept: Swept) -> dict[str, Any]:
    """As JSON. What a run measured of itself is under `computed` and `kept`; all else is the same in every run."""
    return {
        "strategy": swept.strategy,
        "rank": swept.rank,
        "costs": swept.costs,
        "windows": [_chosen(choice) for choice in swept.choices],
        "rows": [row(line) for line in swept.lines],
        "refused": [{"params": dict(each.combination), "reason": each.reason} for each in swept.refused],
        "verdict": sentences(swept),
        "computed": swept.computed,
        "kept": swept.kept,
        "failed": len(swept.failed),
    }


def row(line: Line) -> dict[str, Any]:
    sides = {side: _shown(line.record, side) for side in ("inside", "outside")}
    ranks = {"inside_rank": line.inside_rank, "outside_rank": line.outside_rank}
    return {"params": dict(line.combination), "window": line.window, "error": line.error} | ranks | sides


def _shown(record: Record | None, side: str) -> dict[str, Any] | None:
    return None if record is None else {name: value for name, value in record[side].items() if name != "curve"}


def _chosen(choice: Choice) -> dict[str, Any]:
    def params(line: Line | None) -> dict[str, Any] | None:
        return None if line is None else dict(line.combination)

    return {
        "window": choice.window.number,
        "inside": choice.window.inside.text(),
        "outside": choice.window.outside.text(),
        "chosen": params(choice.best),
        "best_outside": params(choice.best_outside),
        "trials": choice.trials,
        "independent_trials": choice.independent,
        "benchmark_sharpe": choice.benchmark,
        "deflated_sharpe": choice.deflated,
        "rank_agreement": choice.agreement,
    }


def shown_rows(swept: Swept) -> list[dict[str, Any]]:
    """For people: one line a combination and window, in sample beside out of sample."""
    return [_shown_row(line, swept.rank) for line in swept.lines]


def _shown_row(line: Line, rank: str) -> dict[str, Any]:
    inside, outside = ({} if line.record is None else line.record[side] for side in ("inside", "outside"))
    return {
        "window": line.window + 1,
        "parameters": written(line.combination),
        "rank": line.inside_rank,
        f"{rank}, in": _number(inside.get(rank)),
        f"{rank}, out": _number(outside.get(rank)),
        "rank, out": line.outside_rank,
        **({} if rank == "return" else {"return, in": _share(inside), "return, out": _share(outside)}),
        "trades, in": inside.get("trades"),
        "trades, out": outside.get("trades"),
        "failed": line.error,
    }


def _share(side: Mapping[str, Any]) -> str | None:
    return f"{side['return']:+.2%}" if side else None
