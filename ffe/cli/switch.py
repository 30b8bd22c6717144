"""`ffe halt`, `ffe resume`, `ffe flatten`: the kill switch, kept in the ledger and read by every submission."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import uuid4

import typer

from ffe.cli.listing import venues
from ffe.cli.options import JsonOption, ModeOption, settings_from
from ffe.cli.tables import console, print_rows
from ffe.clock import SystemClock
from ffe.cycle import incidents
from ffe.cycle.engine import Engine
from ffe.errors import ConfigurationError, RefusedError, VenueError
from ffe.ledger.ledger import Ledger
from ffe.money import ZERO, plain
from ffe.observe.masking import masked
from ffe.orders.flatten import flatten as flatten_venue
from ffe.orders.models import Order
from ffe.orders.switch import KillSwitch, SwitchState
from ffe.venues.models import VenuePosition

ReasonOption = Annotated[str, typer.Option("--reason", help="Kept with the switch, and shown by every HOLD it causes.")]


def halt(
    reason: ReasonOption,
    reduce_only: Annotated[
        bool, typer.Option("--reduce-only", help="Go on deciding, and let decisions close positions.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """No new exposure until `ffe resume`. Stops and targets stay at the venue. Never loosens what is set already."""
    _set(SwitchState.REDUCE_ONLY if reduce_only else SwitchState.HALT, reason, as_json=as_json)


def switch(as_json: JsonOption = False) -> None:
    """Where the kill switch stands."""
    with _ledger() as ledger:
        _say(ledger.switch(), as_json=as_json)


def resume(reason: ReasonOption = "resumed", as_json: JsonOption = False) -> None:
    """Back to normal. Daily loss and drawdown count anew from here."""
    _set(SwitchState.NORMAL, reason, as_json=as_json)


def _set(state: SwitchState, reason: str, *, as_json: bool) -> None:
    if not reason.strip():
        raise ConfigurationError("--reason is empty: whoever reads it later has to know why")
    with _ledger() as ledger:
        standing, order = ledger.switch(), list(SwitchState)
        if state is not SwitchState.NORMAL and order.index(state) < order.index(standing.state):
            raise RefusedError(f"the kill switch is at {standing.state}, which stops more; `ffe resume` first")
        _say(ledger.set_switch(state, reason, "person", SystemClock().now()), as_json=as_json)


@contextmanager
def _ledger() -> Iterator[Ledger]:
    ledger = Ledger.open(settings_from().resolved_ledger_url)
    try:
        yield ledger
    finally:
        ledger.close()


def _say(standing: KillSwitch, *, as_json: bool) -> None:
    if as_json:
        print(standing.model_dump_json())
    else:
        console().print(f"kill switch: {standing}", soft_wrap=True)


def flatten(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ours: Annotated[bool, typer.Option("--ours", help="Leave alone what no order of this engine bought.")] = False,
    reason: ReasonOption = "flattened by hand",
    mode: ModeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Closes everything, cancels what rests, and proves it by asking the venues again. The switch stays at flatten."""
    with venues(settings_from(mode=mode)) as engine:
        if not yes:
            _ask(engine, ours=ours)
        standing = _flatten_switch(engine.ledger, reason)
        results = [_one(engine, venue, standing, ours=ours) for venue in engine.settings.venues]
    if as_json:
        print(json.dumps(results))
    else:
        _show(results, ours=ours)
    if not all(result["flat"] for result in results):
        raise typer.Exit(3)


def _ask(engine: Engine, *, ours: bool) -> None:
    held = [line for venue in engine.settings.venues for line in _to_close(engine, venue, ours=ours)]
    # Not `typer.confirm`: it writes a blank to stdout, where only the JSON document belongs.
    print(f"close {', '.join(held) or 'nothing (all is flat)'}? [y/N]: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise RefusedError("nothing was closed")


def _to_close(engine: Engine, venue: str, *, ours: bool) -> list[str]:
    """A venue that does not answer now may answer in a moment: it is asked about all the same."""
    broker = engine.broker(venue)
    try:
        there = broker.positions()
    except VenueError as error:
        return [f"{venue} (unknown: {masked(str(error))[:80]})"]
    lines = []
    for position in there:
        managed = engine.ledger.position(venue, broker.account, position.instrument).units
        units = min(managed, position.units, key=abs) if managed * position.units > 0 else ZERO
        if not ours or units != 0:
            lines.append(f"{venue} {position.instrument} {plain(units if ours else position.units)}")
    return lines


def _flatten_switch(ledger: Ledger, reason: str) -> KillSwitch:
    """A flatten that is under way is carried on, not begun a second time: its orders have ids of their own moment."""
    standing = ledger.switch()
    if standing.state is SwitchState.FLATTEN:
        return standing
    return ledger.set_switch(SwitchState.FLATTEN, reason, "person", SystemClock().now())


def _one(engine: Engine, venue: str, standing: KillSwitch, *, ours: bool) -> dict[str, Any]:
    names = ("orders", "left", "dust", "working", "pending", "others")
    blank: dict[str, Any] = {"venue": venue, "flat": False, **{name: [] for name in names}, "error": None}
    cycle_id = f"flatten-{uuid4().hex}"
    try:
        done = flatten_venue(
            engine.ledger, engine.broker(venue), engine.clock, standing, cycle_id=cycle_id, only_ours=ours
        )
    except VenueError as error:
        incidents.write(engine, incidents.of_error(error), "ffe flatten", run_id=cycle_id)
        return blank | {"error": masked(f"{type(error).__name__}: {error}")}
    return blank | {
        "flat": done.flat,
        "orders": [_order(order) for order in done.orders],
        "left": [_held(position) for position in done.left],
        "dust": [_held(position) for position in done.dust],
        "working": [order.model_dump(mode="json") for order in done.working],
        "pending": [_order(order) for order in done.pending],
        "others": [_held(position) for position in done.others],
    }


def _held(position: VenuePosition) -> dict[str, str]:
    return {"instrument": position.instrument, "units": plain(position.units)}


def _order(order: Order) -> dict[str, str | None]:
    return {
        "instrument": order.instrument,
        "side": order.side.value,
        "units": plain(order.units),
        "state": order.state.value,
        "filled_units": plain(order.filled_units),
        "reason": order.reason,
        "client_order_id": order.client_order_id,
    }


def _show(results: list[dict[str, Any]], *, ours: bool) -> None:
    out = console()
    flat = "nothing of ours is left, by its own word" if ours else "flat, by its own word"
    for result in results:
        said = flat if result["flat"] else f"NOT flat: {result['error'] or 'see below'}"
        out.print(f"{result['venue']}: {said}", soft_wrap=True)
        orders = ("instrument", "side", "units", "state", "filled_units", "reason")
        for title, name, columns in (
            ("closes", "orders", orders),
            ("still held", "left", ("instrument", "units")),
            ("held by others, left alone", "others", ("instrument", "units")),
            ("too little to be sold", "dust", ("instrument", "units")),
            ("still resting", "working", ("instrument", "kind", "side", "units", "venue_order_id")),
            ("sent, outcome unknown", "pending", orders),
        ):
            if result[name]:
                print_rows(title, result[name], columns)
    out.print("The kill switch stays at flatten: `ffe resume` trades again.")
