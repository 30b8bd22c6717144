"""Sizes and prices of sent orders, against the venue's own rules as they were on record when the order was made."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from ffe.ledger.schema import METADATA
from ffe.market.models import INSTRUMENTS
from ffe.money import ZERO, plain
from ffe.observe.reality.case import ORDERS, Case, Check, Finding
from ffe.observe.reality.evidence import DECIDED
from ffe.orders.models import Leg

SPECS = METADATA.tables["instrument_spec"]
PRICES = ("price_bound", "stop_loss", "take_profit", "trailing_distance")
_ORDER = ("client_order_id", "venue", "instrument", "leg", "units", "reference_price", "created_at", *PRICES)

Values = dict[str, Any]
Breaches = Callable[[Values, Values], Iterator[str]]


def sizes(case: Case) -> Finding:
    """At or above the venue's minimum, at or below its maximum, and on its increment; an entry is worth its minimum notional too."""
    return _against_rules(case, _size_breaches, "break the venue's size rules")


def _size_breaches(order: Values, spec: Values) -> Iterator[str]:
    units, name = order["units"], order["instrument"]
    if units < spec["min_size"] or units <= 0:
        yield f"size {plain(units)} is below {name} min_size {plain(spec['min_size'])}"
    if spec["max_size"] is not None and units > spec["max_size"]:
        yield f"size {plain(units)} is above {name} max_size {plain(spec['max_size'])}"
    if units % spec["size_increment"] != 0:
        yield f"size {plain(units)} is no multiple of {name} size_increment {plain(spec['size_increment'])}"
    notional, least = units * order["reference_price"], spec["min_notional"] or ZERO
    if order["leg"] == Leg.ENTRY.value and notional < least:
        yield f"notional {plain(notional)} {INSTRUMENTS[name].quote} is below {name} min_notional {plain(least)}"


def prices(case: Case) -> Finding:
    """Bound, stop, target and trailing distance lie on the venue's price increment."""
    return _against_rules(case, _price_breaches, "have prices off the venue's increment")


def _price_breaches(order: Values, spec: Values) -> Iterator[str]:
    step: Decimal = spec["price_increment"]
    for field in PRICES:
        price = order[field]
        if price is not None and (price <= 0 or price % step != 0):
            yield f"{field} {plain(price)} is no multiple of {order['instrument']} price_increment {plain(step)}"


def _against_rules(case: Case, breaches: Breaches, rule: str) -> Finding:
    """A close may come before anybody has recorded the venue's rules: nothing is said of that one but how many there are."""
    orders = case.recent(ORDERS, "created_at", ORDERS.c.submitted_at.is_not(None))
    found = case.read(select(*(orders.c[name] for name in _ORDER)))
    specs, rows, without = _specs(case), [], 0
    for order in found:
        spec = _spec_of(order, specs)
        if spec is not None:
            why = "; ".join(breaches(order, spec))
        else:
            why = "the venue's rules are not on record" if order["leg"] in DECIDED else ""
            without += 1
        if why:
            rows.append({"order": order["client_order_id"], "instrument": order["instrument"], "why": why})
    left = f" ({without} without recorded rules)" if without else ""
    return Finding(f"{case.said(len(found), 'orders sent')}{left}", rule, rows)


def _specs(case: Case) -> dict[tuple[str, str], list[Values]]:
    """The rules of each venue and instrument, newest first."""
    query = select(SPECS).order_by(SPECS.c.fetched_at.desc()).limit(case.window.most)
    found: defaultdict[tuple[str, str], list[Values]] = defaultdict(list)
    for row in case.read(query):
        found[row["venue"], row["instrument"]].append(row)
    return found


def _spec_of(order: Values, specs: dict[tuple[str, str], list[Values]]) -> Values | None:
    """The newest rules that were on record then; the oldest where the record begins later."""
    known = specs.get((order["venue"], order["instrument"]), [])
    return next((spec for spec in known if spec["fetched_at"] <= order["created_at"]), known[-1] if known else None)


CHECKS = (Check("sizes-on-grid", sizes), Check("prices-on-grid", prices))
