"""The account behind the trades: what is ours in it, what it is worth, what it risks, and the steps that keep it true.

Managed units are those that the ledger's own orders made. Whatever else lies in the account (coins held before, a trade by hand) is
external: it is counted, reported and reconciled, and no decision ever sells it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from ffe.cycle.engine import Engine
from ffe.market.models import INSTRUMENTS, AssetClass, Instrument, Timeframe, parse_instrument
from ffe.money import ZERO
from ffe.orders.findings import Reconciliation
from ffe.orders.models import Order
from ffe.orders.protection import check_exits
from ffe.orders.reconcile import catch_up, reconcile
from ffe.orders.switch import KillSwitch, SwitchState
from ffe.risk.models import Verdict
from ffe.risk.portfolio import Held, Portfolio
from ffe.risk.rules import account_verdicts
from ffe.venues.models import AccountState, Quote, VenuePosition
from ffe.venues.protocol import Broker

# seed-behaviours: VaR needs 30 days or it refuses; a few more, because weekends have no bar.
VAR_DAYS = 60
TRADING_HOURS = {AssetClass.CRYPTO: Decimal(365 * 24), AssetClass.FOREX: Decimal(52 * 120)}


def held_there(engine: Engine, instrument: Instrument) -> list[Instrument]:
    """Every instrument of the settings, and whatever is held, in the same account: equity counts all of it.

    A spot account has one quote currency.
    """
    spot = instrument.asset_class is AssetClass.CRYPTO
    others = [
        other
        for other in _held_at(engine, instrument.venue)
        if other != instrument and not (spot and other.quote != instrument.quote)
    ]
    return [instrument, *others]


def _held_at(engine: Engine, venue: str) -> list[Instrument]:
    """The settings' instruments at a venue, and whatever its account holds besides: equity that leaves one out looks like a loss."""
    held = [position for position in engine.ledger.positions() if position.venue == venue]
    names = [position.instrument for position in held if position.units or position.external]
    known = [INSTRUMENTS[name] for name in names if name in INSTRUMENTS]
    return list(dict.fromkeys((*engine.settings.instruments_at(venue), *known)))


def managed(engine: Engine, broker: Broker, instrument: Instrument) -> VenuePosition:
    """What a decision may close: the units that our orders made, as far as the venue still has them, and their own protection.

    Units of somebody else may lie beside them, so a stop of ours that has filled while the model was thinking is booked first.
    """
    ledger, place = engine.ledger, (broker.venue, broker.account, instrument.symbol)
    flat = VenuePosition(instrument=instrument.symbol, units=ZERO, average_price=None)
    if ledger.position(*place).units == 0:
        return flat
    catch_up(ledger, broker, engine.clock)
    ours, there, entry = ledger.position(*place), broker.position(instrument), ledger.open_entry(*place)
    if entry is None or ours.units * there.units <= 0:
        return flat
    units = min(ours.units, there.units, key=abs)
    return flat.model_copy(
        update={"units": units, "average_price": ours.average_price, "protection": entry.protection_ids}
    )


def portfolio_for(engine: Engine, account: AccountState, instrument: Instrument, quote: Quote) -> Portfolio:
    """What the rules look at beside the trade itself. Prices of other holdings are read now: a price that can't be had raises."""
    now, ledger = engine.clock.now(), engine.ledger
    ledger.mark_equity(account.venue, account.account, account.currency, account.equity, now)
    held = [p for p in ledger.positions() if (p.venue, p.account) == (account.venue, account.account) and p.units]
    quotes = {instrument.symbol: quote}
    positions = tuple(_held(engine, account, position.instrument, position.units, quotes) for position in held)
    day_start, peak = equity_baseline(engine, account.venue, account.account, now)
    return Portfolio(
        equity=account.equity,
        currency=account.currency,
        day_start_equity=day_start,
        peak_equity=peak,
        positions=positions,
        trades=tuple(ledger.closed_trades(account.venue, account.account)),
        returns=_daily_returns(engine, [instrument.symbol, *(p.instrument for p in held)]),
        now=now,
    )


