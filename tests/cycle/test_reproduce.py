"""The command of an incident is one that really parses."""

import shlex
from typing import Any

import click
import pytest
import typer

from ffe.cli.main import app
from ffe.cycle import reproduce
from ffe.cycle.subjects import Subject
from ffe.market.models import Timeframe
from ffe.settings import load_settings

SUBJECT = Subject(instrument="BTCUSD", timeframe=Timeframe.M5)
BOTH = {"instruments": ["BTCUSD", "EURUSD"], "timeframes": ["5m", "1h"], "days": 3}


def parses(line: str) -> bool:
    """By Typer's own parser; nothing is run."""
    program, *words = shlex.split(line)
    if program != "ffe":
        return (program, words[:2]) == ("prefect", ["deployment", "run"])
    command = typer.main.get_command(app)
    with command.make_context("ffe", list(words)) as context:
        assert isinstance(command, click.Group) or hasattr(command, "resolve_command")
        name, sub, rest = command.resolve_command(context, [*context._protected_args, *context.args])  # type: ignore[attr-defined]
        assert sub is not None
        sub.make_context(name, rest, parent=context)
    return True


@pytest.mark.parametrize(
    ("name", "subject", "parameters", "line"),
    [
        ("fetch-bars", SUBJECT, {}, "ffe run BTCUSD --timeframe 5m --mode sim --model embedded"),
        ("trading-cycle", Subject(), BOTH, "ffe run BTCUSD EURUSD --timeframe 5m --mode sim --model embedded"),
        ("decide", Subject(), {}, "ffe run --timeframe 5m --mode sim --model embedded"),
        ("reconcile-venue", Subject(), {"venue": "oanda"}, "ffe reconcile --mode sim"),
        ("grade-market", SUBJECT, {}, "ffe grade --mode sim"),
        ("ffe preflight", Subject(), {}, "ffe preflight"),
        ("backfill", SUBJECT, {"days": 3}, "ffe backfill BTCUSD --timeframe 5m --days 3 --mode sim"),
        (
            "backfill-bars",
            Subject(),
            BOTH,
            "ffe backfill BTCUSD EURUSD --timeframe 5m --timeframe 1h --days 3 --mode sim",
        ),
        ("backfill-bars", Subject(), {"instruments": "odd"}, "ffe backfill --mode sim"),
        ("ffe flatten", Subject(), {}, "ffe flatten --mode sim"),
        ("watch-exits", Subject(), {}, "prefect deployment run watch-exits/watch-exits"),
    ],
)
def test_each_step_has_the_command_that_does_it_again(
    name: str, subject: Subject, parameters: dict[str, Any], line: str
) -> None:
    made = reproduce.command(name, subject, load_settings(), parameters)
    assert made == line
    assert parses(made)


@pytest.mark.parametrize("name", ["preflight", "reality-check"])
def test_a_check_is_made_again_by_its_own_command(name: str) -> None:
    assert reproduce.command(name, Subject(), load_settings()) == f"ffe {name}"


def test_a_command_that_does_not_parse_would_be_seen() -> None:
    with pytest.raises(Exception, match="No such option"):
        parses("ffe run BTCUSD --nonsense 5m")
