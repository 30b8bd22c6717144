"""What an OANDA market order asks for, read strictly: the first rule it breaks is the venue's reject reason.

Order of the rules follows the fields of the request; precision counts the decimals that are written, so `1.085000` is too long for five.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ffe.money import ZERO, decimal
from simulator.instruments import ForexPair
from simulator.web import Json

FILLS = ("DEFAULT", "REDUCE_FIRST", "REDUCE_ONLY")


class RejectedError(Exception):
    """`reason` is OANDA's own code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Protection:
    """A stop or target: an absolute price, or a distance from the fill."""

    price: Decimal | None
    distance: Decimal | None
    client: Json | None

    def level(self, fill: Decimal, sign: int) -> Decimal:
        """Absolute level of a stop `distance` away on the losing side of `fill`; `sign` is that of the trade."""
        if self.price is not None:
            return self.price
        return fill - sign * (self.distance or ZERO)


@dataclass(frozen=True)
class MarketOrder:
    pair: ForexPair
    units: Decimal
    time_in_force: str
    position_fill: str
    bound: Decimal | None
    stop: Protection | None
    target: Protection | None
    trailing: Protection | None
    client: Json | None
    trade_client: Json | None
    raw: Json


def market_order(raw: Json, pairs: dict[str, ForexPair]) -> MarketOrder:
    """Raises RejectedError."""
    if "instrument" not in raw:
        raise RejectedError("INSTRUMENT_MISSING")
    pair = pairs.get(str(raw["instrument"]))
    if pair is None:
        raise RejectedError("INSTRUMENT_UNKNOWN")
    return MarketOrder(
        pair=pair,
        units=_units(raw),
        time_in_force=_choice(raw, "timeInForce", ("FOK", "IOC"), "TIME_IN_FORCE_INVALID"),
        position_fill=_choice(raw, "positionFill", FILLS, "ORDER_FILL_POSITION_ACTION_INVALID"),
        bound=price(raw.get("priceBound"), pair, "PRICE_BOUND"),
        stop=protection(raw.get("stopLossOnFill"), pair, "STOP_LOSS", on_fill=True),
        target=protection(raw.get("takeProfitOnFill"), pair, "TAKE_PROFIT", on_fill=True),
        trailing=trailing_stop(raw.get("trailingStopLossOnFill"), pair, on_fill=True),
        client=extensions(raw.get("clientExtensions"), "CLIENT_ORDER_ID_INVALID"),
        trade_client=extensions(raw.get("tradeClientExtensions"), "CLIENT_TRADE_ID_INVALID"),
        raw=raw,
    )


def number(value: Any, reason: str) -> Decimal:
    """A decimal written as text or as a JSON integer. Raises RejectedError(reason)."""
    try:
        return decimal(value)
    except ValueError:
        raise RejectedError(reason) from None


def price(value: Any, pair: ForexPair, field: str) -> Decimal | None:
    """None when absent. Raises RejectedError `<field>_INVALID` or `<field>_PRECISION_EXCEEDED`."""
    if value is None:
        return None
    amount = number(value, f"{field}_INVALID")
    if amount <= 0:
        raise RejectedError(f"{field}_INVALID")
    if _places(amount) > pair.precision:
        raise RejectedError(f"{field}_PRECISION_EXCEEDED")
    return amount


def protection(details: Any, pair: ForexPair, kind: str, *, on_fill: bool = False) -> Protection | None:
    """Stop or target (`kind`) details of an order or a trade. Targets have no distance. Raises RejectedError."""

    def code(name: str) -> str:
        if on_fill:
            return f"{kind}_ON_FILL_{name}"
        if name.startswith("PRICE_AND"):
            return f"{kind}_ORDER_{name}"
        return f"PRICE_{name}" if name.startswith("DISTANCE") else name

    if details is None:
        return None
    if not isinstance(details, dict):
        raise RejectedError(code("PRICE_INVALID"))
    level, distance = details.get("price"), details.get("distance")
    if level is None and (distance is None or kind == "TAKE_PROFIT"):
        raise RejectedError(code("PRICE_MISSING" if kind == "TAKE_PROFIT" else "PRICE_AND_DISTANCE_BOTH_MISSING"))
    if level is not None and distance is not None:
        raise RejectedError(code("PRICE_AND_DISTANCE_BOTH_SPECIFIED"))
    if details.get("timeInForce", "GTC") != "GTC":
        raise RejectedError(code("TIME_IN_FORCE_INVALID"))
    client = extensions(details.get("clientExtensions"), code("CLIENT_ORDER_ID_INVALID"))
    return Protection(price(level, pair, code("PRICE")), price(distance, pair, code("DISTANCE")), client)


def trailing_stop(details: Any, pair: ForexPair, *, on_fill: bool = False) -> Protection | None:
    """Details of a trailing stop: a distance within the instrument's limits, never a price. Raises RejectedError."""
    prefix = "TRAILING_STOP_LOSS_ON_FILL_" if on_fill else ""
    if details is None:
        return None
    if not isinstance(details, dict) or details.get("distance") is None:
        raise RejectedError(f"{prefix}PRICE_DISTANCE_MISSING")
    if details.get("timeInForce", "GTC") != "GTC":
        raise RejectedError(f"{prefix}TIME_IN_FORCE_INVALID")
    distance = price(details["distance"], pair, f"{prefix}PRICE_DISTANCE")
    if distance is not None and distance < pair.min_trailing:
        raise RejectedError(f"{prefix}PRICE_DISTANCE_MINIMUM_NOT_MET")
    if distance is not None and distance > pair.max_trailing:
        raise RejectedError(f"{prefix}PRICE_DISTANCE_MAXIMUM_EXCEEDED")
    return Protection(None, distance, extensions(details.get("clientExtensions"), f"{prefix}CLIENT_ORDER_ID_INVALID"))


def extensions(value: Any, reason: str) -> Json | None:
    """Client extensions: an object whose id is 1 to 128 characters. Raises RejectedError(reason)."""
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
        raise RejectedError(reason)
    if not 1 <= len(value.get("id", "-")) <= 128:
        raise RejectedError(reason)
    return value


def _units(raw: Json) -> Decimal:
    if "units" not in raw:
        raise RejectedError("UNITS_MISSING")
    units = number(raw["units"], "UNITS_INVALID")
    if units == 0:
        raise RejectedError("UNITS_INVALID")
    if units != units.to_integral_value():
        raise RejectedError("UNITS_MIMIMUM_NOT_MET" if abs(units) < 1 else "UNITS_PRECISION_EXCEEDED")
    if abs(units) > ForexPair.max_units:
        raise RejectedError("UNITS_LIMIT_EXCEEDED")
    return units.to_integral_value()


def _choice(raw: Json, field: str, allowed: tuple[str, ...], reason: str) -> str:
    value = str(raw.get(field, allowed[0]))
    if value not in allowed:
        raise RejectedError(reason)
    return value


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
