"""A process that asks once for a half-open source and prints whether it was given the trial."""

import sys
from datetime import datetime

from ffe.errors import SourceSkippedError
from ffe.ledger.ledger import Ledger


def main(url: str, at: str) -> None:
    ledger = Ledger.open(url)
    try:
        admission = ledger.admit_source("sim", "oanda", datetime.fromisoformat(at))
        print(int(admission.trial_until is not None))
    except SourceSkippedError:
        print(0)
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
