"""What a failed step was about, read from what it was given: which market, bars, cycle and order. And those parameters as a person may read them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import to_jsonable_python

from ffe.cycle.bars import Bars
from ffe.cycle.steps import Cycle
from ffe.decision.models import Context, Decision
from ffe.market.models import Instrument, Timeframe
from ffe.observe.masking import masked
from ffe.observe.masking_patterns import SECRET_NAMES
from ffe.orders.models import Order
from ffe.risk.gate import TradePlan
from ffe.sources.models import BarBatch

# A longer value is cut, and of longer lists only the beginning is kept: the context of a question alone has hundreds of numbers.
MOST_TEXT = 500
MOST_ITEMS = 20
DEPTH = 6


@dataclass(frozen=True)
class Subject:
    """None is what is not known. `batch_id` and `report_id` are of the bars and of their quality report."""

    instrument: str | None = None
    timeframe: Timeframe | None = None
    cycle_id: str | None = None
    batch_id: str | None = None
    report_id: str | None = None
    order_id: str | None = None


def subject_of(parameters: Mapping[str, Any]) -> Subject:
    """From records of ours among the parameters, and from those named `cycle_id`, `symbol` or `timeframe`; the first that says it counts."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        for key, said in _said(name, value).items():
            if said is not None:
                found.setdefault(key, said)
    return Subject(**found)


def merged(subject: Subject, **known: Any) -> Subject:
    """`subject` with what else is known where it says nothing itself."""
    return replace(subject, **{name: value for name, value in known.items() if getattr(subject, name) is None})


def _said(name: str, value: Any) -> dict[str, Any]:
    said: dict[str, Any] = {}
    match value:
        case Instrument():
            said = {"instrument": value.symbol}
        case Timeframe():
            said = {"timeframe": value}
        case Bars():
            said = _said(name, value.batch)
        case BarBatch():
            said = {"instrument": value.instrument.symbol, "timeframe": value.timeframe, "batch_id": value.id}
        case Context():
            said = {"instrument": value.instrument.symbol, "timeframe": value.timeframe} | _standing_on(value)
        case Cycle():
            said = {"cycle_id": value.id, "timeframe": value.timeframe}
        case Decision():
            about = {"instrument": value.instrument, "timeframe": value.timeframe, "cycle_id": value.cycle_id}
            said = about | _standing_on(value)
        case TradePlan():
            order = {"order_id": value.intent.client_order_id}
            said = order | {"instrument": value.intent.instrument, "timeframe": value.intent.timeframe}
        case Order():
            said = {"order_id": value.id, "instrument": value.instrument, "timeframe": value.timeframe}
        case str():
            said = _named(name, value)
    return said


def _standing_on(value: Context | Decision) -> dict[str, Any]:
    return {"batch_id": value.batch_id, "report_id": value.quality_report_id}


def _named(name: str, value: str) -> dict[str, Any]:
    if name == "timeframe":
        return {"timeframe": Timeframe(value)} if value in set(Timeframe) else {}
    return {{"symbol": "instrument"}.get(name, name): value} if name in ("cycle_id", "symbol", "instrument") else {}


def readable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`parameters` as JSON, masked, cut where they are long or deep: what an incident keeps of them. Never raises."""
    return {masked(str(name)): _readable(str(name), value, DEPTH) for name, value in parameters.items()}


def _readable(name: str, value: Any, depth: int) -> Any:
    if SECRET_NAMES.search(name) and isinstance(value, str):
        return "<masked>"
    if isinstance(value, Mapping) and depth > 0:
        kept = list(value.items())[:MOST_ITEMS]
        shown = {masked(str(key)): _readable(str(key), item, depth - 1) for key, item in kept}
        return shown | ({"...": f"{len(value) - MOST_ITEMS} more"} if len(value) > MOST_ITEMS else {})
    if isinstance(value, list | tuple) and depth > 0:
        items = [_readable(name, item, depth - 1) for item in value[:MOST_ITEMS]]
        return [*items, f"... {len(value) - MOST_ITEMS} more"] if len(value) > MOST_ITEMS else items
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) or depth <= 0:
        return _text(value)
    plain = _plain(value)
    return _text(value) if plain is value else _readable(name, plain, depth - 1)


def _plain(value: Any) -> Any:
    """JSON's own types, or `value` itself where there are none for it."""
    try:
        return to_jsonable_python(value)
    except Exception:  # noqa: BLE001 - what can't be written as JSON is shown as Python prints it
        return value


def _text(value: Any) -> str:
    try:
        return masked(str(value), most=MOST_TEXT)
    except Exception:  # noqa: BLE001 - an object whose text can't be had must not hide the failure it was given to
        return f"<{type(value).__name__}>"
