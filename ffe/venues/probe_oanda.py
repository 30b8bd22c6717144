"""OANDA's five answers and its clock, from four reads.

A token has no permissions of its own: what its account may trade is the account's list of instruments. The account is active when the
token's own list of accounts has it; a closed or foreign one is not there, and is forbidden in every other read.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ffe.errors import VenueReadError
from ffe.market.models import Instrument
from ffe.money import plain
from ffe.venues import probe, reply
from ffe.venues.clients import OandaClient
from ffe.venues.probe import Answer, Answers, Heard, ProviderAnswers


class OandaProbe:
    """`trades` False: as in paper. `quoting` are the instruments whose market is open: only they must have a bid and an ask."""

    def __init__(
        self,
        client: OandaClient,
        instruments: Sequence[Instrument],
        quoting: Sequence[Instrument],
        *,
        trades: bool = True,
    ) -> None:
        self._client, self._instruments, self._quoting, self._trades = client, instruments, quoting, trades

    def reads(self) -> Mapping[str, Callable[[], Any]]:
        from oandapyV20.endpoints.accounts import AccountInstruments, AccountList, AccountSummary
        from oandapyV20.endpoints.pricing import PricingInfo

        account, names = self._client.account_id, ",".join(each.venue_symbol for each in self._instruments)
        reads: dict[str, Callable[[], Any]] = {
            "accounts": lambda: self._client.read(AccountList()),
            "prices": lambda: self._client.read(PricingInfo(account, params={"instruments": names})),
        }
        if self._trades:
            reads["instruments"] = lambda: self._client.read(AccountInstruments(account))
            reads["summary"] = lambda: self._client.read(AccountSummary(account))
        return reads

    def judge(self, heard: Answers) -> ProviderAnswers:
        spared = probe.not_needed("paper only reads this venue")
        return ProviderAnswers(
            provider="oanda",
            authenticated=probe.authenticated(heard["accounts"], "GET accounts"),
            account_active=probe.shown(heard["accounts"], self._listed),
            can_trade=probe.shown(heard["instruments"], self._tradeable) if self._trades else spared,
            balance_readable=probe.readable(heard["summary"], _balance) if self._trades else spared,
            market_data_readable=probe.readable(heard["prices"], self._prices),
        )

    def server_time(self, heard: Answers) -> tuple[Heard, datetime] | None:
        read = heard["prices"]
        if read.error is not None:
            return None
        try:
            return read, reply.moment(read.value, "time")
        except (VenueReadError, OverflowError):
            return None

    def close(self) -> None:
        self._client.close()

    def _listed(self, answer: Any) -> str | Answer:
        ours = self._client.account_id
        if ours not in [reply.text(each, "id") for each in reply.entries(answer, "accounts")]:
            return probe.no(f"account {ours} is not among the token's accounts: it is closed, or another token's")
        return f"account {ours} is listed"

    def _tradeable(self, answer: Any) -> str | Answer:
        offered = {reply.text(each, "name") for each in reply.entries(answer, "instruments")}
        missing = [each.symbol for each in self._instruments if each.venue_symbol not in offered]
        if missing:
            return probe.no(f"the account may not trade {', '.join(missing)}")
        return f"the account may trade {', '.join(each.symbol for each in self._instruments)}"

    def _prices(self, answer: Any) -> str:
        prices = {reply.text(each, "instrument"): each for each in reply.entries(answer, "prices")}
        absent = [each.symbol for each in self._instruments if each.venue_symbol not in prices]
        if absent:
            raise VenueReadError(f"oanda gives no price of {', '.join(absent)}", transient=False)
        silent = [each.symbol for each in self._quoting if not _quoted(prices[each.venue_symbol])]
        if silent:
            raise VenueReadError(f"oanda quotes no bid and ask of {', '.join(silent)}", transient=False)
        return f"prices of {', '.join(each.symbol for each in self._instruments)}"


def _balance(answer: Any) -> str:
    account = reply.need(answer, "account")
    available, equity = reply.number(account, "marginAvailable"), reply.number(account, "NAV")
    return f"{plain(available)} {reply.text(account, 'currency')} available of {plain(equity)}"


def _quoted(price: dict[str, Any]) -> bool:
    return bool(reply.entries(price, "bids")) and bool(reply.entries(price, "asks"))
