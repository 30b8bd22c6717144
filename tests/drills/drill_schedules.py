"""Random schedules of faults, crashes, restarts and concurrent processes: `python drill_schedules.py --seed S --first N --count M`.

Each has a ledger file and a venue of its own and is a function of seed and number, so one that fails is told again with
`--first N --count 1 --trace`. Prints one JSON line for each failure and one at the end; exit code 1 when anything failed.
"""

import argparse
import gc
import json
import logging
import mmap
import shutil
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

import drill_checks
from drill_actor import DrillDatabase, Setting
from drill_director import Act, Director, DrillError, Process, add_time
from drill_venue import EPOCH, SYMBOLS, DrillVenue, capabilities

from ffe.ledger.ledger import Ledger
from ffe.orders.models import Side
from ffe.orders.resolve import QUIET, RESEND_WITHIN
from ffe.orders.switch import SwitchState

WRONG = (0.0, 0.05, 0.2, 0.5)
BAR = timedelta(minutes=5)


class Schedule:
    """One story: some rounds of processes side by side, then quiet, then the truth is compared."""

    def __init__(self, seed: int, number: int, database: DrillDatabase) -> None:
        self.number, self.rng = number, Random(f"{seed}/{number}")
        self.kind = self.rng.choice(("margin", "spot"))
        rests = self.rng.random() < 0.8
        self.time = mmap.mmap(-1, 8)
        can = capabilities(self.kind, rests=rests)
        self.setting = Setting(database, self.kind, can, self.time)
        self.director = Director(self.setting, None, self.rng, self._meddle, watch=self._watch)
        self.director.free = self.rng.random() < 0.05
        self.director.threads = not self.director.free and self.rng.random() < 0.6
        self.venue = DrillVenue(self.kind, self.director.now, self.rng, rests=rests, wrong=self.rng.choice(WRONG))
        self.director.venue = self.venue
        self.restless = self.restless_later = self.rng.choice((0.0, 0.0, 0.01, 0.04))
        self.flattens = False
        self.switched: list[tuple[datetime, SwitchState]] = []
        self.processes = 0
        self.killed = 0

    def run(self) -> list[str]:
        """What is wrong at its end; nothing when all is well."""
        add_time(self.time, timedelta(seconds=20))
        try:
            self._begin()
            for _ in range(self.rng.choice((1, 2, 2, 3))):
                self.director.run(*self._round())
                self.restless = self.restless_later
                pause = self.rng.choice((0, 1, 30, 90, 400))
                add_time(self.time, timedelta(seconds=pause))
            return self._settle()
        except DrillError as error:
            return [str(error)]
        finally:
            self.time.close()

    def _begin(self) -> None:
        """Most accounts are reconciled before anybody trades. In the others nobody else does until we have."""
        self.restless, self.restless_later = 0.0, self.restless
        if self.rng.random() < 0.8:
            mood, self.venue.wrong = self.venue.wrong, 0.0
            self.director.do("first", ("reconcile", ()))
            self.venue.wrong, self.restless = mood, self.restless_later

    def rehearse(self) -> None:
        for _ in range(3):
            for process in self._round():
                self.director.do(process.name, *process.acts)
        self._settle()

    def _round(self) -> list[Process]:
        count = self.rng.choice((1, 2, 2, 3))
        return [self._process() for _ in range(count)]

    def _process(self) -> Process:
        self.processes += 1
        acts = tuple(self._act() for _ in range(self.rng.choice((1, 1, 2))))
        dies = self.rng.random() < 0.4
        self.killed += dies
        return Process(
            f"p{self.processes}",
            acts,
            dies_at=self.rng.randint(1, 80) if dies else None,
            after=self.rng.random() < 0.5,
        )

    def _act(self) -> Act:
        rng, symbol = self.rng, self.rng.choice(SYMBOLS[self.kind][: self.rng.choice((1, 1, 2))])
        # Some are a bar behind: two closes of one position have names of their own then.
        bar = int((self.director.now() - EPOCH) / BAR) - rng.choice((0, 0, 1))
        share, side = rng.randint(1, 6), rng.choice((Side.BUY, Side.BUY, Side.SELL))
        kinds: list[tuple[int, Act]] = [
            (40, ("trade", (symbol, bar, side, share))),
            (12, ("enter", (symbol, bar, side, share))),
            (12, ("exit", (symbol, bar))),
            (12, ("reconcile", ())),
            (8, ("check_exits", ())),
            (4, ("switch", (rng.choice(list(SwitchState)), rng.choice(("person", "drawdown"))))),
            (2, ("flatten", ())),
            (2, ("carry_on_flatten", ())),
        ]
        return rng.choices([act for _, act in kinds], [weight for weight, _ in kinds])[0]

    def _meddle(self) -> None:
        """The market moves, and other people trade in the account, cancel a stop, pay in."""
        rng, venue = self.rng, self.venue
        if rng.random() >= self.restless:
            return
        symbol = rng.choice(list(venue.prices))
        what = rng.random()
        if what < 0.5:
            factor = rng.choice((Decimal("0.985"), Decimal("0.995"), Decimal("1.005"), Decimal("1.025")))
            venue.move(symbol, (venue.prices[symbol] * factor).quantize(venue.tick(symbol)), in_part=rng.random() < 0.3)
            self.director.trace.append(f"{'':>16}market: {symbol} at {venue.prices[symbol]}")
        elif what < 0.7 and venue.open():
            rng.choice(venue.open()).state = "cancelled"
            self.director.trace.append(f"{'':>16}somebody cancels a stop or a target")
        elif what < 0.9:
            side, units = rng.choice(list(Side)), venue.step(symbol) * rng.randint(1, 300)
            self.director.trace.append(f"{'':>16}somebody trades {side} {units} {symbol}")
            venue.by_hand(symbol, side, units)
        else:
            venue.pay_in(Decimal(rng.randint(1, 500)))

    def _watch(self, kind: str, args: tuple[object, ...]) -> None:
        """Keeps what the switch was set to and when that was committed, and whether anybody flattened."""
        self.flattens |= kind == "act" and args[0] in {"flatten", "carry_on_flatten"}
        if kind == "switched":
            self.switched.append((self.director.now(), args[0]))

    def _settle(self) -> list[str]:
        """Everything works again; a new process reconciles now, after the quiet period and after the last resend."""
        self.venue.wrong = self.restless = 0.0
        self.director.free = False
        for number, pause in enumerate((timedelta(seconds=1), QUIET * 2, RESEND_WITHIN + QUIET)):
            add_time(self.time, pause)
            self.director.do(f"end{number}", ("reconcile", ()))
        try:
            return self._compare(Ledger(self.setting.database))
        finally:
            self.setting.database.close()

    def _compare(self, ledger: Ledger) -> list[str]:
        found = list(drill_checks.wrong(ledger, self.venue, settled=False))
        found += drill_checks.halted(ledger, self.switched)
        if self.restless_later == 0 and not self.flattens:
            # Nobody but us took units away, so a close of more than there was is one of ours that came twice.
            found += [f"closed twice: {name}" for name in self.venue.overclosed]
        before = drill_checks.dump(ledger)
        self.director.do("again", ("reconcile", ()))
        after = drill_checks.dump(ledger)
        found += [f"a second reconcile changed {name}" for name in before if before[name] != after[name]]
        if ledger.differences():
            self.director.do("who", ("acknowledge", ()), ("reconcile", ()), ("reconcile", ()))
            found += [f"after acknowledgement: {line}" for line in drill_checks.wrong(ledger, self.venue, settled=True)]
        return found


