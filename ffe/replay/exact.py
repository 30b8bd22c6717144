"""The exact replay: the live engine's own planning, rules and paper desks on recorded bars, in Decimal, without Prefect or a ledger.

It steps only where something can happen: while something is held, where an order is wanted, and at the moment after an order, whose
result is marked then. Order of a moment: what the bars met that close now, a look at the quotes after them, marks and the kill
switch, decisions with their orders, profit.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from ffe.decision.models import Action, Author
from ffe.errors import ConfigurationError
from ffe.money import from_float
from ffe.replay.exact_account import Account
from ffe.replay.exact_orders import Moment, Orders, wish
from ffe.replay.exact_protection import protect_during
from ffe.replay.exact_switch import Switch, watched
from ffe.replay.exact_timeline import Timeline, held_by, timeline
from ffe.replay.journal import ANSWERED, GATE_CODES, Decided, Journal
from ffe.replay.market import Market, Tape, check_currencies
from ffe.replay.models import GATE_AUTHORS, TRADE_SCHEMA, ExitReason, Feed, Fills, Floats, Gate, Plan, Result, Signals
from ffe.venues.paper_models import Prices

ENGINE = "exact"


def run(feeds: Sequence[Feed], signals: Sequence[Signals], plan: Plan, journal: Journal | None = None) -> Result:
    """Replays `signals` on `feeds`, which are in the same order; `journal` is filled with every decision and fill.

    Raises:
        ConfigurationError: signals that don't fit the bars, bars twice or of several timeframes, a lag as long as a bar, or a pair whose
            currency can't be converted to USD.
    """
    started = perf_counter()
    _check(feeds, plan)
    line = timeline(feeds, signals)
    if not line.times.size:
        raise ConfigurationError("there are no bars to replay")
    replay = _Replay(feeds, signals, plan, line)
    replay.play()
    if journal is not None:
        replay.tell(journal)
    return replay.result(perf_counter() - started)


def _check(feeds: Sequence[Feed], plan: Plan) -> None:
    if not feeds:
        raise ConfigurationError("there are no bars to replay")
    names = [feed.bars.instrument.symbol for feed in feeds]
    frames = sorted({feed.bars.timeframe.value for feed in feeds})
    if len(set(names)) < len(names) or len(frames) > 1:
        raise ConfigurationError(f"replay takes each instrument once, in one timeframe: {', '.join(names)} in {frames}")
    if not 0 <= plan.lag_seconds < feeds[0].bars.timeframe.seconds:
        raise ConfigurationError(f"a lag of {plan.lag_seconds} s is not shorter than a bar of {frames[0]}")
    check_currencies([feed.bars.instrument for feed in feeds])


class _Replay:
    """All accounts on their way through the timeline."""

    def __init__(self, feeds: Sequence[Feed], signals: Sequence[Signals], plan: Plan, line: Timeline) -> None:
        self._feeds, self._signals, self._plan, self._line = feeds, signals, plan, line
        self._tapes = [Tape(feed, index) for index, feed in enumerate(feeds)]
        capital, slippage = from_float(plan.capital), from_float(plan.slippage_bps)
        venues = sorted({tape.instrument.venue for tape in self._tapes})
        self._accounts = {
            venue: Account(
                Market(venue, [tape for tape in self._tapes if tape.instrument.venue == venue]), capital, slippage
            )
            for venue in venues
        }
        self._switch = Switch(plan.resume_after_days)
        self._orders = Orders(plan, self._switch)
        self._lag = timedelta(seconds=plan.lag_seconds)
        self._placed = [0] * len(feeds)
        self._held = [held_by(feed, signal) for feed, signal in zip(feeds, signals, strict=True)]
        self._denied: list[Counter[str]] = [Counter() for _ in feeds]
        self._decided: dict[tuple[int, str], Decided] = {}
        self._marked: dict[tuple[int, str], Any] = {}
        self._seen: list[int] = []
        self._profits: list[list[float]] = []
        self._values: list[list[float]] = []

    def play(self) -> None:
        index: int | None = 0
        while index is not None and index < self._line.times.size:
            ordered = self._step(index)
            busy = ordered or any(account.trips for account in self._accounts.values())
            index = index + 1 if busy else self._line.next_wanted(index)

    def _step(self, index: int) -> bool:
        """One moment; whether an order filled, so that the next moment has something new to mark."""
        close = int(self._line.times[index])
        at = datetime.fromtimestamp(close, UTC)
        moment = Moment(close, at + self._lag)
        rows, closing = self._line.rows[index].tolist(), self._line.closes[index].tolist()
        for tape, row in zip(self._tapes, rows, strict=True):
            tape.row = row
        if self._switch.resumed(moment.now):
            for account in self._accounts.values():
                account.marks.clear()
        if self._plan.fills is Fills.INTRABAR:
            for tape, closes in zip(self._tapes, closing, strict=True):
                if closes:
                    protect_during(self._accounts[tape.instrument.venue], tape, at, close)
        profits: dict[str, Decimal] = {}
        prices = {venue: self._look(account, moment, profits) for venue, account in self._accounts.items()}
        wanted = [tape for tape, closes in zip(self._tapes, closing, strict=True) if closes and self._asked(tape)]
        filled = sum([self._decide(tape, moment) for tape in self._ranked(wanted)])
        if filled:
            prices = {venue: account.prices(moment.now) for venue, account in self._accounts.items()}
            for venue, account in self._accounts.items():
                profits |= account.profits(prices[venue])
        self._record(index, prices, profits)
        return filled > 0

    def _asked(self, tape: Tape) -> bool:
        return bool(self._line.asked[tape.index][tape.row])

    def _ranked(self, tapes: list[Tape]) -> list[Tape]:
        return sorted(tapes, key=lambda tape: wish(tape, self._signals[tape.index]).rank)

    def _look(self, account: Account, moment: Moment, profits: dict[str, Decimal]) -> Prices:
        """Looks, marks and may trip the switch; `profits` gets those of the account's instruments."""
        prices = account.prices(moment.now)
        account.look(prices, moment.close)
        account.guard(prices)
        found = account.profits(prices)
        profits |= found
        equity = sum(found.values(), account.capital)
        account.marks.add(equity, moment.now)
        self._switch.trip(watched(equity, account.marks, moment.now, self._plan.risk), moment.close, moment.now)
        self._marked[(moment.close, account.venue)] = equity
        return prices

    def _decide(self, tape: Tape, moment: Moment) -> int:
        """Orders that filled."""
        account = self._accounts[tape.instrument.venue]
        decided, filled = self._orders.carry_out(wish(tape, self._signals[tape.index]), account, moment)
        self._decided[(moment.close, tape.symbol)] = decided
        self._placed[tape.index] += filled
        author = decided.author if decided.refused is None else Author.RISK_GATE
        if decided.plan is None or decided.refused is not None:
            code = decided.code if decided.refused is None else f"desk:{decided.refused}"
            self._denied[tape.index][str(code)] += 1
            self._held[tape.index][author.value] += filled == 0
        return filled

    def _record(self, index: int, prices: dict[str, Prices], profits: dict[str, Decimal]) -> None:
        values = []
        for tape in self._tapes:
            account = self._accounts[tape.instrument.venue]
            values.append(float(account.value(tape.symbol, prices[account.venue])))
        self._seen.append(index)
        self._profits.append([float(profits[tape.symbol]) for tape in self._tapes])
        self._values.append(values)

    def result(self, seconds: float) -> Result:
        return Result(
            engine=ENGINE,
            instruments=tuple(tape.symbol for tape in self._tapes),
            times=self._line.times,
            pnl=self._spread(self._profits),
            notional=self._spread(self._values),
            trades=self._trades(),
            holds=tuple(dict(+counts) for counts in self._held),
            orders=tuple(self._placed),
            denials=tuple(dict(counts) for counts in self._denied),
            halted_at=self._switch.halted_at,
            capital=self._plan.capital,
            bars=sum(len(feed.bars) for feed in self._feeds),
            seconds=seconds,
        )

    def _spread(self, values: list[list[float]]) -> Floats:
        """Over all moments: what was not stepped stands as it stood."""
        places = np.searchsorted(np.asarray(self._seen), np.arange(self._line.times.size), side="right") - 1
        return np.asarray(values, dtype=np.float64)[places]

    def _trades(self) -> pa.Table:
        ended = sorted(
            (row for account in self._accounts.values() for row in account.rows),
            key=lambda each: (each[0], each[1], each[2]["entry_time"]),
        )
        rows = [row for _, _, row in ended] + [row for tape in self._tapes for row in self._open(tape)]
        return pa.Table.from_pylist(rows, schema=TRADE_SCHEMA)

    def _open(self, tape: Tape) -> list[dict[str, Any]]:
        account = self._accounts[tape.instrument.venue]
        trip, last = account.trips.get(tape.symbol), int(self._line.times[-1])
        if trip is None:
            return []
        prices = account.prices(datetime.fromtimestamp(last, UTC) + self._lag)
        quote, units = prices.sheets[tape.symbol].quote, trip.holding.units
        worth = account.worth(tape.symbol, prices)
        row = trip.row(ExitReason.OPEN, last, len(tape.feed.bars) - 1, quote.bid if units > 0 else quote.ask)
        return [row | {"pnl": float(trip.gained + worth)}]

    def tell(self, journal: Journal) -> None:
        """Everything decided, at every bar, and every fill."""
        for tape, feed, signal in zip(self._tapes, self._feeds, self._signals, strict=True):
            for row, close in enumerate(feed.bars.closes_at.tolist()):
                decided = self._decided.get((close, tape.symbol)) or _without_order(feed, signal, row)
                if decided is not None:
                    journal.decisions[(close, tape.symbol)] = decided
        fills = [fill for account in self._accounts.values() for fill in account.fills]
        journal.fills.extend(sorted(fills, key=lambda fill: fill.moment))
        journal.equity.update(self._marked)


def _without_order(feed: Feed, signal: Signals, row: int) -> Decided | None:
    """The HOLD of a bar at which no order was thought of; None where nobody was asked."""
    gate = Gate(int(feed.gates[row]))
    if gate is not Gate.PASSED:
        return Decided(Action.HOLD, GATE_AUTHORS[gate], GATE_CODES[gate])
    author = 0 if signal.authors is None else int(signal.authors[row])
    if author == 0:
        return Decided(Action.HOLD, Author.MODEL, ANSWERED)
    return Decided(Action.HOLD, Author.FALLBACK, None) if author == 1 else None
