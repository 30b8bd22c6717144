"""`ffe models`: what the language model is, where it runs, what it is worth."""

import typer

from ffe.cli.models.calibration import calibration
from ffe.cli.models.doctor import doctor
from ffe.cli.models.evaluate import evaluate
from ffe.cli.models.pull import pull
from ffe.cli.models.replay import replay

app = typer.Typer(help="The language model: pull, doctor, eval, calibration, replay.", no_args_is_help=True)
app.command("pull")(pull)
app.command("doctor")(doctor)
app.command("eval")(evaluate)
app.command("calibration")(calibration)
app.command("replay")(replay)
