"""Which fault does what to a read of bars, source by source: the table that the failover drill plays, complete for the simulator's kinds.

A source that is down is passed over. A source that answers wrongly is not down: its batch is held by the data gate, and nobody asks another
source until it answers rightly, since two feeds that disagree are no reason to trade on one of them.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

CRYPTO, FOREX, SECOND = "coinbase", "oanda", "alpha-vantage"
# What the simulator's routes call them.
VENUES = {CRYPTO: "coinbase", FOREX: "oanda", SECOND: "alpha_vantage"}
SYMBOLS = {CRYPTO: "BTCUSD", FOREX: "EURUSD"}


class Effect(StrEnum):
    """What becomes of a source's answer: bars as always, bars with a warning, a batch that the data gate holds, or no bars at all."""

    SERVED = "served"
    WARNED = "warned"
    HELD = "held"
    FAILED = "failed"


@dataclass(frozen=True)
class Case:
    """One entry of a faults file without its route; `{symbol}` stands for the instrument. Effects in the order of the sources above."""

    kind: str
    coinbase: Effect
    oanda: Effect
    alpha_vantage: Effect
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "-".join(
            [self.kind, *(str(value) for key, value in self.options.items() if key in {"status", "body", "field"})]
        )

    def effect(self, source: str) -> Effect:
        found: Effect = getattr(self, VENUES[source])
        return found

    def entry(self, source: str, symbol: str) -> dict[str, Any]:
        """On every read of bars at `source`, as often as it is asked; a price that jumps does so once."""
        options = {name: symbol if value == "{symbol}" else value for name, value in self.options.items()}
        often = {} if self.kind == "price_jump" else {"count": None}
        return {"kind": self.kind, "route": f"{VENUES[source]}.candles", **often, **options}


S, W, H, F = Effect
LONG = {"seconds": 20}
WINDOW = {"from": "2026-11-19T00:00:00Z", "until": "2026-11-20T00:00:00Z"}
NAMED = {"instrument": "{symbol}"}


def _all(kind: str, effect: Effect, **options: Any) -> Case:
    return Case(kind, effect, effect, effect, options)


CASES = (
    # No answer, or none in time.
    _all("delay", F, **LONG),
    _all("lost_reply", F, **LONG),
    _all("stall", F, **LONG),
    _all("drip", F, bytes_per_second=20),
    _all("slow_header", F, bytes_per_second=20),
    _all("reset", F),
    _all("close", F),
    _all("bad_status_line", F),
    _all("truncated", F),
    # An answer that holds no bars.
    _all("rate_limit", F),
    _all("server_error", F, status=500),
    _all("server_error", F, status=503, body="html"),
    _all("maintenance", F, **WINDOW),
    _all("html", F),
    _all("empty", F),
    _all("empty", F, status=200),
    _all("revoke_key", F),
    _all("forbidden", F),
    Case("clock_offset", F, S, S, {"seconds": 3600}),
    # Bars that are not what they should be. What is no number never becomes one.
    _all("nan_bars", F),
    _all("stale_bars", H),
    # OANDA's has the two sides of one old bar exchanged: a flaw that real feeds have, and its mid prices stay right.
    Case("crossed_bars", H, W, H),
    # Alpha Vantage's reply is an object by time: it holds nothing twice, and has no order to be out of.
    Case("duplicate_bars", H, H, S),
    Case("unordered_bars", H, H, S),
    # A hole in the past; none of its bars is filled in.
    _all("missing_bars", W, bars=3),
    # A bar that nobody can have seen yet: the times of the others can't be trusted either.
    _all("future_bars", F),
    # Replies that say more, or something else, than was asked.
    _all("extra_field", S),
    # Of all that a reply of bars says by name, only a time zone decides what a bar is.
    Case("unknown_enum", S, S, F),
    Case("unknown_enum", S, S, S, {"field": "granularity"}),
    # Nothing that concerns a read.
    _all("ok_for_created", S),
    _all("halt", S, **NAMED),
    _all("thin_book", S, **NAMED, units="1"),
    _all("order_cancelled", S, reason="MARKET_HALTED"),
    _all("async_reject", S),
    _all("price_jump", S, **NAMED, percent="1"),
)
