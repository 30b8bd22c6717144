"""OANDA candles from the market's bars: granularities, sides, counts, ranges and New York alignment.

Up to one hour, buckets are aligned to UTC. From two hours to a day they follow `dailyAlignment` (an hour of the day, default 17) in
`alignmentTimezone` (default New York), so they are grouped from hours. A period without ticks has no candle; the last one may be forming.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ffe.clock import parse_time
from ffe.money import plain, round_nearest
from simulator.book import Book
from simulator.instruments import ForexPair
from simulator.market import Ohlc, SimBar
from simulator.oanda_log import stamp
from simulator.web import Call, Json, RefusalError

SECONDS = {"M1": 60, "M2": 120, "M4": 240, "M5": 300, "M10": 600, "M15": 900, "M30": 1800, "H1": 3600}
HOURS = {"H2": 2, "H3": 3, "H4": 4, "H6": 6, "H8": 8, "H12": 12, "D": 24}
MAX_COUNT = 5000
# Longer than any holiday closure, so that a count reaches back over it.
CLOSURE = timedelta(days=4)


@dataclass(frozen=True)
class Wanted:
    granularity: str
    sides: str
    start: datetime | None
    end: datetime
    count: int
    zone: ZoneInfo
    daily_hour: int
    whole_range: bool

    @property
    def seconds(self) -> int:
        return SECONDS.get(self.granularity) or HOURS[self.granularity] * 3600


def candles(book: Book, pair: ForexPair, call: Call) -> Json:
    """The reply of GET instruments/{name}/candles. Raises RefusalError 400 as the venue does."""
    now = book.clock.now()
    wanted = _wanted(call, now)
    bars = _newest(book, pair, wanted) if wanted.start is None else _range(book, pair, wanted, wanted.start)
    return {
        "instrument": pair.name,
        "granularity": wanted.granularity,
        "candles": [_candle(bar, pair, wanted, now) for bar in bars],
    }


def bad(message: str) -> RefusalError:
    return RefusalError(400, {"errorMessage": message})


def _wanted(call: Call, now: datetime) -> Wanted:
    granularity = call.one("granularity", "S5") or ""
    if granularity not in SECONDS and granularity not in HOURS:
        raise bad("Invalid value specified for 'granularity'")
    sides = call.one("price", "M") or ""
    if not sides or set(sides) - set("MBA"):
        raise bad("Invalid value specified for 'price'")
    start, end = (_moment(call.one(name), name) for name in ("from", "to"))
    if start is not None and end is not None and "count" in call.query:
        raise bad("'count' cannot be specified when 'from' and 'to' are both specified")
    for name, moment in (("from", start), ("to", end)):
        if moment is not None and moment > now:
            raise bad(f"Invalid value specified for '{name}'. Time is in the future")
    whole_range = start is not None and end is not None
    count = MAX_COUNT if whole_range else integer(call, "count", 500)
    if not 1 <= count <= MAX_COUNT:
        raise bad("Maximum value for 'count' exceeded" if count > MAX_COUNT else "Invalid value specified for 'count'")
    hour = integer(call, "dailyAlignment", 17)
    return Wanted(granularity, sides, start, end or now, count, _zone(call), hour, whole_range)


def _moment(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromtimestamp(float(text), UTC) if text.replace(".", "").isdigit() else parse_time(text)
    except (ValueError, OverflowError, OSError):
        raise bad(f"Invalid value specified for '{name}'") from None


def integer(call: Call, name: str, default: int) -> int:
    """A whole number of the query. Raises RefusalError 400 naming it."""
    text = call.one(name)
    if text is None:
        return default
    if not text.isdigit():
        raise bad(f"Invalid value specified for '{name}'")
    return int(text)


def _zone(call: Call) -> ZoneInfo:
    try:
        return ZoneInfo(call.one("alignmentTimezone") or "America/New_York")
    except (ZoneInfoNotFoundError, ValueError):
        raise bad("Invalid value specified for 'alignmentTimezone'") from None


def _newest(book: Book, pair: ForexPair, wanted: Wanted) -> list[SimBar]:
    """The newest `count` before `end`; looks further back while closures leave too few."""
    span = timedelta(seconds=wanted.seconds * wanted.count)
    found: list[SimBar] = []
    for reach in (span, span * 2 + CLOSURE, span * 4 + 2 * CLOSURE):
        found = _range(book, pair, wanted, wanted.end - reach, limit=False)
        if len(found) > wanted.count:
            break
    return found[-wanted.count :]


def _range(book: Book, pair: ForexPair, wanted: Wanted, start: datetime, *, limit: bool = True) -> list[SimBar]:
    """Buckets that open in [start, end), oldest first; with `limit` the first `count` of them."""
    now = book.clock.now()
    if wanted.granularity in SECONDS:
        whole = min(_ceil(wanted.end, wanted.seconds), now)
        bars = book.market.bars(pair.symbol, wanted.seconds, start, whole)
    else:
        reach = timedelta(seconds=wanted.seconds)
        hours = book.market.bars(pair.symbol, 3600, start - reach, min(wanted.end + reach, now))
        bars = _grouped(hours, wanted)
    kept = [bar for bar in bars if start <= bar.time < wanted.end]
    if limit and wanted.whole_range and len(kept) > MAX_COUNT:
        raise bad("Maximum value for 'count' exceeded")
    return kept[: wanted.count] if limit else kept


def _ceil(moment: datetime, seconds: int) -> datetime:
    return datetime.fromtimestamp(-(-moment.timestamp() // seconds) * seconds, UTC)


def _grouped(hours: Sequence[SimBar], wanted: Wanted) -> list[SimBar]:
    groups: dict[datetime, list[SimBar]] = {}
    for bar in hours:
        groups.setdefault(_opening(bar.time, wanted), []).append(bar)
    return [_joined(opened, bars) for opened, bars in groups.items()]


def _opening(moment: datetime, wanted: Wanted) -> datetime:
    """Open of the aligned bucket: whole steps of local time after the day's alignment hour."""
    local = moment.astimezone(wanted.zone)
    anchor = local.replace(hour=wanted.daily_hour % 24, minute=0)
    if anchor > local:
        anchor -= timedelta(days=1)
    passed = local.replace(tzinfo=None) - anchor.replace(tzinfo=None)
    step = timedelta(hours=HOURS[wanted.granularity])
    return (anchor + passed // step * step).astimezone(UTC)


def _joined(opened: datetime, bars: list[SimBar]) -> SimBar:
    def side(name: str) -> Ohlc:
        parts: list[Ohlc] = [getattr(bar, name) for bar in bars]
        high, low = max(part.high for part in parts), min(part.low for part in parts)
        return Ohlc(parts[0].open, high, low, parts[-1].close)

    volume = sum((bar.volume for bar in bars), Decimal(0))
    return SimBar(opened, side("trade"), side("bid"), side("ask"), volume, side("mid"))


def _candle(bar: SimBar, pair: ForexPair, wanted: Wanted, now: datetime) -> Json:
    closes = bar.time + timedelta(seconds=wanted.seconds)
    # OANDA's volume is a count of ticks: a whole number, at least one where there is a candle.
    document: Json = {"complete": closes <= now, "volume": max(1, int(bar.volume)), "time": stamp(bar.time)}
    sides = {"M": ("mid", bar.mid), "B": ("bid", bar.bid), "A": ("ask", bar.ask)}
    for letter in wanted.sides:
        name, ohlc = sides[letter]
        document[name] = {
            key[0]: plain(round_nearest(getattr(ohlc, key), pair.tick)) for key in ("open", "high", "low", "close")
        }
    return document
