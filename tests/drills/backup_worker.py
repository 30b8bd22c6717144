"""Trades at the simulator until standard input closes: `backup_worker.py READY LEDGER_URL`. One line on stdout for each bar that is done.

In, reconcile, out, reconcile, at both venues by turns; in the end everything is closed and reconciled.
"""

import itertools
import json
import logging
import os
import select
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from drill_simulator import BAR, Engine, SimulatorClock, bar_of


def main(ready: str, url: str) -> None:
    logging.disable(logging.CRITICAL)
    simulator = json.loads(ready)
    clock = SimulatorClock(simulator["control"])
    engines = [Engine(simulator, venue, url, bar_of(clock.now()), None) for venue in ("coinbase", "oanda")]
    for number in itertools.count():
        clock.sleep(BAR.total_seconds())
        engine = engines[number % 2]
        engine.clock.sleep(0)
        engine.bar = bar_of(engine.clock.now())
        if engine.broker.position(engine.instrument).units == 0:
            engine.enter()
        else:
            engine.exit()
        engine.reconcile()
        print(number, flush=True)
        if select.select([sys.stdin], [], [], 0)[0]:
            break
    for engine in engines:
        engine.clock.sleep(150)
        engine.reconcile()
        engine.ledger.close()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
