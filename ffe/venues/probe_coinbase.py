"""Coinbase's five answers and its clock, from five reads that a view key may make.

The key says of itself what it may do. An account is active when the wallets that money comes from are; where they can't be read, when the
key's portfolio is listed and not deleted.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ffe.errors import VenueReadError
from ffe.market.models import Instrument
from ffe.money import plain
from ffe.venues import probe, reply
from ffe.venues.clients import CoinbaseClient
from ffe.venues.coinbase_pages import paged
from ffe.venues.probe import Answer, Answers, Heard, ProviderAnswers

_PAGE = 250
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The milliseconds that a datetime can hold.
_FIRST, _LAST = (
    (each - _EPOCH) // timedelta(milliseconds=1)
    for each in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
)
WITHDRAWALS = (
    "the Coinbase key may move money out of the account (can_transfer): make a key with view and trade only, put it into "
    "FFE_COINBASE__API_KEY and FFE_COINBASE__API_SECRET, and delete this one at Coinbase"
)


class CoinbaseProbe:
    """`trades` False: only bars and prices are wanted of the venue, as in paper. `seconds` bound a list of several pages."""

    def __init__(
        self,
        client: CoinbaseClient,
        instruments: Sequence[Instrument],
        *,
        trades: bool = True,
        seconds: float | None = None,
    ) -> None:
        self._client, self._instruments, self._trades, self._seconds = client, instruments, trades, seconds

    def reads(self) -> Mapping[str, Callable[[], Any]]:
        names = [each.venue_symbol for each in self._instruments]
        reads: dict[str, Callable[[], Any]] = {
            "permissions": lambda: self._client.read("get_api_key_permissions"),
            "prices": lambda: self._client.read("get_best_bid_ask", product_ids=names),
            "time": lambda: self._client.read("get_unix_time"),
        }
        if self._trades:
            reads["portfolios"] = lambda: self._client.read("get_portfolios")
            reads["accounts"] = self._accounts
        return reads

    def judge(self, heard: Answers) -> ProviderAnswers:
        permissions = heard["permissions"]
        spared = probe.not_needed("paper only reads this venue")
        transfers = permissions.error is None and permissions.value.get("can_transfer") is not False
        return ProviderAnswers(
            provider="coinbase",
            authenticated=probe.authenticated(permissions, "GET key_permissions"),
            account_active=self._active(heard) if self._trades else spared,
            can_trade=probe.shown(permissions, _can_trade) if self._trades else spared,
            balance_readable=probe.readable(heard["accounts"], self._balances) if self._trades else spared,
            market_data_readable=probe.readable(heard["prices"], self._prices),
            refusals=(WITHDRAWALS,) if transfers else (),
        )

    def server_time(self, heard: Answers) -> tuple[Heard, datetime] | None:
        read = heard["time"]
        if read.error is not None:
            return None
        try:
            return read, _time(read.value)
        except VenueReadError:
            return None

    def close(self) -> None:
        self._client.close()

    def _accounts(self) -> list[dict[str, Any]]:
        return list(paged(self._client, "get_accounts", "accounts", seconds=self._seconds, limit=_PAGE))

    def _active(self, heard: Answers) -> Answer:
        """No when either read says so; yes when one says so and the other nothing else."""
        said = [
            probe.shown(heard["accounts"], self._wallets_active),
            probe.shown(heard["portfolios"], lambda value: _portfolio_active(value, heard["permissions"])),
        ]
        return next((each for word in ("no", "yes") for each in said if each.says == word), said[0])

    def _wallets(self, accounts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Wallets of the currencies that orders are paid in. Raises VenueReadError when one is not there."""
        wallets = {reply.text(each, "currency"): each for each in accounts}
        wanted = sorted({each.quote for each in self._instruments})
        missing = [each for each in wanted if each not in wallets]
        if missing:
            raise VenueReadError(f"coinbase shows no {' and no '.join(missing)} wallet", transient=False)
        return {each: wallets[each] for each in wanted}

    def _wallets_active(self, accounts: list[dict[str, Any]]) -> str | Answer:
        wallets = self._wallets(accounts)
        resting = [
            name for name, each in wallets.items() if not (reply.flag(each, "active") and reply.flag(each, "ready"))
        ]
        if resting:
            return probe.no(f"the {' and '.join(resting)} wallet is not active and ready")
        return f"the {' and '.join(wallets)} wallet is active and ready"

    def _balances(self, accounts: list[dict[str, Any]]) -> str:
        wallets = self._wallets(accounts)
        free = {name: reply.number(reply.need(each, "available_balance"), "value") for name, each in wallets.items()}
        return ", ".join(f"{plain(value)} {name} available" for name, value in free.items())

    def _prices(self, answer: Any) -> str:
        books = {reply.text(each, "product_id"): each for each in reply.entries(answer, "pricebooks")}
        wanted = [each.venue_symbol for each in self._instruments]
        silent = [name for name in wanted if name not in books or not _quoted(books[name])]
        if silent:
            raise VenueReadError(f"coinbase quotes no bid and ask of {', '.join(silent)}", transient=False)
        return f"bid and ask of {', '.join(wanted)}"


def _time(answer: Any) -> datetime:
    """Looked at before it is made a whole number: of `1e999999999999` that would take all the memory there is."""
    if not _FIRST <= reply.number(answer, "epoch_millis") <= _LAST:
        raise reply.malformed("epoch_millis is no time that a calendar has", answer)
    return _EPOCH + timedelta(milliseconds=reply.integer(answer, "epoch_millis"))


def _can_trade(permissions: Any) -> str | Answer:
    if not reply.flag(permissions, "can_view"):
        return probe.no("the key has no view permission: make one with view and trade")
    if not reply.flag(permissions, "can_trade"):
        return probe.no("the key has no trade permission (can_trade is false): make one with view and trade")
    return "the key may view and trade"


def _portfolio_active(answer: Any, permissions: Heard) -> str | Answer:
    if permissions.error is not None:
        return probe.unknown(f"which portfolio is the key's is not known: {permissions.error}")
    ours = reply.text(permissions.value, "portfolio_uuid")
    found = [each for each in reply.entries(answer, "portfolios") if each.get("uuid") == ours]
    if not found:
        return probe.no(f"the key's portfolio {ours} is not among those that Coinbase lists")
    if reply.flag(found[0], "deleted"):
        return probe.no(f"the key's portfolio {ours} is deleted")
    return f"the key's portfolio {ours} is listed"


def _quoted(book: dict[str, Any]) -> bool:
    return bool(reply.entries(book, "bids")) and bool(reply.entries(book, "asks"))
