"""A process that asks for a source's request again and again and prints how often it was let."""

import sys
from datetime import UTC, datetime, timedelta

from ffe.errors import SourceSkippedError
from ffe.ledger.ledger import Ledger
from ffe.sources.health import Budget

AT = datetime(2026, 3, 4, 14, 30, tzinfo=UTC)


def main(url: str, calls: str, per_day: str) -> None:
    ledger = Ledger.open(url)
    budget = Budget(per_day=int(per_day), per_second=1)
    spent = 0
    for _ in range(int(calls)):
        try:
            ledger.spend_request("sim", "alpha-vantage", AT, budget, latest=AT + timedelta(minutes=4))
            spent += 1
        except SourceSkippedError:
            continue
    ledger.close()
    print(spent)


if __name__ == "__main__":
    main(*sys.argv[1:])
