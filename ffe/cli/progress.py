"""What is happening right now, on stderr: a live line per instrument on a terminal, plain lines otherwise."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from ffe.market.models import Instrument

Progress = Callable[[str, str], None]


@contextmanager
def progress(instruments: Sequence[Instrument]) -> Iterator[Progress]:
    """A function to call with (instrument, stage); an empty instrument or a venue's name is about all of them."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain
        return
    board = _Board([instrument.symbol for instrument in instruments])
    with Live(board.table(), console=console, refresh_per_second=8, transient=True) as live:

        def tell(instrument: str, stage: str) -> None:
            live.update(board.told(instrument, stage))

        yield tell


def _plain(instrument: str, stage: str) -> None:
    # One write: several threads tell at once.
    sys.stderr.write(f"{instrument or 'ffe'}: {stage}\n")


class _Board:
    def __init__(self, names: list[str]) -> None:
        self._stages = dict.fromkeys(names, "")
        self._spinner = Spinner("dots")
        self._lock = threading.Lock()

    def told(self, name: str, stage: str) -> Table:
        with self._lock:
            for each in [name] if name in self._stages else list(self._stages):
                self._stages[each] = stage
        return self.table()

    def table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, stage in self._stages.items():
            table.add_row(self._spinner, name, stage)
        return table
