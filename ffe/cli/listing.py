"""`ffe balance`, `positions`, `orders`, `decisions`: what the venue and the ledger say."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ffe.cli.options import JsonOption, ModeOption, settings_from, with_venues
from ffe.cli.surroundings import Surroundings
from ffe.cli.tables import print_rows
from ffe.cycle.engine import Engine
from ffe.errors import VenueError
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import Position
from ffe.money import ZERO, plain
from ffe.observe.masking import masked
from ffe.settings import Settings
from ffe.venues.models import VenuePosition
from ffe.venues.protocol import Broker

LimitOption = Annotated[int, typer.Option("--limit", min=1, help="At most this many, newest first.")]


def balance(mode: ModeOption = None, as_json: JsonOption = False) -> None:
    """What each venue says is there, less what the ledger has reserved."""
    with venues(settings_from(mode=mode)) as engine:
        rows, failed = _of_each(engine, _balances)
    columns = ("venue", "account", "currency", "available", "hold", "reserved", "equity", "source")
    _show("balances", rows, columns, as_json=as_json)
    _end(failed)


def positions(mode: ModeOption = None, as_json: JsonOption = False) -> None:
    """Open positions: units at the venue beside units in the ledger, ours and those from elsewhere."""
    with venues(settings_from(mode=mode)) as engine:
        rows, failed = _of_each(engine, _positions)
    columns = (
        "venue",
        "account",
        "instrument",
        "venue_units",
        "ledger_units",
        "external_units",
        "average_price",
        "protection",
        "agree",
    )
    _show("positions", rows, columns, as_json=as_json)
    _end(failed)


def orders(limit: LimitOption = 50, as_json: JsonOption = False) -> None:
    """Orders of the ledger, newest first."""
    rows = _from_ledger(lambda ledger: ledger.orders(limit))
    columns = (
        "created_at",
        "instrument",
        "leg",
        "side",
        "units",
        "state",
        "filled_units",
        "average_price",
        "reason",
        "client_order_id",
    )
    _show("orders", rows, columns, as_json=as_json)


def decisions(limit: LimitOption = 50, as_json: JsonOption = False) -> None:
    """Decisions of the ledger, newest first, with their authors."""
    rows = _from_ledger(lambda ledger: ledger.decisions(limit))
    columns = ("decided_at", "instrument", "timeframe", "action", "confidence", "decided_by", "reason_code", "id")
    _show("decisions", rows, columns, as_json=as_json)


@contextmanager
def venues(settings: Settings) -> Iterator[Engine]:
    """An engine whose venues answer; in `sim` mode the simulator is started for as long as it takes."""
    with Surroundings(settings) as around:
        around.start_simulator()
        around.await_simulator()
        engine = Engine.open(with_venues(settings))
        try:
            yield engine
        finally:
            engine.close()


def _of_each(
    engine: Engine, read: Callable[[Engine, str], list[dict[str, Any]]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of every venue that answers, and what went wrong at the others."""
    rows: list[dict[str, Any]] = []
    failed = []
    for venue in engine.settings.venues:
        try:
            rows += read(engine, venue)
        except VenueError as error:
            failed.append(f"{venue}: {masked(str(error))}")
    return rows, failed


def _end(failed: Sequence[str]) -> None:
    for line in failed:
        print(f"ffe: {line}", file=sys.stderr)
    if failed:
        raise typer.Exit(3)


def _balances(engine: Engine, venue: str) -> list[dict[str, Any]]:
    state = engine.broker(venue).account_state(engine.settings.instruments_at(venue))
    rows = []
    for item in state.balances:
        reserved = engine.ledger.reserved(venue, state.account, item.currency)
        rows.append(
            {
                "venue": venue,
                "account": state.account,
                "currency": item.currency,
                "available": plain(item.available),
                "hold": plain(item.hold),
                "reserved": plain(reserved),
                "equity": plain(state.equity) if item.currency == state.currency else None,
                "source": state.source,
            }
        )
    return rows


def _positions(engine: Engine, venue: str) -> list[dict[str, Any]]:
    broker = engine.broker(venue)
    booked = {p.instrument: p for p in engine.ledger.positions() if (p.venue, p.account) == (venue, broker.account)}
    held = {p.instrument: p for p in broker.positions()}
    symbols = sorted(held.keys() | booked.keys())
    found = [_position(broker, symbol, held.get(symbol), booked.get(symbol)) for symbol in symbols]
    return [row for row in found if row is not None]


def _position(broker: Broker, symbol: str, there: VenuePosition | None, here: Position | None) -> dict[str, Any] | None:
    """None where neither holds anything."""
    units = ZERO if there is None else there.units
    ours, external = (ZERO, ZERO) if here is None else (here.units, here.external)
    if units == ours == external == 0:
        return None
    average = None if here is None else here.average_price
    return {
        "venue": broker.venue,
        "account": broker.account,
        "instrument": symbol,
        "venue_units": plain(units),
        "ledger_units": plain(ours),
        "external_units": plain(external),
        "average_price": None if average is None else plain(average),
        "protection": [] if there is None else list(there.protection),
        "agree": units == ours + external,
    }


def _from_ledger(read: Callable[[Ledger], Sequence[Any]]) -> list[dict[str, Any]]:
    settings = settings_from()
    ledger = Ledger.open(settings.resolved_ledger_url)
    try:
        return [row.model_dump(mode="json") for row in read(ledger)]
    finally:
        ledger.close()


def _show(title: str, rows: list[dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows))
    else:
        print_rows(title, rows, columns)
