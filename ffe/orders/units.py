"""Units at the venue against those that the ledger explains: ours, booked from fills, and external ones, counted by adjustments.

A trade of somebody else has closed ours where the venue says so (a margin closeout, a person in the venue's own app). Where the venue
keeps no trades apart it first moves the external units, and what goes beyond them has closed ours. That part is booked as a fill under our entry, so that position, realised profit
and what a later decision may sell stay true. After a ledger was restored from a backup it is the other way round until the account is reconciled: the trade may be a close of
ours that the backup does not know, and taking it for a stranger's would leave units on record that somebody else owns.
"""

from decimal import Decimal

from ffe.ledger.models import Adjustment, Position, event_id
from ffe.ledger.protections import Closing
from ffe.market.models import parse_instrument
from ffe.money import ZERO, plain
from ffe.orders.close import Desk
from ffe.orders.differences import Difference, DifferenceKind
from ffe.orders.findings import Findings, difference
from ffe.orders.models import Fill, OrderState, Side
from ffe.venues.models import VenueOrder


def book_external(desk: Desk, instrument: str, side: Side, fill: Fill, cause: str, *, owner: str | None = None) -> bool:
    """Counts a trade of somebody else once by its fill id; False when it is known.

    `owner`: the entry whose trade it took units from, empty for none of ours, None where the venue does not say. The adjustment
    marks the fill as seen, even when all of it closed units of ours; both are one transaction.
    """
    entry = desk.ledger.open_entry(desk.broker.venue, desk.broker.account, instrument)
    closed = ZERO
    if owner is None or (entry is not None and owner == entry.client_order_id):
        closed = _closed_units(desk, instrument, side, fill.units, guess=owner is None)
    closing = None
    if closed > 0 and entry is not None:
        part = fill.model_copy(update={"units": closed, "fee": fill.fee * closed / fill.units})
        report = VenueOrder(
            client_order_id="", venue_order_id=None, state=OrderState.PARTIAL, reason=cause, fills=(part,)
        )
        closing = Closing(entry.id, report, side, desk.clock.now())
    units = (fill.units - closed) * side.sign
    return _adjust(desk, fill.venue_fill_id, instrument, units, fill=fill, cause=cause, closing=closing)


def _closed_units(desk: Desk, instrument: str, side: Side, units: Decimal, *, guess: bool) -> Decimal:
    """How many of a foreign trade's units closed ours, positive; as a guess, those beyond the external ones."""
    here = desk.ledger.position(desk.broker.venue, desk.broker.account, instrument)
    entry = desk.ledger.open_entry(desk.broker.venue, desk.broker.account, instrument)
    if entry is None or entry.side is side or here.units * side.sign >= 0:
        return ZERO
    strangers_first = guess and not desk.ledger.unread(desk.broker.venue, desk.broker.account)
    alongside = max(ZERO, -here.external * side.sign) if strangers_first else ZERO
    return min(abs(here.units), max(ZERO, units - alongside))


def _adjust(
    desk: Desk,
    key: str,
    instrument: str,
    units: Decimal,
    *,
    fill: Fill | None,
    cause: str,
    closing: Closing | None = None,
) -> bool:
    venue, account = desk.broker.venue, desk.broker.account
    return desk.ledger.adjust(
        Adjustment(
            id=event_id(venue, account, instrument, key),
            venue=venue,
            account=account,
            instrument=instrument,
            units=units,
            price=None if fill is None else fill.price,
            cause=cause,
            time=desk.clock.now() if fill is None else fill.time,
        ),
        closing,
    )


def held_at_venue(desk: Desk) -> dict[str, Decimal]:
    return {position.instrument: position.units for position in desk.broker.positions()}


def booked(desk: Desk) -> list[Position]:
    """The ledger's positions of this account, flat ones too."""
    broker = desk.broker
    return [p for p in desk.ledger.positions() if (p.venue, p.account) == (broker.venue, broker.account)]


def off(desk: Desk, held: dict[str, Decimal]) -> dict[str, Decimal]:
    """By how much the venue holds more (less: negative) than the ledger explains, where it does."""
    here = {p.instrument: p.units + p.external for p in booked(desk)}
    more = {symbol: held.get(symbol, ZERO) - here.get(symbol, ZERO) for symbol in sorted(held.keys() | here.keys())}
    return {symbol: units for symbol, units in more.items() if units != 0}


def settle_units(desk: Desk, symbol: str, there: Decimal, more: Decimal, findings: Findings, *, first: bool) -> None:
    """At the first reconciliation what lies beside our own units was there before us; ever after it is a difference."""
    here = desk.ledger.position(desk.broker.venue, desk.broker.account, symbol)
    beside = here.units * there >= 0 and abs(there) >= abs(here.units)
    if first and beside and _adjust(desk, "opening", symbol, more, fill=None, cause="opening"):
        findings.settled.append(f"{symbol}: {plain(more)} held before the first reconciliation, kept as external")
        return
    findings.differences.append(_difference(desk, here, there))


def _difference(desk: Desk, here: Position, there: Decimal) -> Difference:
    """Its key counts the adjustments: the same numbers after an acknowledgement are a new difference, not the accepted one."""
    venue, account, symbol = here.venue, here.account, here.instrument
    count = sum(1 for each in desk.ledger.adjustments(venue, account) if each.instrument == symbol)
    return difference(
        desk,
        DifferenceKind.POSITION,
        symbol,
        f"{symbol}|{count}",
        f"the venue holds {plain(there)} {symbol}, the ledger explains {plain(here.units + here.external)}",
        venue_says=plain(there),
        ledger_says=f"{plain(here.units)} of ours, {plain(here.external)} external",
    )


def accept_units(desk: Desk, found: Difference) -> None:
    """Brings the ledger to the venue: what is missing of ours is booked as closed at the price of now, the rest is external.

    Raises:
        VenueError: position or price can't be read: nothing is booked then.
    """
    symbol = str(found.instrument)
    here = desk.ledger.position(found.venue, found.account, symbol)
    more = held_at_venue(desk).get(symbol, ZERO) - here.units - here.external
    if more == 0:
        return
    side, quote = (Side.BUY if more > 0 else Side.SELL), desk.broker.quote(parse_instrument(symbol))
    fill = Fill(
        venue_fill_id=f"accepted-{found.id}",
        units=abs(more),
        price=quote.ask if side is Side.BUY else quote.bid,
        fee=ZERO,
        fee_currency=parse_instrument(symbol).quote,
        time=desk.clock.now(),
    )
    book_external(desk, symbol, side, fill, "accepted")
