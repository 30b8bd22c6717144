"""OANDA's transaction log: gap-free increasing ids, each request's transactions in one batch, nothing ever changed or removed."""

from datetime import datetime
from typing import Any

from ffe.money import plain
from simulator.book import Book
from simulator.margin import OPENING_BALANCE, MarginAccount
from simulator.web import Json

USER_ID = 7000001


def stamp(moment: datetime) -> str:
    """RFC 3339 with OANDA's nine fraction digits."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


class TransactionLog:
    def __init__(self, book: Book, account: MarginAccount) -> None:
        self._book, self._account = book, account
        self._rows = book.state.table("oanda_transaction", dict)
        self._batch, self._request_id = "", ""
        if not len(self._rows):
            with book.state.atomic():
                self._open()

    def _open(self) -> None:
        self.begin("1")
        self.record("CREATE", divisionID=1, siteID=101, accountUserID=USER_ID, accountNumber=1, homeCurrency="USD")
        amount = plain(OPENING_BALANCE)
        self.record("TRANSFER_FUNDS", amount=amount, fundingReason="CLIENT_FUNDING", accountBalance=amount)

    @property
    def last_id(self) -> str:
        return str(len(self._rows))

    @property
    def next_id(self) -> str:
        return str(len(self._rows) + 1)

    def begin(self, request_id: str) -> None:
        """What is recorded from here on is one batch, named after its first id."""
        self._batch, self._request_id = self.next_id, request_id

    def batch_ids(self) -> list[str]:
        return [str(number) for number in range(int(self._batch), len(self._rows) + 1)]

    def record(self, kind: str, at: datetime | None = None, **fields: Any) -> Json:
        """Appends one transaction; fields that are None are left out. `at` is the simulated now unless given."""
        head = {
            "id": self.next_id,
            "time": stamp(at or self._book.clock.now()),
            "userID": USER_ID,
            "accountID": self._account.row.account_id,
            "batchID": self._batch,
            "requestID": self._request_id,
            "type": kind,
        }
        row = head | {name: value for name, value in fields.items() if value is not None}
        return self._rows.put(str(row["id"]), row)

    def get(self, number: str) -> Json | None:
        return self._rows.get(number)

    def since(self, number: int) -> list[Json]:
        """Transactions newer than `number`, oldest first."""
        return [self._rows[str(later)] for later in range(number + 1, len(self._rows) + 1)]
