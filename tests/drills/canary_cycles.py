"""Cycles against every kind of trouble, with every credential in the environment: `canary_cycles.py READY FOLDER`.

READY is the simulator's own line, with the address of a server that echoes requests under `echo`. Prints one JSON line for each cycle.
Everything is logged, at DEBUG, to standard error.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from ffe.cli.options import with_venues
from ffe.cycle import ordering
from ffe.cycle.engine import Engine
from ffe.errors import LedgerError, ModelUnavailableError
from ffe.ledger.ledger import Ledger
from ffe.llm.models import Completion, ModelHealth, ModelIdentity
from ffe.settings import load_settings
from ffe.venues import clients
from ffe.venues.wire import Limits
from flows.trading_cycle import trading_cycle
from tasks import runtime
from tasks.incidents import record
from tasks.undelivered import deliver

FAST = Limits(attempts=2, backoff=0.01, call=3, total=4)
PAIR = ["BTCUSD", "EURUSD"]
IDENTITY = ModelIdentity(adapter="recorded", model="scripted", digest="0" * 64, runtime="test")


class Leaky:
    """A model that says BUY, or fails with every secret of its environment in its words. It is told none, so it can say none."""

    def __init__(self, *, broken: bool) -> None:
        self._broken = broken

    def identity(self) -> ModelIdentity:
        return IDENTITY

    def complete(self, *_: Any, **__: Any) -> Completion:
        if self._broken:
            raise ModelUnavailableError(f"no model; environment {secrets()}")
        text = json.dumps({"action": "BUY", "confidence": 80, "reasoning": "trend up"})
        return Completion(
            text=text, finish_reason="stop", prompt_tokens=1, completion_tokens=1, latency_ms=1.0, identity=IDENTITY
        )

    def health(self) -> ModelHealth:
        return ModelHealth(ok=not self._broken, detail="scripted")

    def close(self) -> None:
        return None


def secrets() -> str:
    """Everything that must not be seen, as careless code would print it."""
    names = json.loads(os.environ["DRILL_CANARIES"])
    return " ".join(f"{name}={os.environ[name]!r}" for name in names)


def crash(*_: Any, **__: Any) -> Any:
    raise RuntimeError(f"a bug prints the environment: {secrets()}")


def refuse(*_: Any, **__: Any) -> Any:
    raise LedgerError(f"the ledger refused: connection to {os.environ['DRILL_LEDGER_URL']} failed")


def main(ready: dict[str, Any], folder: Path) -> None:
    logging.basicConfig(level=logging.DEBUG, force=True)
    for library in ("httpcore", "matplotlib", "great_expectations", "asyncio", "aiosqlite"):
        logging.getLogger(library).setLevel(logging.INFO)
    control = ready["control"]
    echo = str(ready["echo"])

    def fault(*entries: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {control['token']}"}
        body = {"faults": list(entries)}
        httpx.post(f"{control['base_url']}/faults", json=body, headers=headers, trust_env=False).raise_for_status()

    def at(mode: str) -> dict[str, str]:
        return pointed(ready["env"], f"{echo}/{mode}")

    revoked = [
        {"kind": "revoke_key", "venue": venue, "count": None} for venue in ("coinbase", "oanda", "alpha_vantage")
    ]
    # Patience for a moment only: what a venue says is said at once.
    clients.Limits = lambda: FAST  # type: ignore[assignment, misc]
    cases: dict[str, tuple[dict[str, str], list[dict[str, Any]], Callable[[], Any] | None]] = {
        "model": ({}, [], None),
        "crash": ({}, [], lambda: patch.object(ordering, "plan_order", crash)),
        "plain": ({}, [], None),
        "401": ({}, revoked, None),
        "403": (at("403"), [], None),
        "500": (at("500"), [], None),
        "no json": (at("text"), [], None),
        "refused": (pointed(ready["env"], "http://127.0.0.1:9"), [], None),
        "timeout": (at("hang"), [], None),
        "ledger refuses": (at("500"), [], lambda: patch.object(Ledger, "record_incident", refuse)),
        "ledger away": ({"FFE_LEDGER_URL": os.environ["DRILL_LEDGER_URL"]}, [], None),
    }
    for name, (changes, faults, patched) in cases.items():
        fault(*faults)
        started = time.monotonic()
        with environment(changes), contextlib.nullcontext() if patched is None else patched():
            state = cycle(folder, broken=name == "model")
        print(json.dumps({"case": name, "state": state, "seconds": round(time.monotonic() - started, 1)}), flush=True)
    deliver()


def pointed(env: dict[str, str], base: str) -> dict[str, str]:
    """Every venue at that address, whose time nobody can ask."""
    return {name: base for name in env if name.endswith("BASE_URL")} | {"FFE_CLOCK": "2018-04-04T15:30:10Z"}


@contextmanager
def environment(changes: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def cycle(folder: Path, *, broken: bool) -> str:
    """Name of the state in which it ended, or of what kept it from beginning."""
    try:
        settings = with_venues(load_settings(data_dir=folder, instruments=tuple(PAIR)))
        engine = Engine.open(settings)
    except Exception as error:
        logging.getLogger("drill").exception("the engine could not be opened")
        record("drill", "trading-cycle", error)
        return type(error).__name__
    engine._models[None] = Leaky(broken=broken)  # type: ignore[assignment]
    runtime.use(engine)
    try:
        return str(asyncio.run(run()).name)
    finally:
        runtime.use(None)
        engine.close()


async def run() -> Any:
    return await trading_cycle(PAIR, "5m", return_state=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
