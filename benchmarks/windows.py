"""Every recorded bar against the suites, in sliding windows: `python -m benchmarks.windows FOLDER`.

Nothing is spoilt here, so each critical finding is a flaw that the venue's own bars have: it is printed with its numbers and the window,
to be recognised or to be called a false alarm. 1m bars are judged as they are and as 5m, 15m and 1h, 1h bars as 4h and 1d too.
"""

import argparse
import itertools
from collections import Counter
from pathlib import Path

import pyarrow as pa

from benchmarks.recorded import Recording, batch_of, recordings
from expectations.validate import validate_bars, warm
from ffe.market.calendar import calendar_for
from ffe.market.models import Timeframe
from ffe.market.resample import resample_table

LONGER = {
    Timeframe.M1: (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1),
    Timeframe.H1: (Timeframe.H1, Timeframe.H4, Timeframe.D1),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bars", type=int, default=200, help="in a window")
    parser.add_argument("--every", type=int, default=50, help="bars between the starts of two windows")
    asked = parser.parse_args()
    warm()
    counts: Counter[str] = Counter()
    for recording in recordings(asked.folder):
        for timeframe in LONGER[recording.timeframe]:
            counts += _judge(recording, timeframe, asked.bars, asked.every)
    print("; ".join(f"{name}: {count}" for name, count in counts.most_common()))


def _judge(recording: Recording, timeframe: Timeframe, bars: int, every: int) -> Counter[str]:
    calendar = calendar_for(recording.instrument)
    table = resample_table(recording.table, recording.timeframe, timeframe, calendar)
    counts: Counter[str] = Counter()
    for first in range(0, max(table.num_rows - bars, 0) + 1, every):
        window = table.slice(first, bars)
        if window.num_rows >= bars:
            counts += _verdict(recording, timeframe, window)
    named = ", ".join(f"{name} {count}" for name, count in counts.items())
    print(f"{recording.name} as {timeframe.value}: {named or 'too few bars for a window'}", flush=True)
    return counts


def _verdict(recording: Recording, timeframe: Timeframe, window: pa.Table) -> Counter[str]:
    batch = batch_of(recording.instrument, timeframe, window)
    report = validate_bars(window, batch, batch.bar_close)
    for finding in report.critical:
        span = f"{batch.first_open:%Y-%m-%d %H:%M} to {batch.bar_close:%Y-%m-%d %H:%M}"
        print(f"  critical {finding.check}, {span}: {finding.message} [{finding.examples[:1]}]")
    kinds = [f"critical {finding.check}" for finding in report.critical]
    kinds += [f"warning {finding.check}" for finding in report.warnings]
    return Counter(itertools.chain(["windows"], kinds, ["windows passed"] if report.passed else []))


if __name__ == "__main__":
    main()