class Place:
    """One ledger file, made afresh for each schedule by copying an upgraded one."""

    def __init__(self, folder: Path) -> None:
        self._template, self._file = folder / "template.sqlite", folder / "ledger.sqlite"
        Ledger.open(f"sqlite:///{self._template}").close()
        self.database = DrillDatabase(f"sqlite:///{self._file}")

    def fresh(self) -> DrillDatabase:
        self.database.close()
        for left in self._file.parent.glob("ledger.sqlite*"):
            left.unlink()
        shutil.copy(self._template, self._file)
        return self.database

    def warm(self, seed: int) -> None:
        """Has every statement compiled before the first fork."""
        for number in range(-20, 0):
            Schedule(seed, number, self.fresh()).rehearse()
        gc.collect()
        gc.freeze()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--stop", type=int, default=10, help="give up after so many failures")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    started, failures, seen = time.monotonic(), 0, Counter[str]()
    with tempfile.TemporaryDirectory(prefix="drill-") as name:
        place = Place(Path(name))
        place.warm(options.seed)
        for number in range(options.first, options.first + options.count):
            schedule = Schedule(options.seed, number, place.fresh())
            found = schedule.run()
            seen["schedules"] += 1
            seen["processes"] += schedule.processes
            seen["killed"] += schedule.killed
            seen["orders"] += len(schedule.venue.placed)
            seen["executions"] += len(schedule.venue.executions)
            if options.trace:
                sys.stdout.write("\n".join(schedule.director.trace) + "\n")
            if found:
                failures += 1
                print(json.dumps({"seed": options.seed, "number": number, "wrong": found}), flush=True)
            if failures >= options.stop:
                break
    print(
        json.dumps(
            {
                "seed": options.seed,
                "first": options.first,
                **seen,
                "failures": failures,
                "seconds": round(time.monotonic() - started, 1),
            }
        ),
        flush=True,
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
