"""The spot account at Coinbase: one wallet a currency, `available` and `hold`. Every movement is exact; neither may go below zero."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid5

from ffe.money import ZERO, plain
from simulator.book import Book

OPENING = {"USD": Decimal("10000.00"), "BTC": ZERO, "ETH": ZERO, "USDC": ZERO}


@dataclass(frozen=True)
class Wallet:
    id: str
    currency: str
    available: Decimal
    hold: Decimal
    created: datetime
    updated: datetime


class NoFundsError(Exception):
    """A wallet would go below zero."""


class Wallets:
    def __init__(self, book: Book, portfolio: str) -> None:
        self._book = book
        self.rows = book.state.table("coinbase_wallet", Wallet)
        if not len(self.rows):
            now = book.clock.now()
            with book.state.atomic():
                for currency, amount in OPENING.items():
                    wallet_id = str(uuid5(UUID(portfolio), currency))
                    self.rows.put(currency, Wallet(wallet_id, currency, amount, ZERO, now, now))

    def available(self, currency: str) -> Decimal:
        return self.rows[currency].available

    def move(self, currency: str, available: Decimal = ZERO, hold: Decimal = ZERO) -> None:
        """Adds to both sides of a wallet. Raises NoFundsError instead of going below zero."""
        row = self.rows[currency]
        changed = replace(
            row, available=row.available + available, hold=row.hold + hold, updated=self._book.clock.now()
        )
        if changed.available < 0 or changed.hold < 0:
            raise NoFundsError(f"{currency} {plain(changed.available)} available, {plain(changed.hold)} held")
        self.rows.put(currency, changed)

    def hold(self, currency: str, amount: Decimal) -> None:
        self.move(currency, -amount, amount)
