"""Sizing arithmetic with every clamp named."""

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


class Denial(BaseModel):
    """Why there is no order: `code` for machines (`below_minimum`), `reason` with the rule and both numbers."""

    model_config = ConfigDict(frozen=True)

    code: str
    reason: str
