"""A paper account on a market of one instrument; as a script, a process of its own that trades there, or dies inside a change."""

import os
import signal
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from ffe.clock import FixedClock
from ffe.market.models import Instrument, parse_instrument
from ffe.orders.models import Side
from ffe.settings import PaperSettings
from ffe.venues.models import InstrumentSpec, OrderRequest, Quote
from ffe.venues.paper import PaperBroker
from ffe.venues.paper_book import PaperBook

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EUR, BTC = parse_instrument("EURUSD"), parse_instrument("BTCUSD")
FEES = {"oanda": Decimal(0), "coinbase": Decimal("0.006")}


class OneMarket:
    """One instrument around a price that can be set; ten ticks wide."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.tick = Decimal("0.00001") if venue == "oanda" else Decimal("0.01")
        self.bid = Decimal("1.10000") if venue == "oanda" else Decimal("60000.00")

    def spec(self, instrument: Instrument) -> InstrumentSpec:
        spot = self.venue == "coinbase"
        return InstrumentSpec(
            instrument=instrument.symbol,
            venue=self.venue,
            price_increment=self.tick,
            size_increment=Decimal("0.0001") if spot else Decimal(1),
            min_size=Decimal("0.0001") if spot else Decimal(1),
            max_size=None,
            min_notional=None,
            max_notional=None,
            margin_rate=None if spot else Decimal("0.0333"),
            taker_fee_rate=FEES[self.venue],
            pip=self.tick,
            tradeable=True,
            status="online",
            fetched_at=NOW,
        )

    def quote(self, instrument: Instrument) -> Quote:
        ask = self.bid + 10 * self.tick
        return Quote(instrument=instrument.symbol, bid=self.bid, ask=ask, time=NOW, tradeable=True, status="open")

    def close(self) -> None:
        """Nothing is open."""


def open_broker(venue: str, folder: Path, balance: str = "10000") -> tuple[OneMarket, PaperBroker, Instrument]:
    market, settings = OneMarket(venue), PaperSettings(balance=Decimal(balance))
    book = PaperBook(folder / "paper.sqlite", f"paper-{venue}", settings.balance)
    return market, PaperBroker(market, book, FixedClock(NOW), settings), EUR if venue == "oanda" else BTC


def request(name: str, instrument: Instrument, side: Side, size: int, **changes: Any) -> OrderRequest:
    units = Decimal(size) * (1000 if instrument is EUR else Decimal("0.001"))
    return OrderRequest(client_order_id=name, instrument=instrument.symbol, side=side, units=units, **changes)


def trade(venue: str, folder: Path, worker: str, count: int) -> None:
    """`count` orders of its own, each followed by one that every worker sends."""
    _, broker, instrument = open_broker(venue, folder)
    for number in range(count):
        broker.submit(request(f"{worker}-{number}", instrument, Side.BUY, 1), "any")
        broker.submit(request("shared", instrument, Side.BUY, 1), "any")


def die_inside(folder: Path) -> None:
    broker = open_broker("coinbase", folder)[1]
    with broker._book.transaction(NOW) as page:
        page.account.move({"USD": Decimal(-5000)})
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "die":
        die_inside(Path(sys.argv[2]))
    else:
        trade(sys.argv[2], Path(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
