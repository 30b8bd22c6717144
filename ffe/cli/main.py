"""The `ffe` command: its sub-commands, and what each kind of failure exits with.

0 done, HOLD is done. 2 bad usage or configuration. 3 done, but an instrument or check failed. 4 refused. 1 a bug.
"""

import os
import signal
import sys

import typer

from ffe.cli import (
    analyze,
    backfill,
    db,
    explain,
    grade,
    health,
    incidents,
    listing,
    metrics,
    models,
    preflight,
    quality,
    reality,
    reconcile,
    replay,
    run,
    shadow,
    simulator,
    sources,
    sweep,
    switch,
    up,
    worker,
)
from ffe.errors import FfeError
from ffe.observe import log_masking
from ffe.observe.masking import masked

app = typer.Typer(
    name="ffe",
    help="Finance Feedback Engine: bars, checks, a quantized LLM, and orders you can trace.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("analyze")(analyze.analyze)
app.command("up")(up.up)
app.command("worker")(worker.worker)
app.command("balance")(listing.balance)
app.command("positions")(listing.positions)
app.command("orders")(listing.orders)
app.command("decisions")(listing.decisions)
app.command("incidents")(incidents.incidents)
app.command("quality")(quality.quality)
app.command("sources")(sources.sources)
app.command("backfill")(backfill.backfill)
app.command("explain")(explain.explain)
app.command("preflight")(preflight.preflight)
app.command("health")(health.health)
app.command("replay")(replay.replay)
app.command("sweep")(sweep.sweep)
app.command("reality-check")(reality.reality_check)
app.command("reconcile")(reconcile.reconcile)
app.command("grade")(grade.grade)
app.command("halt")(switch.halt)
app.command("resume")(switch.resume)
app.command("flatten")(switch.flatten)
app.command("switch")(switch.switch)
app.add_typer(simulator.app, name="simulator")
app.add_typer(metrics.app, name="metrics")
app.add_typer(db.app, name="db")
app.add_typer(models.app, name="models")
app.add_typer(shadow.app, name="shadow")


def main() -> None:
    log_masking.install()
    # Ended politely is ended like Ctrl-C: children are closed on the way out.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except FfeError as error:
        print(f"ffe: {masked(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader (`head`) has gone; nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