def _held(engine: Engine, account: AccountState, symbol: str, units: Decimal, quotes: dict[str, Quote]) -> Held:
    instrument = parse_instrument(symbol)
    broker = engine.broker(account.venue)
    if symbol not in quotes:
        quotes[symbol] = broker.quote(instrument)
    price = quotes[symbol].bid if units > 0 else quotes[symbol].ask
    factor = account.conversions[instrument.quote]
    entry = engine.ledger.open_entry(account.venue, account.account, symbol)
    distance = None if entry is None else _to_stop(entry, price, quotes[symbol])
    return Held(
        instrument=symbol,
        units=units,
        notional=abs(units) * price * factor.position,
        stop_risk=None if distance is None else distance * abs(units) * factor.loss,
        opened_at=None if entry is None else entry.submitted_at,
    )


def _to_stop(entry: Order, price: Decimal, quote: Quote) -> Decimal | None:
    """What one unit loses from here to its stop; a trailing one is never further away than its distance. None without a stop."""
    if entry.trailing_distance is not None:
        return entry.trailing_distance + quote.spread
    return None if entry.stop_loss is None else max(ZERO, (price - entry.stop_loss) * entry.side.sign)


def equity_baseline(engine: Engine, venue: str, account: str, now: datetime) -> tuple[Decimal | None, Decimal | None]:
    """Equity at the start of the UTC day and the peak, both counted since a person last set the kill switch back to normal."""
    marks = engine.ledger.equity_marks(venue, account, datetime.min.replace(tzinfo=now.tzinfo))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    before = [mark for mark in marks if mark.at <= midnight]
    start = before[-1] if before else next(iter(marks), None)
    return None if start is None else start.equity, max((mark.equity for mark in marks), default=None)


def _daily_returns(engine: Engine, symbols: Sequence[str]) -> dict[str, tuple[Decimal, ...]]:
    """Daily returns for VaR, from the venue's own daily bars; nothing is fetched while no VaR limit is set."""
    if engine.settings.risk.max_var is None:
        return {}
    now = engine.clock.now()
    found = {}
    for symbol in dict.fromkeys(symbols):
        instrument = parse_instrument(symbol)
        chain = engine.chain(instrument.asset_class)
        table = chain.fetch(instrument, Timeframe.D1, now - timedelta(days=VAR_DAYS), now).table
        found[symbol] = tuple(later / earlier - 1 for earlier, later in pairwise(table.column("close").to_pylist()))
    return found


def bars_per_year(instrument: Instrument, timeframe: Timeframe) -> Decimal:
    """Bars of a year in which the market is open: crypto always, spot forex 120 hours a week."""
    return TRADING_HOURS[instrument.asset_class] * 3600 / Decimal(timeframe.duration.total_seconds())


def reconcile_venue(engine: Engine, venue: str, cycle_id: str) -> Reconciliation:
    """Brings ledger and venue together, and trips the kill switch when the account has lost too much.

    Raises:
        VenueError: a query failed, so that nothing is known: never taken as flat.
    """
    broker = engine.broker(venue)
    result = reconcile(engine.ledger, broker, engine.clock, cycle_id=cycle_id)
    watch_equity(engine, broker, _held_at(engine, venue))
    return result


def watch_equity(engine: Engine, broker: Broker, instruments: Sequence[Instrument]) -> None:
    account, now = broker.account_state(instruments), engine.clock.now()
    engine.ledger.mark_equity(account.venue, account.account, account.currency, account.equity, now)
    day_start, peak = equity_baseline(engine, account.venue, account.account, now)
    trip(engine, account_verdicts(account.equity, day_start, peak, engine.settings.risk))


def trip(engine: Engine, verdicts: Sequence[Verdict]) -> KillSwitch:
    """Sets the switch to reduce-only for the first verdict that asks for it. A switch that is set already is not loosened."""
    tripping = next((verdict for verdict in verdicts if verdict.trips), None)
    if tripping is None:
        return engine.ledger.switch()
    return engine.ledger.set_switch(SwitchState.REDUCE_ONLY, tripping.reason, tripping.rule, engine.clock.now())


def watch_exits(engine: Engine, venue: str, cycle_id: str) -> list[Order]:
    """Carries out the exits that the venue can't hold and whose price was reached."""
    return check_exits(engine.ledger, engine.broker(venue), engine.clock, cycle_id=cycle_id)
