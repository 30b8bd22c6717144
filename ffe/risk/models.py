"""Sizing arithmetic with every clamp named, and what the rules said."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict


class Clamp(BaseModel):
    """A number that a limit changed: `before` -> `after`, and the rule that did it."""

    model_config = ConfigDict(frozen=True)

    name: str
    before: Decimal
    after: Decimal
    rule: str


class Sizing(BaseModel):
    """`units` is positive base units at the venue's increment; `notional` and `risk_amount` are in the account currency."""

    model_config = ConfigDict(frozen=True)

    method: str
    units: Decimal
    entry_price: Decimal
    notional: Decimal
    risk_amount: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    balance: Decimal
    balance_source: str
    clamps: tuple[Clamp, ...]


class Verdict(BaseModel):
    """What one rule said. `most` is the largest size it allows in base units, None for no limit; `trips` asks for the kill switch."""

    model_config = ConfigDict(frozen=True)

    rule: str
    allowed: bool
    code: str
    reason: str
    most: Decimal | None = None
    trips: bool = False


class Denial(BaseModel):
    """Why there is no order: `code` for machines (`below_minimum`), `reason` with the rule and both numbers.

    `verdicts` is what every rule said, also those that had nothing against it.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    reason: str
    verdicts: tuple[Verdict, ...] = ()
