"""`ffe balance`, `positions`, `orders`, `decisions`, `incidents`: what the venue and the ledger say."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ffe.cli.options import JsonOption, ModeOption, settings_from, with_venues
from ffe.cli.surroundings import Surroundings
from ffe.cli.tables import print_rows
from ffe.cycle.engine import Engine
from ffe.ledger.ledger import Ledger
from ffe.money import plain
from ffe.settings import Settings

LimitOption = Annotated[int, typer.Option("--limit", min=1, help="At most this many, newest first.")]


def balance(mode: ModeOption = None, as_json: JsonOption = False) -> None:
    """What each venue says is there, less what the ledger has reserved."""
    with venues(settings_from(mode=mode)) as engine:
        rows = [row for venue in _venues(engine.settings) for row in _balances(engine, venue)]
    _show(
        "balances",
        rows,
        ("venue", "account", "currency", "available", "hold", "reserved", "equity", "source"),
        as_json=as_json,
    )


def positions(mode: ModeOption = None, as_json: JsonOption = False) -> None:
    """Open positions: units at the venue beside units in the ledger."""
    with venues(settings_from(mode=mode)) as engine:
        rows = _positions(engine)
    columns = ("venue", "account", "instrument", "venue_units", "ledger_units", "average_price", "protection", "agree")
    _show("positions", rows, columns, as_json=as_json)


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


def incidents(limit: LimitOption = 50, as_json: JsonOption = False) -> None:
    """Failures of the ledger, newest first."""
    rows = _from_ledger(lambda ledger: ledger.incidents(limit))
    _show("incidents", rows, ("created_at", "type", "message", "count", "cycle_id", "id"), as_json=as_json)


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


def _venues(settings: Settings) -> list[str]:
    return sorted({instrument.venue for instrument in settings.instruments})


def _balances(engine: Engine, venue: str) -> list[dict[str, Any]]:
    wanted = [instrument for instrument in engine.settings.instruments if instrument.venue == venue]
    state = engine.broker(venue).account_state(wanted)
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


def _positions(engine: Engine) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for venue in _venues(engine.settings):
        broker = engine.broker(venue)
        booked = {
            p.instrument: p for p in engine.ledger.positions() if p.venue == venue and p.account == broker.account
        }
        held = {p.instrument: p for p in broker.positions()}
        for symbol in sorted(held.keys() | booked.keys()):
            there, here = held.get(symbol), booked.get(symbol)
            if (there is None or there.units == 0) and (here is None or here.units == 0):
                continue
            units = "0" if there is None else plain(there.units)
            ours = "0" if here is None else plain(here.units)
            average = None if here is None else here.average_price
            rows.append(
                {
                    "venue": venue,
                    "account": broker.account,
                    "instrument": symbol,
                    "venue_units": units,
                    "ledger_units": ours,
                    "average_price": None if average is None else plain(average),
                    "protection": [] if there is None else list(there.protection),
                    "agree": (there.units if there is not None else 0) == (here.units if here is not None else 0),
                }
            )
    return rows


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
