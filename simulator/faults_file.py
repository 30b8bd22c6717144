"""Reading a list of faults, from a file or a request: checked whole before any of it is taken, every refusal naming its entry.

{"seed": 7, "faults": [{"kind": "reset", "route": "oanda.orders.create", "when": "after", "count": 2}]}
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ffe.errors import ConfigurationError
from simulator.faults import Fault
from simulator.faults_kinds import KINDS, REQUIRED, Kind, number, one_of, optional, text, whole
from simulator.faults_routes import NAMES, PREFIXES

WHERE = ("route", "venue", "method", "path")
COMMON = ("kind", *WHERE, "when", "count", "probability", "skip")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MANY = 10**9


@dataclass(frozen=True)
class FaultPlan:
    """Faults beside their entries as given; `seed` None draws one."""

    faults: Sequence[tuple[Fault, Mapping[str, Any]]]
    seed: int | None = None


def read_faults(path: Path, symbols: Sequence[str]) -> FaultPlan:
    """The plan in a JSON file, for a market of these canonical symbols. Raises ConfigurationError naming file and entry."""
    try:
        return fault_plan(json.loads(path.read_bytes()), symbols)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def fault_plan(document: Any, symbols: Sequence[str], *, wire: bool = True) -> FaultPlan:
    """The plan in a JSON document. Without `wire` there is no relay, and faults that need it are refused.

    Raises:
        ValueError: what is wrong, beginning with the entry (`faults[2]: ...`).
    """
    if not isinstance(document, dict) or not isinstance(document.get("faults"), list):
        raise ValueError('must be an object with a list "faults"')
    _refuse_unknown(document, ("seed", "faults"), "key")
    seed = _read("seed", optional(whole(0, 2**63)), document.get("seed"))
    faults = []
    for place, entry in enumerate(document["faults"]):
        try:
            faults.append((_fault(entry, symbols, wire=wire), entry))
        except ValueError as error:
            raise ValueError(f"faults[{place}]: {error}") from error
    return FaultPlan(faults, seed)


def _fault(entry: Any, symbols: Sequence[str], *, wire: bool) -> Fault:
    if not isinstance(entry, dict):
        raise ValueError(f"must be an object, not {entry!r}")
    name = _known("kind", KINDS)(entry.get("kind"))
    kind = KINDS[name]
    if kind.wire and not wire:
        raise ValueError(f"{name} needs the relay, and this simulator runs without it")
    _refuse_unknown(entry, (*COMMON, *kind.options), "key")
    where = _where(entry, kind)
    options = _options(entry, kind, symbols)
    return Fault(
        kind=name,
        **where,
        when=_read("when", one_of(*kind.when), entry.get("when", kind.when[0])),
        count=_read("count", optional(whole(1, MANY)), entry.get("count", kind.count)),
        probability=_read("probability", number(0.0, 1.0), entry.get("probability", 1.0)),
        skip=_read("skip", whole(0, MANY), entry.get("skip", 0)),
        ends=kind.ends,
        options=options,
    )


def _where(entry: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """Which requests. One of the four must be there, unless the kind has a route of its own."""
    if not any(entry.get(name) is not None for name in WHERE):
        if kind.route is None:
            raise ValueError(f"which requests? Give one of {', '.join(WHERE)}; every venue's are route '*'")
        return {"route": kind.route}
    reads = {"route": _route, "venue": _known("venue", PREFIXES), "method": one_of(*METHODS), "path": _path}
    return {name: _read(name, reads[name], entry[name]) for name in WHERE if entry.get(name) is not None}


def _route(value: Any) -> str:
    """A route's name, or a pattern that names at least one."""
    name = text(value)
    if not any(fnmatchcase(known, name) for known in NAMES):
        raise ValueError(_unknown("route", name, NAMES))
    return name


def _path(value: Any) -> str:
    """Below the venue's prefix."""
    path = text(value)
    if not path.startswith("/"):
        raise ValueError(f"must begin with '/', not {path!r}")
    return path


def _options(entry: dict[str, Any], kind: Kind, symbols: Sequence[str]) -> dict[str, Any]:
    options = {}
    for name, option in kind.options.items():
        if name not in entry and option.default is REQUIRED:
            raise ValueError(f"{name} is missing")
        options[name] = _read(name, option.read, entry[name]) if name in entry else option.default
    if options.get("instrument") is not None:
        options["instrument"] = _symbol(options["instrument"], symbols)
    if "until" in options and options["from"] >= options["until"]:
        raise ValueError("until must be later than from")
    return options


def _symbol(name: str, symbols: Sequence[str]) -> str:
    symbol = name.upper().replace("-", "").replace("_", "").replace("/", "")
    if symbol not in symbols:
        raise ValueError(_unknown("instrument", name, symbols))
    return symbol


def _read(name: str, read: Any, value: Any) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _known(what: str, names: Iterable[str]) -> Any:
    def read(value: Any) -> str:
        if value not in tuple(names):
            raise ValueError(_unknown(what, value, names))
        return str(value)

    return read


def _refuse_unknown(entry: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    for name in entry:
        if name not in tuple(known):
            raise ValueError(_unknown(what, name, known))


def _unknown(what: str, name: Any, known: Iterable[str]) -> str:
    near = get_close_matches(str(name), list(known), n=1, cutoff=0.0)
    return f"unknown {what} {name!r}; the nearest known is {near[0]!r}"
